"""Merge sort: the true order from a judge that is right; at most N log2 N - N + 1 pairs where N is a power of two.

Worst case n ceil(log2 n) - 2^ceil(log2 n) + 1, the same as binary insertion: 1, 3, 5, 8, 11, 14, 17 for 2 to 8 players,
49 for 16, 129 for 32. The least that any way could need, log2 n! rounded up, is 16 for 8 and 45 for 16. The halves are
sorted side by side, so 8 players take at most 11 rounds where insertion takes 17.

A tie merges two into one class, which its first player stands for from then on. Where there is no verdict, the player
of the first half goes first: the sort must go on, and that step says nothing about strengths.

A judge that is wrong now and then is believed each time. Even so, for as many calls no schedule here ranks 8 responses
much better; more calls do: see `swiss` and `all`.
"""

from __future__ import annotations

from omnireward.ranking.schedules import Field, Schedule, Share, Steps, together

_LEVEL = 1e-9  # shares of probabilities that sum to 1 in floating point


def _steps(field: Field) -> Steps[None]:
    yield from _sorted(field.rng.sample(range(field.players), field.players))


def _sorted(players: list[int]) -> Steps[list[list[int]]]:
    """Classes of equal players, best first."""
    if len(players) == 1:
        return [players]
    half = len(players) // 2
    better, worse = yield from together([_sorted(players[:half]), _sorted(players[half:])])
    return (yield from _merged(better, worse))


def _merged(one: list[list[int]], other: list[list[int]]) -> Steps[list[list[int]]]:
    merged: list[list[int]] = []
    while one and other:
        share: Share
        (share,) = yield [(one[0][0], other[0][0])]
        if share is not None and abs(share - 0.5) <= _LEVEL:
            merged.append(one[0] + other[0])
            one, other = one[1:], other[1:]
        elif share is None or share > 0.5:
            merged.append(one[0])
            one = one[1:]
        else:
            merged.append(other[0])
            other = other[1:]
    return merged + one + other


def _most(players: int, _: int | None) -> int:
    levels = (players - 1).bit_length()  # log2, rounded up
    most: int = players * levels - 2**levels + 1
    return most


SCHEDULE = Schedule("merge sort: 17 pairs for 8, for a judge that is right", _steps, _most)
