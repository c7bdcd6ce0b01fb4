"""How far annotators agree: Krippendorff's alpha for a, b and tie as names (nominal), and pairs of people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from omnireward.metrics.agreement import krippendorff_alpha
from omnireward.types import Preference

_VALUES: tuple[Preference, ...] = ("a", "b", "tie")


@dataclass(frozen=True, slots=True)
class Unit:
    """The votes under one criterion, by person."""

    cluster: str
    votes: Mapping[str, Preference]


@dataclass(frozen=True, slots=True)
class Agreement:
    """Alpha, its 95 % interval, and how many votes it comes from."""

    alpha: float
    low: float
    high: float
    votes: int


@dataclass(frozen=True, slots=True)
class Pair:
    """How many criteria two people both voted under, and how many of these votes are the same."""

    who: tuple[str, str]
    same: int
    both: int


def agreement(units: Sequence[Unit]) -> Agreement | None:
    """Alpha, with an interval that resamples clusters: criteria of one prompt share its difficulty.

    None where it means nothing: only one value was voted, or fewer than two clusters have criteria with two votes.
    """
    counts = [[sum(vote == value for vote in unit.votes.values()) for value in _VALUES] for unit in units]
    found = krippendorff_alpha(counts, [unit.cluster for unit in units]) if units else None
    if found is None or found.interval is None:
        return None
    return Agreement(found.value, *found.interval, found.ratings)


def pairs(units: Sequence[Unit]) -> list[Pair]:
    """Each two people who voted under the same criteria, by name."""
    counts: dict[tuple[str, str], list[int]] = {}
    for unit in units:
        for one, other in combinations(sorted(unit.votes), 2):
            count = counts.setdefault((one, other), [0, 0])
            count[0] += unit.votes[one] == unit.votes[other]
            count[1] += 1
    return [Pair(who, same, both) for who, (same, both) in sorted(counts.items())]
