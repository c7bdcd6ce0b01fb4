"""An item of the made-up world: content with known truth.

`truth` holds what criteria can ask about, each value in [0, 1]; `labels` what a tower can be taught to see, each in
[0, 1]. Splits never share an item: a hash of what an item is made of decides to which split it may belong, so the rule
needs no memory and holds for any number of items and any seed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import numpy as np

from omnireward.types import Part

Split = Literal["train", "test"]

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 40, 40),
    "orange": (240, 140, 20),
    "yellow": (236, 212, 40),
    "green": (40, 160, 70),
    "blue": (40, 90, 210),
    "purple": (140, 50, 180),
}
WARM = ("red", "orange", "yellow")


@dataclass(frozen=True, slots=True)
class Item:
    """One made-up response or input medium."""

    part: Part
    truth: Mapping[str, float]
    labels: Mapping[str, float] = field(default_factory=dict)


def split_of(recipe: str) -> Split:
    """The split to which an item made from this description belongs: one in four is for testing.

    >>> {split_of(str(n)) for n in range(50)} == {"train", "test"}
    True
    """
    return "test" if hashlib.sha256(recipe.encode()).digest()[0] % 4 == 0 else "train"


Made = TypeVar("Made")


def draw_for(
    split: Split,
    rng: np.random.Generator,
    draw: Callable[[np.random.Generator], Made],
    made_of: Callable[[Made], str] = repr,
) -> Made:
    """Draw descriptions until one belongs to the split.

    `made_of` tells apart what would differ when made, and nothing else: were two descriptions of one text or picture
    told apart, both splits could hold it.
    """
    for _ in range(1000):
        made = draw(rng)
        if split_of(made_of(made)) == split:
            return made
    raise RuntimeError(f"no item for the {split} split in 1000 draws: the description has too little variety")


def level(rng: np.random.Generator, count: int) -> float:
    """One of `count` evenly spaced values in [0, 1]."""
    return float(rng.integers(count)) / (count - 1)


def one_of(rng: np.random.Generator, choices: tuple[str, ...] | list[str]) -> str:
    """A uniformly drawn choice."""
    return str(choices[int(rng.integers(len(choices)))])


def colour_labels(colour: str) -> dict[str, float]:
    """One label for each colour name."""
    return {f"colour {name}": float(name == colour) for name in COLOURS}
