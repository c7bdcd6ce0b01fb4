"""Which pictures of a sequence stand for all of it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def nearest(times: Sequence[int], count: int) -> list[int]:
    """The items nearest to `count` moments spread evenly from the first time to the last, both included.

    A single moment is the middle. Between two items equally near, the earlier; an item may come several times.

    Args:
        times: increasing, not empty; any unit.
        count: at least 1.

    >>> nearest([0, 10, 20, 30, 40], 3), nearest([0, 1, 2, 100], 3), nearest([5], 4), nearest([0, 1, 2], 1)
    ([0, 2, 4], [0, 2, 3], [0, 0, 0, 0], [1])
    """
    at = np.asarray(times, np.float64)
    moments = np.linspace(at[0], at[-1], count) if count > 1 else np.array([(at[0] + at[-1]) / 2])
    after = np.searchsorted(at, moments).clip(0, len(at) - 1)
    before = (after - 1).clip(0)
    nearer = np.where(moments - at[before] <= at[after] - moments, before, after)
    return [int(i) for i in nearer]
