"""Everyone meets everyone once: N (N - 1) / 2 pairs, all in one round. Dear, and what the others are measured by."""

from __future__ import annotations

from itertools import combinations

from omnireward.ranking.schedules import Field, Schedule, Steps, every


def _steps(field: Field) -> Steps[None]:
    yield list(combinations(range(field.players), 2))


SCHEDULE = Schedule("every pair once: N (N - 1) / 2", _steps, lambda players, _: every(players))
