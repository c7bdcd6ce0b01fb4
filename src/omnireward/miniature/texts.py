"""Written answers: facts about what was asked, in a chosen manner.

An answer is its opening, facts, and extras. Each manner (polite, cautious, ...) has several phrasings, and filler
sentences vary, so that texts differ even where their truth is the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from omnireward.miniature.items import Item, Split, draw_for, level, one_of
from omnireward.types import Text

TOPICS = ("tea", "rain", "trains", "bread", "cats", "music", "bees", "books")
DETAILS = ("Also, people like it.", "Also, it is easy to find.", "Also, stories tell of it.", "Also, schools teach it.")
POLITE = ("Thank you.", "With pleasure.", "Kind regards.")
CAUTIOUS = ("Perhaps not.", "I am unsure.", "Maybe so.")
CHEERFUL = ("What joy!", "Wonderful!", "Great fun!")
NUMBERS = ("It takes {n} minutes.", "There are {n}.", "I count {n}.")
REASONS = ("Because of the wind.", "The reason is need.", "Because people care.")
EXAMPLES = ("For example, a farm.", "Take a mill.", "Say, a harbour.")


@dataclass(frozen=True, slots=True)
class Manner:
    """How an answer is written. `detail` is in [0, 1]; `order` is a seed for which phrasings and fillers are used."""

    detail: float
    polite: bool
    cautious: bool
    cheerful: bool
    numbers: bool
    reason: bool
    example: bool
    order: int


def draw_manner(rng: np.random.Generator) -> Manner:
    """A manner with every attribute drawn at random."""
    detail = level(rng, 2)
    polite, cautious, cheerful, numbers, reason, example = (bool(rng.random() < 0.35) for _ in range(6))
    return Manner(detail, polite, cautious, cheerful, numbers, reason, example, int(rng.integers(2**31)))


def write(manner: Manner, facts: str) -> str:
    """The answer in words."""
    rng = np.random.default_rng(manner.order)
    fillers = [DETAILS[i] for i in rng.permutation(len(DETAILS))[: round(2 * manner.detail)]]
    extras = [*fillers]
    for wanted, phrases in (
        (manner.cautious, CAUTIOUS),
        (manner.numbers, NUMBERS),
        (manner.reason, REASONS),
        (manner.example, EXAMPLES),
        (manner.cheerful, CHEERFUL),
    ):
        if wanted:
            extras.append(one_of(rng, phrases).format(n=int(rng.integers(3, 99))))
    extras = [extras[i] for i in rng.permutation(len(extras))]
    opening = [one_of(rng, POLITE)] if manner.polite else []
    return " ".join([*opening, facts, *extras])


def answer_item(
    split: Split, rng: np.random.Generator, facts: str, claims: Mapping[str, str], right: Mapping[str, str]
) -> Item:
    """An answer of the split, its manner drawn at random.

    Args:
        split: to which the text belongs.
        rng: draws the manner.
        facts: its facts in words.
        claims: what it claims, by kind of fact.
        right: what is true. Without a criterion people want truth and politeness alike.
    """
    manner = draw_for(split, rng, draw_manner, lambda drawn: write(drawn, facts))
    manners = {
        "detail": manner.detail,
        "polite": float(manner.polite),
        "cautious": float(manner.cautious),
        "cheerful": float(manner.cheerful),
        "numbers": float(manner.numbers),
        "reason": float(manner.reason),
        "example": float(manner.example),
    }
    true = sum(claims[kind] == value for kind, value in right.items()) / len(right)
    labels = {**manners, **{f"says {kind} {value}": 1.0 for kind, value in claims.items()}}
    truth = {**manners, "true": true, "general": (true + manners["polite"]) / 2}
    return Item(Text(write(manner, facts)), truth, labels)
