"""How well certainty tells right judgements from wrong ones: AUROC, and accuracy over the most certain share.

Samples that people called a tie have no right side, and are left out by whoever calls this. Certainty is any number
that is larger where a judgement is to be trusted more; only its order counts. Judgements of equal certainty are not
told apart: in the AUROC such a couple counts half, and a share never ends in the middle of them, so a judge whose
judgements are all equally certain has an AUROC of 0.5 and one share.

Samples of one prompt are right or wrong together, so intervals resample prompts (see `intervals`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnireward.metrics.intervals import CONFIDENCE, FEW_CLUSTERS, Interval, cluster_interval

RESAMPLES = 1000
UNFAMILIAR = 0.05  # a comparison less familiar than this is unlike those of training
SHARES = 10


@dataclass(frozen=True, slots=True)
class Area:
    """An AUROC: the chance that a right judgement is more certain than a wrong one. 0.5 tells nothing apart.

    `interval` is None where there are fewer than `FEW_CLUSTERS` prompts.
    """

    value: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Covered:
    """Accuracy over the most certain `share` of the samples, in (0, 1]."""

    share: float
    samples: int
    accuracy: float
    interval: Interval | None


@dataclass(frozen=True, slots=True)
class Selective:
    """AUROC, None where every judgement is right or every one wrong, and accuracy by share, smallest share first."""

    samples: int
    area: Area | None
    covered: tuple[Covered, ...]


def certainty(margin: float, deviation: float = 0.0) -> float:
    """How sure a margin is, in log-odds, when it may be off by its deviation; 0 is not at all.

    The size of a margin whose sigmoid is, near enough, the mean of the sigmoid over a normal distribution around it
    (D. J. C. MacKay, The Evidence Framework Applied to Classification Networks, Neural Computation 4, 1992).

    >>> certainty(-2.0), round(certainty(2.0, 2.0), 4)
    (2.0, 1.2474)
    """
    return abs(margin) / math.sqrt(1 + math.pi / 8 * deviation * deviation)


def selective(sureness: ArrayLike, right: ArrayLike, clusters: Sequence[str], seed: int) -> Selective:
    """What certainty tells of these judgements.

    Args:
        sureness: (n,), finite.
        right: (n,) bool.
        clusters: (n,) the prompt of each.
        seed: of the resampling.

    Raises:
        ValueError: nothing given, lengths that differ, or a certainty that is not finite.
    """
    sure, good = _checked(sureness, right, clusters)
    order = np.argsort(-sure, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(sure[order])), len(sure) - 1) + 1  # where the next is less certain
    wanted = np.ceil(np.arange(1, SHARES + 1) / SHARES * len(sure) - 1e-9)
    counts = sorted({int(ends[np.searchsorted(ends, count)]) for count in wanted})
    covered = []
    for count in counts:
        taken = order[:count]
        interval = cluster_interval(good[taken], [clusters[i] for i in taken])
        covered.append(Covered(count / len(sure), count, float(good[taken].mean()), interval))
    return Selective(len(sure), area(sure, good, clusters, seed), tuple(covered))


def area(sureness: ArrayLike, right: ArrayLike, clusters: Sequence[str], seed: int) -> Area | None:
    """The AUROC alone, or None where there is nothing to tell apart. As `selective`.

    >>> area([3.0, 2.0, 1.0, 1.0], [True, False, True, False], ["p", "q", "r", "s"], seed=0)
    Area(value=0.625, interval=None)
    """
    sure, good = _checked(sureness, right, clusters)
    if good.all() or not good.any():
        return None
    _, level = np.unique(sure, return_inverse=True)
    value = _area(level, good, np.ones(len(sure)))
    number = {name: place for place, name in enumerate(sorted(set(clusters)))}
    prompt, prompts = np.array([number[name] for name in clusters]), len(number)
    assert value is not None
    if prompts < FEW_CLUSTERS:
        return Area(value, None)
    rng = np.random.default_rng(seed)
    times = rng.multinomial(prompts, np.full(prompts, 1 / prompts), size=RESAMPLES)
    found = [one for row in times if (one := _area(level, good, row[prompt])) is not None]
    low, high = np.quantile(found, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Area(value, (float(low), float(high)))


def _area(level: NDArray[np.int64], right: NDArray[np.bool_], times: NDArray[np.float64]) -> float | None:
    """AUROC of samples that count so many times each; None where none is right, or none wrong."""
    wins = np.bincount(level, times * right)
    losses = np.bincount(level, times * ~right)
    couples = wins.sum() * losses.sum()
    below = np.cumsum(losses) - losses
    return float((wins * (below + losses / 2)).sum() / couples) if couples else None


def _checked(
    sureness: ArrayLike, right: ArrayLike, clusters: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    sure, good = np.asarray(sureness, dtype=np.float64), np.asarray(right, dtype=np.bool_)
    if not len(sure) or sure.shape != good.shape or len(sure) != len(clusters):
        raise ValueError(f"needs as many of each, and one; given {sure.shape}, {good.shape} and {len(clusters)}.")
    if not np.isfinite(sure).all():
        raise ValueError("certainty must be finite.")
    return sure, good
