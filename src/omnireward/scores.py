"""Scores and ranks become preferences, by one stated rule.

Many sources give each response a number instead of saying which of two is better. Two responses differ by
``score(a) - score(b)``: by at least `margin` and not by nothing, the better one is preferred; by less, they tie. Ties
are kept unless they are not wanted. What the numbers were stands in the sample's provenance, so that another margin can
be chosen later without the source.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from omnireward.errors import RecipeError
from omnireward.types import Preference

PAIRS = ("all", "best")
_ROUNDING = 1e-9  # of a margin: 13/3 - 10/3, two means of three marks, is a hair under 1


@dataclass(frozen=True, slots=True)
class PairRule:
    """How scored responses become pairs. A source's settings: ``NAME:FOLDER?margin=1&ties=no&pairs=best``.

    Attributes:
        margin: the smallest difference, in the source's own units, that is a preference.
        ties: whether pairs that differ by less are kept, as ties.
        pairs: every two responses (all), or the best against each other one (best).

    Raises:
        RecipeError: a negative margin, or another word for `pairs`.
    """

    margin: float = 0.0
    ties: bool = True
    pairs: str = "all"

    def __post_init__(self) -> None:
        if not 0 <= self.margin < math.inf:
            raise RecipeError(f"a margin is a number from 0 on; got {self.margin}.")
        if self.pairs not in PAIRS:
            raise RecipeError(f"pairs is one of {', '.join(PAIRS)}; got {self.pairs!r}.")


@dataclass(frozen=True, slots=True)
class ScoredPair:
    """Two positions in the source's own order, `a` before `b`, and which is better."""

    a: int
    b: int
    preference: Preference
    scores: tuple[float, float]

    def provenance(self) -> dict[str, str]:
        """What a sample says of it."""
        return {"score_a": repr(self.scores[0]), "score_b": repr(self.scores[1])}


def scored_pairs(
    scores: Sequence[float | None], rule: PairRule, better: Literal["higher", "lower"] = "higher"
) -> Iterator[ScoredPair]:
    """The pairs that a rule makes of one prompt's responses.

    Args:
        scores: of each response; None where it has none, which takes it out of all pairs.
        rule: margin, ties, which pairs.
        better: ``lower`` for ranks.

    >>> [(p.a, p.b, p.preference) for p in scored_pairs([4.0, None, 2.0, 3.5], PairRule(margin=1.0))]
    [(0, 2, 'a'), (0, 3, 'tie'), (2, 3, 'b')]
    """
    known = [(i, score) for i, score in enumerate(scores) if score is not None and math.isfinite(score)]
    sign = 1 if better == "higher" else -1
    least = rule.margin * (1 - _ROUNDING)
    best = max(known, key=lambda one: (sign * one[1], -one[0]), default=(0, 0.0))[0]
    for (a, first), (b, second) in combinations(known, 2):
        if rule.pairs == "best" and best not in (a, b):
            continue
        gap = sign * (first - second)
        preference: Preference = "tie" if gap == 0 or abs(gap) < least else "a" if gap > 0 else "b"
        if preference != "tie" or rule.ties:
            yield ScoredPair(a, b, preference, (first, second))
