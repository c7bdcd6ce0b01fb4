"""Reliability of margins: does a response win as often as its margin says?

Under Bradley-Terry (the paper's equation 1) a margin m claims that response a wins with probability sigmoid(m). Samples
that people called a tie have no winner and are left out. The intervals treat samples as independent: they show which
bins are thin, and are no test.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnireward.metrics.intervals import Interval, wilson_interval

BINS = 10


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Samples whose claimed probability is in [low, high): how many, claimed on average, and observed."""

    low: float
    high: float
    samples: int
    claimed: float
    observed: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Reliability:
    """Non-empty bins, mean squared error of the claims (Brier), and expected calibration error; all fractions."""

    bins: tuple[ReliabilityBin, ...]
    samples: int
    brier: float
    calibration_error: float


def win_probability(margins: ArrayLike) -> NDArray[np.float64]:
    """sigmoid(margin), (n,) float64: the claimed probability that a wins. Finite for margins of any size.

    >>> win_probability([0.0, 1000.0, -1000.0]).tolist()
    [0.5, 1.0, 0.0]
    """
    # tanh saturates where exp overflows.
    result: NDArray[np.float64] = 0.5 * (1 + np.tanh(0.5 * np.asarray(margins, dtype=np.float64)))
    return result


def reliability(claimed: ArrayLike, a_won: Sequence[bool] | NDArray[np.bool_]) -> Reliability:
    """Compare claimed probabilities with outcomes in `BINS` bins of equal width.

    Args:
        claimed: (n,) in [0, 1], the probability that response a wins.
        a_won: (n,) whether people preferred a.

    Raises:
        ValueError: nothing given, lengths that differ, or a claim outside [0, 1].
    """
    claims, wins = np.asarray(claimed, dtype=np.float64), np.asarray(a_won, dtype=np.bool_)
    if not len(claims) or claims.shape != wins.shape:
        raise ValueError(f"needs one outcome for each claim, and a claim; given {claims.shape} and {wins.shape}.")
    if not ((claims >= 0) & (claims <= 1)).all():
        raise ValueError("claimed probabilities lie in [0, 1]; turn margins into them with win_probability.")
    member = np.minimum((claims * BINS).astype(int), BINS - 1)  # a claim of 1.0 belongs to the last bin
    bins = []
    for k in np.unique(member):
        inside = member == k
        count, won = int(inside.sum()), int(wins[inside].sum())
        bins.append(
            ReliabilityBin(
                low=int(k) / BINS,
                high=(int(k) + 1) / BINS,
                samples=count,
                claimed=float(claims[inside].mean()),
                observed=won / count,
                interval=wilson_interval(won, count),
            )
        )
    error = sum(b.samples * abs(b.claimed - b.observed) for b in bins) / len(claims)
    return Reliability(tuple(bins), len(claims), brier=float(((claims - wins) ** 2).mean()), calibration_error=error)
