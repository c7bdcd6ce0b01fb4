"""Rounds in which those of like strength meet, as in a Swiss tournament: for judges that are wrong now and then.

After each round strengths are fitted anew, and each player, the strongest first, meets the nearest whom it has not met.
Until all are connected, one that it is not connected with goes before, so N - 1 pairs connect all. Nobody meets twice.
A round asks up to N / 2 pairs; by default there are ceil(log2 N) + 2 times N / 2: 20 pairs for 8 players, 48 for 16.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from omnireward.metrics.bradley_terry import bradley_terry
from omnireward.ranking.parts import parts_of
from omnireward.ranking.schedules import Field, Pair, Schedule, Steps, every

_DIGITS = 6  # strengths equal up to these are equal: the order drawn at the start decides


def _steps(field: Field) -> Steps[None]:
    count = field.players
    left = _most(count, field.pairs)
    drawn = field.rng.sample(range(count), count)
    wins = np.zeros((count, count))
    met: set[frozenset[int]] = set()
    while left:
        pairs = _round(drawn, wins, met)[:left]
        met.update(frozenset(pair) for pair in pairs)
        left -= len(pairs)
        for (one, other), share in zip(pairs, (yield pairs), strict=True):
            if share is not None:
                wins[one, other] += share
                wins[other, one] += 1 - share


def _round(drawn: list[int], wins: NDArray[np.float64], met: set[frozenset[int]]) -> list[Pair]:
    """Pairs without a common player; at least one while any two have not met."""
    strengths = np.round(bradley_terry(wins).strengths, _DIGITS)
    part = {player: number for number, players in enumerate(parts_of(wins)) for player in players}
    waiting = sorted(drawn, key=lambda player: -strengths[player])  # stable: equals as drawn
    pairs = []
    while waiting:
        one = waiting.pop(0)
        unmet = [other for other in waiting if frozenset((one, other)) not in met]
        if unmet:
            other = min(unmet, key=lambda each: (part[each] == part[one], abs(strengths[each] - strengths[one])))
            waiting.remove(other)
            pairs.append((one, other))
            joined = part[other]
            part = {player: part[one] if number == joined else number for player, number in part.items()}
    return pairs


def _most(players: int, pairs: int | None) -> int:
    rounds = (players - 1).bit_length() + 2
    return min(every(players), rounds * (players // 2) if pairs is None else pairs)


SCHEDULE = Schedule("rounds of those of like strength, for noisy judges", _steps, _most, reads_calls=True)
