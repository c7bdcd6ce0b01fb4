"""How far raters agree: Krippendorff's alpha for names (nominal), with an interval that resamples prompts.

With n_uc the ratings of unit u that say c, m_u its ratings, N_c and n their sums over the units of two ratings or more,
alpha is 1 - D_o / D_e, where D_o = sum_u (m_u^2 - sum_c n_uc^2) / (m_u - 1) and D_e = (n^2 - sum_c N_c^2) / (n - 1).
Raters that say nothing of a unit are simply missing from it. Both terms are made of sums over units, so the bootstrap
resamples whole clusters by multiplying those sums with how often each cluster is drawn.

The closed form is checked against evalica, whose own bootstrap treats units as independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnireward.metrics.intervals import CONFIDENCE, Interval

RESAMPLES = 1000
_MOST_DRAWN = 4_000_000  # numbers held at once: draws times clusters


@dataclass(frozen=True, slots=True)
class Alpha:
    """Krippendorff's alpha; `interval` is None from a single cluster. `units` have two ratings or more."""

    value: float
    interval: Interval | None
    units: int
    ratings: int


def krippendorff_alpha(
    counts: ArrayLike, clusters: Sequence[str], seed: int = 0, resamples: int = RESAMPLES
) -> Alpha | None:
    """Alpha, and its 95 % percentile interval over resampled clusters.

    Args:
        counts: (units, values) how many raters said each value of each unit.
        clusters: (units,) what each unit depends on, such as its prompt.
        seed: of the resampling; the same seed gives the same interval.
        resamples: how many.

    Returns:
        None where alpha means nothing: no unit has two ratings, or all ratings say the same value.

    Raises:
        ValueError: the lengths differ, or `counts` is not a table.

    >>> krippendorff_alpha([[2, 0], [0, 2], [1, 1]], ["x", "y", "z"]).value.__round__(3)
    0.444
    """
    table = np.asarray(counts, dtype=np.float64)
    if table.ndim != 2 or len(table) != len(clusters):
        raise ValueError(
            f"needs a table and one cluster for each of its rows; given {table.shape} and {len(clusters)}."
        )
    sizes = table.sum(axis=1)
    use = sizes > 1
    table, sizes = table[use], sizes[use]
    disagreement = (sizes**2 - (table**2).sum(axis=1)) / (sizes - 1)
    names = [name for name, used in zip(clusters, use, strict=True) if used]
    number_of = {name: number for number, name in enumerate(sorted(set(names)))}  # order must not change a resample
    sums = np.zeros((len(number_of), 1 + table.shape[1]))
    np.add.at(sums, [number_of[name] for name in names], np.column_stack([disagreement, table]))
    value = float(_alpha(sums.sum(axis=0, keepdims=True))[0])
    if not np.isfinite(value):
        return None
    interval = _interval(sums, seed, resamples) if len(sums) > 1 else None
    return Alpha(value, interval, len(table), int(sizes.sum()))


def _interval(sums: NDArray[np.float64], seed: int, resamples: int) -> Interval | None:
    rng, count = np.random.default_rng(seed), len(sums)
    share = np.full(count, 1 / count)
    drawn: list[NDArray[np.float64]] = []
    left = resamples
    while left:
        now = min(left, max(1, _MOST_DRAWN // count))
        drawn.append(_alpha(rng.multinomial(count, share, size=now) @ sums))
        left -= now
    values = np.concatenate(drawn)
    values = values[np.isfinite(values)]  # a resample of one value only has no alpha
    if not len(values):
        return None
    low, high = np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _alpha(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """(rows,) from (rows, 1 + values): the disagreement observed, and how often each value; NaN where undefined."""
    values = sums[:, 1:]
    total = values.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = (total**2 - (values**2).sum(axis=1)) / (total - 1)
        found: NDArray[np.float64] = np.where(expected > 0, 1 - sums[:, 0] / expected, np.nan)
    return found
