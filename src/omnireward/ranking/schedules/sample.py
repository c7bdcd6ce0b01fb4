"""A drawn part of all pairs, in one round, for a number of calls: connected, and everyone meets about as many.

The first two rounds of the circle method connect everybody in N - 1 pairs; further rounds come in a drawn order. How
often two players meet somebody differs by at most 1, and by at most 2 where N is odd. 2 N pairs by default.
"""

from __future__ import annotations

from collections import Counter

from omnireward.ranking.schedules import Field, Pair, Schedule, Steps, every
from omnireward.ranking.schedules._circle import rounds


def _steps(field: Field) -> Steps[None]:
    turns = rounds(field.players, field.rng)
    rest = turns[2:]
    field.rng.shuffle(rest)
    chosen: list[Pair] = []
    met: Counter[int] = Counter()
    for pairs in (*turns[:2], *rest):
        for pair in sorted(pairs, key=lambda each: met[each[0]] + met[each[1]]):  # those that sat out come first
            if len(chosen) < _most(field.players, field.pairs):
                chosen.append(pair)
        met.update(player for pair in pairs for player in pair)
    yield chosen


def _most(players: int, pairs: int | None) -> int:
    return min(every(players), 2 * players if pairs is None else pairs)


SCHEDULE = Schedule("drawn pairs for a number of calls, connected and even", _steps, _most, reads_calls=True)
