"""Who can be compared with whom: the connected parts of what has been played."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike


def parts_of(wins: ArrayLike) -> list[list[int]]:
    """Players that are connected by games, each part in order and the parts by their first player.

    >>> parts_of([[0, 0, 0.5], [0, 0, 0], [0.5, 0, 0]])
    [[0, 2], [1]]
    """
    table = np.asarray(wins)
    linked = (table + table.T) > 0
    left = set(range(len(table)))
    parts = []
    while left:
        part, fresh = set(), {min(left)}
        while fresh:
            part |= fresh
            fresh = set(np.flatnonzero(linked[sorted(fresh)].any(axis=0)).tolist()) - part
        left -= part
        parts.append(sorted(part))
    return parts
