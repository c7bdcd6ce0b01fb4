"""95 % intervals over prompts and over seeds of training, for figures and for differences of figures.

A figure of one way of training hangs on the prompts of the benchmark and on the seeds of its trainings. A hierarchical
bootstrap draws both anew: prompts (clusters of samples, within each task) and seeds, with replacement. What is compared
is drawn alike: a prompt that two figures share, and a seed that two ways of training share, is drawn as often for one
as for the other, so that a difference has the interval of a paired one.

Three things are unusual. With few seeds a bootstrap of seeds is too narrow: of S seeds it finds (S - 1) / S of the
variance. So the deviations that drawing seeds makes are stretched by sqrt(S / (S - 1)), which mends exactly that. (That
three seeds say little about the spread of all seeds, it cannot mend.) What is luck of single samples is seen in both
prompts and seeds, so the interval errs on the wide side: in simulations with 3 to 8 seeds it held the truth in 94 to
99 % of the cases. With a single seed it speaks of the prompts alone.

A figure that chance makes larger, such as a calibration error (a mean of absolute values), a bootstrap makes larger
once more: its percentiles would leave out the truth. There the interval is the reversed one, 2 x figure - percentile.

And every figure is a function of sums over samples (right ones and all, or what a bin claimed and what came true), so a
draw of prompts is a product of how often each was drawn with its sums: nothing is counted again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from omnireward.metrics.intervals import CONFIDENCE, Interval, wilson_interval

RESAMPLES = 2000
_Numbers = NDArray[np.float64]
Finish = Callable[[_Numbers], _Numbers]
"""(..., k) sums -> (...) values of the figure; NaN where there is nothing to say."""
Universe = tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Tally:
    """A figure's sums.

    Attributes:
        clusters: for each stratum (a task) the names of its clusters (prompts), sorted.
        sums: for each stratum, (seeds, clusters, k) float64.
        finish: what the figure is of such sums.
        macro: the unweighted mean of the strata's figures; else the figure of all samples together.
        limits: between which the figure lies; the stretched draws of an interval may not.
        share: the figure is a share of samples, for which Wilson's interval stands in where no draw differs.
        upwards: chance makes the figure larger; see the header.
    """

    clusters: Mapping[str, tuple[str, ...]]
    sums: Mapping[str, _Numbers]
    finish: Finish
    macro: bool
    limits: Interval = (0.0, 1.0)
    share: bool = True
    upwards: bool = False

    @property
    def seeds(self) -> int:
        """How many trainings there are."""
        return int(next(iter(self.sums.values())).shape[0])


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure, or a sum of weighted figures: its mean over the seeds, its 95 % interval, and its value by seed.

    `interval` is None where nothing can be said: a task has a single prompt, or no draw differs.
    """

    value: float
    interval: Interval | None
    by_seed: tuple[float, ...]


def tally(
    samples: Sequence[tuple[str, str, Sequence[_Numbers]]],
    finish: Finish,
    macro: bool,
    limits: Interval = (0.0, 1.0),
    share: bool = True,
    upwards: bool = False,
) -> Tally:
    """Sum up samples.

    Args:
        samples: for each its stratum, its cluster, and for each seed a vector of length k.
        finish: see `Finish`.
        macro: see `Tally`.
        limits: see `Tally`.
        share: see `Tally`.
        upwards: see `Tally`.

    Raises:
        ValueError: no sample.
    """
    if not samples:
        raise ValueError("a figure needs a sample.")
    clusters: dict[str, tuple[str, ...]] = {}
    sums: dict[str, _Numbers] = {}
    for stratum in sorted({stratum for stratum, _, _ in samples}):
        members = [(cluster, vectors) for found, cluster, vectors in samples if found == stratum]
        names = tuple(sorted({cluster for cluster, _ in members}))
        place = {name: number for number, name in enumerate(names)}
        table = np.zeros((len(members[0][1]), len(names), len(members[0][1][0])))
        for cluster, vectors in members:
            table[:, place[cluster]] += np.asarray(vectors, dtype=np.float64)
        clusters[stratum], sums[stratum] = names, table
    return Tally(clusters, sums, finish, macro, limits, share, upwards)


def estimate(terms: Sequence[tuple[float, Tally]], seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """A weighted sum of figures, such as (1, invariant), (-1, shifted).

    Args:
        terms: weight and figure of each; all of one number of seeds, in one order.
        seed: of the draws; the same seed gives the same interval.
        resamples: how many draws.

    Raises:
        ValueError: no term, or numbers of seeds that differ.
    """
    seeds = {found.seeds for _, found in terms}
    if len(seeds) != 1:
        raise ValueError(f"needs figures of one number of seeds; given {sorted(seeds) or 'none'}.")
    by_seed = sum((weight * _values(found, None) for weight, found in terms), np.zeros((1, 1)))[0]
    value = float(by_seed.mean())
    told = tuple(float(one) for one in by_seed)
    strata = sorted({stratum for _, found in terms for stratum in found.clusters})
    universe: Universe = tuple(
        tuple(sorted({name for _, found in terms for name in found.clusters.get(stratum, ())})) for stratum in strata
    )
    if any(len(names) == 1 for names in universe):
        return Estimate(value, None, told)
    times = dict(zip(strata, _drawn(tuple(map(len, universe)), seed, resamples), strict=True))
    place = {s: {name: number for number, name in enumerate(names)} for s, names in zip(strata, universe, strict=True)}
    drawn = np.zeros((resamples, len(told)))
    for weight, found in terms:
        picked = {s: times[s][:, [place[s][name] for name in names]] for s, names in found.clusters.items()}
        drawn = drawn + weight * _values(found, picked)
    over_seeds = _over_seeds(drawn, seed)
    interval = _interval(over_seeds[np.isfinite(over_seeds)], resamples)
    if interval is not None and any(found.upwards for _, found in terms):
        interval = 2 * value - interval[1], 2 * value - interval[0]
    if len(terms) == 1 and terms[0][0] == 1 and np.isfinite(value):
        interval = _single(terms[0][1], value, interval, sum(map(len, universe)))
    return Estimate(value, interval, told)


def _single(found: Tally, value: float, interval: Interval | None, clusters: int) -> Interval | None:
    """The interval of one figure: within its limits, and Wilson's where a share showed no variation."""
    if interval is not None:
        (low, high), (least, most) = interval, found.limits
        if found.upwards:
            low, high = min(low, value), max(high, value)
        return min(max(low, least), most), min(max(high, least), most)
    return wilson_interval(min(max(value, 0.0), 1.0) * clusters, clusters) if found.share else None


def _values(found: Tally, times: Mapping[str, _Numbers] | None) -> _Numbers:
    """(draws, seeds): the figure of each seed, at how often each cluster was drawn; once each where `times` is None."""
    totals = []
    for stratum, sums in found.sums.items():
        seeds, clusters, k = sums.shape
        table = sums.transpose(1, 0, 2).reshape(clusters, seeds * k)
        weights = np.ones((1, clusters)) if times is None else times[stratum]
        totals.append((weights @ table).reshape(-1, seeds, k))
    if found.macro:
        mean: _Numbers = np.stack([found.finish(total) for total in totals]).mean(axis=0)
        return mean
    return found.finish(np.sum(totals, axis=0))


def _over_seeds(drawn: _Numbers, seed: int) -> _Numbers:
    """(draws,): the mean over seeds that are drawn anew, their deviations stretched."""
    resamples, seeds = drawn.shape
    mean: _Numbers = drawn.mean(axis=1)
    if seeds == 1:
        return mean
    rng = np.random.default_rng([seed, 1])
    share = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=resamples) / seeds
    again: _Numbers = mean + np.sqrt(seeds / (seeds - 1)) * ((share * drawn).sum(axis=1) - mean)
    return again


def _interval(values: _Numbers, resamples: int) -> Interval | None:
    """The percentile interval; None where too few draws say anything, or all say the same."""
    if 2 * len(values) < resamples:
        return None
    low, high = (float(bound) for bound in np.quantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]))
    return None if high - low < 1e-12 else (low, high)


@lru_cache(maxsize=16)
def _drawn(counts: tuple[int, ...], seed: int, resamples: int) -> tuple[_Numbers, ...]:
    """For each stratum (draws, clusters): how often each cluster is drawn. Kept, as figures of one test share it."""
    rng = np.random.default_rng([seed, 0])
    return tuple(
        rng.multinomial(count, np.full(count, 1 / count), size=resamples).astype(np.float64) for count in counts
    )
