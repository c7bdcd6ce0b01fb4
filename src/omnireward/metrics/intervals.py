"""95 % intervals for accuracies whose samples share prompts.

Samples of one prompt (a cluster) are right or wrong together, and an interval that ignores it is too narrow: with 100
prompts of three samples and an intra-cluster correlation of .5 it covers the truth 82 % of the time instead of 95 %.
So one accuracy gets a cluster-robust t interval (Miller 2024, arXiv 2411.00640; finite-cluster correction C / (C - 1),
C - 1 degrees of freedom), and the mean over tasks a cluster bootstrap stratified by task.

Where no variation was seen, or there are fewer than `FEW_CLUSTERS` prompts to see it in, that interval would have no
or an arbitrary width; Wilson's interval takes its place, with the number of clusters as the number of trials. From a
single cluster nothing can be said about other prompts: the interval is None.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Interval = tuple[float, float]
CONFIDENCE = 0.95
FEW_CLUSTERS = 5
RESAMPLES = 2000


def wilson_interval(successes: float, trials: int) -> Interval:
    """Wilson's 95 % score interval of a proportion; never of zero width, never outside [0, 1].

    Raises:
        ValueError: no trials, or successes outside [0, trials].

    >>> [round(bound, 3) for bound in wilson_interval(0, 20)]
    [0.0, 0.161]
    """
    if trials < 1 or not 0 <= successes <= trials:
        raise ValueError(f"an interval needs 0 <= successes <= trials and a trial; given {successes} of {trials}.")
    z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
    share = successes / trials
    centre = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + (z / (2 * trials)) ** 2)
    # At 0 and n the bound is exactly 0 or 1; the formula misses it by a rounding error.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return low, high


def cluster_interval(values: ArrayLike, clusters: Sequence[str]) -> Interval | None:
    """95 % interval of the mean of right-or-wrong values whose clusters are dependent inside; None for one cluster.

    Args:
        values: (n,) of 0 and 1.
        clusters: (n,) the prompt of each.

    Raises:
        ValueError: nothing given, or the lengths differ.
    """
    sums, sizes = _cluster_sums(values, clusters)
    count, total = len(sums), int(sizes.sum())
    if count == 1:
        return None
    mean = float(sums.sum()) / total
    residuals = sums - mean * sizes
    variance = count / (count - 1) * float((residuals**2).sum()) / total**2
    # Not `== 0`: clusters that are each half right leave residuals of rounding size.
    if count < FEW_CLUSTERS or variance < 1e-20:
        return wilson_interval(min(mean * count, count), count)
    half = t_quantile(count - 1) * math.sqrt(variance)
    return max(0.0, mean - half), min(1.0, mean + half)


def macro_interval(
    strata: Sequence[tuple[ArrayLike, Sequence[str]]], seed: int, resamples: int = RESAMPLES
) -> Interval | None:
    """95 % percentile interval of the unweighted mean of the strata's means, by resampling clusters in each stratum.

    Args:
        strata: for each task, its (n,) values of 0 and 1 and their (n,) clusters.
        seed: of the resampling; the same seed gives the same interval.
        resamples: how many bootstrap samples.

    Returns:
        None if any stratum has a single cluster. Where no resample differs (all right, or all wrong), Wilson's
        interval over all clusters, because a bootstrap cannot show what it has not seen.

    Raises:
        ValueError: no stratum, or an empty one.
    """
    if not strata:
        raise ValueError("a mean over tasks needs at least one task.")
    rng = np.random.default_rng(seed)
    means = np.zeros(resamples)
    clusters_seen = 0
    for values, clusters in strata:
        sums, sizes = _cluster_sums(values, clusters)
        count = len(sums)
        if count == 1:
            return None
        # Drawing C clusters with replacement is drawing how often each occurs: (resamples, C).
        times = rng.multinomial(count, np.full(count, 1 / count), size=resamples)
        means += (times @ sums) / (times @ sizes)
        clusters_seen += count
    means /= len(strata)
    low, high = (float(bound) for bound in np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]))
    if math.isclose(low, high):
        return wilson_interval(min(low * clusters_seen, clusters_seen), clusters_seen)
    return max(0.0, low), min(1.0, high)


@lru_cache(maxsize=1024)
def t_quantile(freedom: int, confidence: float = CONFIDENCE) -> float:
    """The t for which Student's distribution has `confidence` between -t and t.

    By bisection on the finite series for whole degrees of freedom (Abramowitz and Stegun 26.7.3 and 26.7.4).

    Raises:
        ValueError: no degree of freedom, or a confidence outside (0, 1).

    >>> round(t_quantile(10), 3)
    2.228
    """
    if freedom < 1 or not 0 < confidence < 1:
        raise ValueError(f"needs freedom >= 1 and 0 < confidence < 1; given {freedom} and {confidence}.")
    # Bisect the angle atan(t / sqrt(freedom)), which is bounded where t is not.
    low, high = 0.0, math.pi / 2
    for _ in range(64):
        middle = (low + high) / 2
        if _t_inside(middle, freedom) < confidence:
            low = middle
        else:
            high = middle
    return math.tan(low) * math.sqrt(freedom)


def _t_inside(angle: float, freedom: int) -> float:
    """Probability of |T| < tan(angle) * sqrt(freedom)."""
    square = math.cos(angle) ** 2
    odd = freedom % 2
    # Terms after the first multiply by (k - 1) / k cos^2 with k of freedom's parity, up to freedom - 2.
    k = np.arange(2 + odd, freedom - 1, 2, dtype=np.float64)
    terms = 1 + float(np.cumprod((k - 1) / k * square).sum())
    if not odd:
        return math.sin(angle) * terms
    if freedom == 1:
        return 2 / math.pi * angle
    return 2 / math.pi * (angle + math.sin(angle) * math.cos(angle) * terms)


def _cluster_sums(values: ArrayLike, clusters: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each cluster, how many values are 1 and how many there are: two (C,) arrays."""
    numbers = np.asarray(values, dtype=np.int64)
    if not len(numbers) or len(numbers) != len(clusters):
        raise ValueError(f"needs one cluster for each value, and a value; given {len(numbers)} and {len(clusters)}.")
    # Sorted, so that the order of the samples changes no resample. Not by an array of names: numpy gives each name the
    # room of the longest, and drops NULs at their ends.
    number_of = {name: number for number, name in enumerate(sorted(set(clusters)))}
    member = np.array([number_of[name] for name in clusters])
    sums = np.zeros(len(number_of), dtype=np.int64)
    np.add.at(sums, member, numbers)
    return sums, np.bincount(member, minlength=len(number_of)).astype(np.int64)
