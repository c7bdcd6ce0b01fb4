"""What failures have cut off is asked about again, elsewhere: without it one broken response takes others with it.

A schedule asks few pairs, so a comparison without a verdict may be all that connected a response with the rest. After
the schedule, each part that is cut off gets one more comparison with the largest part, and another if that fails, too.
So a response that cannot be judged at all costs two calls more, and one that was unlucky gets its number.
"""

from __future__ import annotations

import random
from collections import Counter

import numpy as np

from omnireward.ranking.parts import parts_of
from omnireward.ranking.schedules import Pair, Share, Steps

TRIES = 2


class Links:
    """Which pairs were asked, and what they connect."""

    def __init__(self, players: int) -> None:
        self._linked = np.zeros((players, players))
        self._asked: set[frozenset[int]] = set()
        self._failures: Counter[int] = Counter()

    def take(self, pairs: list[Pair], shares: list[Share]) -> None:
        """What came of some pairs."""
        self._asked.update(frozenset(pair) for pair in pairs)
        for pair, share in zip(pairs, shares, strict=True):
            if share is None:
                self._failures.update(pair)
            else:
                self._linked[pair] = 1

    def missing(self, rng: random.Random) -> list[Pair]:
        """A drawn pair for each part that is cut off; none where all is connected, or nothing is left to ask."""
        parts = parts_of(self._linked)
        largest = max(parts, key=lambda part: (len(part), -sum(self._failures[player] for player in part)))
        left = [
            [(one, other) for one in part for other in largest if frozenset((one, other)) not in self._asked]
            for part in parts
            if part is not largest
        ]
        return [rng.choice(pairs) for pairs in left if pairs]


def mended(steps: Steps[None], players: int, rng: random.Random) -> Steps[None]:
    """The pairs of a schedule, and then those that mend it. Nothing more is asked where all is connected."""
    links = Links(players)
    pairs = next(steps)
    while True:
        shares = yield pairs
        links.take(pairs, shares)
        try:
            pairs = steps.send(shares)
        except StopIteration:
            break
    for _ in range(TRIES):
        if pairs := links.missing(rng):
            links.take(pairs, (yield pairs))
