"""Accuracy without ties (the paper's *w/o ties* setting, section 3): samples that people called a tie are left out.

A margin of exactly 0 names no winner and counts as wrong, as in pairwise training code that asks for reward(chosen) >
reward(rejected). So does a sample without a margin; the accuracy over judged samples alone stands beside it, because
the same answers give different accuracies under either rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PREFERENCES = ("a", "b", "tie")


@dataclass(frozen=True, slots=True)
class AccuracyWithoutTies:
    """Counts and accuracies (fractions) over the samples whose preference is `a` or `b`.

    `accuracy` divides by `samples`, `judged_accuracy` by `judged`; each is None where that is 0.
    `exact_zero` counts margins of exactly 0 among the judged.
    """

    correct: int
    samples: int
    judged: int
    exact_zero: int

    @property
    def accuracy(self) -> float | None:
        """Headline accuracy: a sample without a margin is wrong."""
        return self.correct / self.samples if self.samples else None

    @property
    def judged_accuracy(self) -> float | None:
        """Accuracy over the samples that have a margin."""
        return self.correct / self.judged if self.judged else None


def accuracy_without_ties(margins: Sequence[float | None], preferences: Sequence[str]) -> AccuracyWithoutTies:
    """Count right and wrong among the samples that people did not call a tie.

    Args:
        margins: (n,) reward(a) - reward(b); None where there is no verdict or judging failed.
        preferences: (n,) 'a', 'b' or 'tie'.

    Raises:
        ValueError: the lengths differ, a preference is unknown, or a margin is not finite.

    >>> accuracy_without_ties([2.0, 0.0, None, -1.0], ["a", "a", "b", "tie"])
    AccuracyWithoutTies(correct=1, samples=3, judged=2, exact_zero=1)
    """
    right = agrees(margins, preferences)
    asked = [margin for margin, preference in zip(margins, preferences, strict=True) if preference != "tie"]
    judged = [margin for margin in asked if margin is not None]
    return AccuracyWithoutTies(
        correct=int(right.sum()), samples=len(asked), judged=len(judged), exact_zero=sum(m == 0 for m in judged)
    )


def agrees(margins: Sequence[float | None], preferences: Sequence[str]) -> NDArray[np.bool_]:
    """Whether the sign of each margin names the preferred response: (n,) bool.

    False for a margin of 0, for None, and for a sample that people called a tie. Raises as `accuracy_without_ties`.
    """
    check_preferences(preferences, len(margins))
    for position, margin in enumerate(margins):
        if margin is not None and not np.isfinite(margin):
            raise ValueError(f"margin {position} is {margin}; margins are finite, or None where there is no verdict.")
    signs = np.array([0 if m is None else np.sign(m) for m in margins], dtype=np.int8)
    wanted = np.array([{"a": 1, "b": -1, "tie": 2}[p] for p in preferences], dtype=np.int8)
    agreement: NDArray[np.bool_] = signs == wanted
    return agreement


def check_preferences(preferences: Sequence[str], expected: int) -> None:
    """Raise ValueError unless there are `expected` preferences, each 'a', 'b' or 'tie'."""
    if len(preferences) != expected:
        raise ValueError(f"{expected} margins but {len(preferences)} preferences; there is one of each for a sample.")
    unknown = sorted({str(p) for p in preferences if p not in PREFERENCES})
    if unknown:
        raise ValueError(f"unknown preference {unknown[0]!r}. Known: {', '.join(PREFERENCES)}.")
