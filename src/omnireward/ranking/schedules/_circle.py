"""Rounds in which everyone meets someone, until all have met: the circle method.

One player stays where it is, the others go round; in each round those opposite each other meet. Two rounds that follow
each other make one ring of all players, so their pairs connect everybody. An odd player out sits opposite nobody.
"""

from __future__ import annotations

import random

from omnireward.ranking.schedules import Pair


def rounds(players: int, rng: random.Random) -> list[list[Pair]]:
    """All pairs, each once, in rounds of pairs without a common player; who stands where is drawn.

    >>> [len(pairs) for pairs in rounds(4, random.Random(0))], [len(pairs) for pairs in rounds(5, random.Random(0))]
    ([2, 2, 2], [2, 2, 2, 2, 2])
    """
    standing: list[int | None] = list(rng.sample(range(players), players))
    if players % 2:
        standing.insert(0, None)
    fixed, ring = standing[0], standing[1:]
    found = []
    for turn in range(len(ring)):
        turned = ring[turn:] + ring[:turn]
        opposite = [(fixed, turned[0])]
        opposite += [(turned[place], turned[-place]) for place in range(1, len(standing) // 2)]
        found.append([(a, b) for a, b in opposite if a is not None and b is not None])
    return found
