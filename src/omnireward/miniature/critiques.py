r"""Critiques of the made-up world, for a warm start: they say what is there, and never who wins.

A critique names what is asked about, whether it is wanted, and how much of it each response has, from 0 to 9; where
nothing is asked about, all that the responses could be asked about. The verdict behind it is drawn without looking, the
first place oftener than the second, as it is with writers that like the first place. So whoever learns from them
answers in the right form and sees what it writes of, and is as often wrong as right: what it knows of verdicts later,
it has from rewards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from omnireward.miniature.families import FAMILIES
from omnireward.miniature.items import Item, Split
from omnireward.miniature.world import GENERAL, Known, World, known_samples
from omnireward.types import Sample

TOP = 9
LISTS = 6
VERDICTS = {"A": 0.50, "B": 0.38, "TIE": 0.12}
"""Shares of the verdicts, of whatever is shown first and second; ties as often as the world has them."""


def critiques(world: World, split: Split = "train") -> Iterator[tuple[Sample, bool, str]]:
    """Critiques of each sample of a split, of the sample as it is or in the other order.

    A sample that asks about something has one; one that asks about nothing has LISTS, each in an order of its own,
    because they say most.

    Yields:
        the sample; whether response_b is shown first, as response A; the answer.
    """
    for known in known_samples(world, split):
        for number in range(LISTS if known.truth == GENERAL else 1):
            drawn = hashlib.sha256(f"{world.seed} critique {known.sample.id} {number}".encode()).digest()
            rng = np.random.default_rng(list(drawn[:16]))
            swapped = bool(rng.random() < 0.5)
            verdict = str(rng.choice(list(VERDICTS), p=list(VERDICTS.values())))
            told = description(known, swapped, [str(name) for name in rng.permutation(asked_about(known))])
            yield known.sample, swapped, f"{told}\nVERDICT: {verdict}"


def asked_about(known: Known) -> list[str]:
    """What a sample asks about; where that is nothing, all that its responses could be asked about."""
    if known.truth != GENERAL:
        return [known.truth]
    return [family.truth for family in FAMILIES[known.sample.task] if not family.held_out]


def description(known: Known, swapped: bool, names: Sequence[str]) -> str:
    """How much of what is named the response shown first and the other one have, and whether it is wanted.

    >>> from omnireward.miniature.world import World, known_samples
    >>> known = next(known_samples(World(), "train"))
    >>> description(known, swapped=False, names=asked_about(known))
    'Numbers is wanted: A 0, B 9.'
    """
    first, second = (known.b, known.a) if swapped else (known.a, known.b)
    wanted = "" if known.truth == GENERAL else " is wanted" if known.direction > 0 else " is not wanted"
    return " ".join(
        f"{name.capitalize()}{wanted}: A {_level(first, name)}, B {_level(second, name)}." for name in names
    )


def _level(item: Item, name: str) -> int:
    return round(TOP * item.truth[name])
