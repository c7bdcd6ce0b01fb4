"""Each against one: a given reference, or a drawn response. N - 1 pairs (N with a reference), all in one round.

The fewest pairs that connect everybody. Verdicts without probabilities tell only three kinds apart: above, level with
and below the anchor.
"""

from __future__ import annotations

from omnireward.ranking.schedules import Field, Schedule, Steps


def _steps(field: Field) -> Steps[None]:
    anchor = field.rng.randrange(field.players) if field.reference is None else field.reference
    yield [(player, anchor) for player in range(field.players) if player != anchor]


SCHEDULE = Schedule("each against one: N - 1, or N against a reference", _steps, lambda players, _: players - 1)
