"""Written answers: facts about what was asked, in a chosen manner.

An answer is its opening, facts, and extras. Each manner (polite, cautious, ...) has several phrasings, and filler
sentences vary, so that texts differ even where their truth is the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from omnireward.miniature.items import Item, level, one_of
from omnireward.types import Text

TOPICS = (
    "tea", "rain", "trains", "bread", "chess", "cats", "music", "snow", "bees", "books", "salt", "rivers",
    "clocks", "stars", "gardens", "bicycles", "cheese", "boats", "maps", "honey",
)  # fmt: skip
DETAILS = (
    "People like it.", "It is easy to find.", "Many families keep some.", "Old stories speak of it.",
    "It looks best at dawn.", "You learn it at school.", "It has changed a little.", "The market has some.",
    "It is part of most days.", "The village has its own.",
)  # fmt: skip
POLITE = ("Thank you for asking.", "With pleasure, dear friend.", "Thank you kindly.")
CAUTIOUS = ("Perhaps I am wrong.", "I am not quite sure.", "Maybe this is not certain.")
CHEERFUL = ("What a joy!", "How wonderful!", "That is great fun!")
NUMBERS = ("It takes {n} minutes.", "There are {n} kinds.", "About {n} are known.")
REASONS = ("That is because of the weather.", "The reason is the wind.", "It is so because people need it.")
EXAMPLES = ("For example, a small farm.", "Take the old mill as an example.", "One example is the harbour.")


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
    return Manner(level(rng, 3), *(bool(rng.random() < 0.4) for _ in range(6)), order=int(rng.integers(2**31)))


def write(manner: Manner, facts: tuple[str, ...]) -> str:
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
    return " ".join([*opening, *facts, *extras])


def answer_item(manner: Manner, facts: tuple[str, ...], facts_right: dict[str, float]) -> Item:
    """An answer as an item. `facts_right` says for each kind of fact whether the answer has it right (1) or not (0)."""
    truth = {
        "detail": manner.detail,
        "polite": float(manner.polite),
        "cautious": float(manner.cautious),
        "cheerful": float(manner.cheerful),
        "numbers": float(manner.numbers),
        "reason": float(manner.reason),
        "example": float(manner.example),
        **facts_right,
    }
    right = list(facts_right.values())
    truth["general"] = sum(right) / len(right)
    return Item(Text(write(manner, facts)), truth)
