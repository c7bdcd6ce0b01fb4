"""Accuracy with ties: the threshold under which a small margin is called a tie (the paper's *w/ ties* setting).

The calibration is that of Deutsch, Foster and Freitag (EMNLP 2023, arXiv 2305.14324), for one pair per sample. A tie
is predicted iff |margin| <= threshold, and the threshold is the one that is best on the same samples, as in the paper.
That is optimistic on small sets (about a point at 100 samples), so `cross_fitted_accuracy` fits it on other samples.

Three traps, each of which moves numbers when missed:

- "No ties" must be a candidate, or every set loses at least its smallest margin to a tie. It is the threshold 0.0. A
  margin of exactly 0 has no winner and is a predicted tie at every threshold, 0.0 included; a stricter candidate,
  where a zero margin were no tie either, could never be better, as a zero margin would then be wrong for any
  preference.
- Equal |margins| become ties together. The states between them belong to no threshold and depend on row order.
- Rewards of 16 bits collide often, so differences are taken in float64, where they are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from omnireward.metrics.accuracy import agrees, check_preferences


class TieCalibration(NamedTuple):
    """The smallest of the best thresholds (>= 0, in units of the margin), and the accuracy there (a fraction)."""

    threshold: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class CrossFit:
    """Accuracy when each sample's threshold was fitted without its fold.

    Attributes:
        accuracy: fraction of samples that are right.
        correct: (n,) bool, in the order given.
        thresholds: one for each fold.
    """

    accuracy: float
    correct: NDArray[np.bool_]
    thresholds: tuple[float, ...]


def calibrate_ties(margins: Sequence[float] | NDArray[np.floating], preferences: Sequence[str]) -> TieCalibration:
    """Find the threshold with the best three-way accuracy, in O(n log n).

    Args:
        margins: (n,) finite, reward(a) - reward(b).
        preferences: (n,) 'a', 'b' or 'tie'.

    Raises:
        ValueError: nothing given, the lengths differ, a margin is NaN or infinite, or a preference is unknown.

    >>> calibrate_ties([2.0, -0.1, -3.0], ["a", "tie", "b"])
    TieCalibration(threshold=0.1, accuracy=1.0)
    """
    sizes = np.abs(finite_margins(margins, preferences))
    is_tie = np.array([preference == "tie" for preference in preferences])
    strictly_right = agrees(np.asarray(margins, dtype=np.float64).tolist(), preferences)

    order = np.argsort(sizes, kind="stable")
    # correct[k]: how many are right when the k smallest |margins| are called ties.
    gains = is_tie.astype(np.int64) - strictly_right.astype(np.int64)
    correct = strictly_right.sum() + np.concatenate(([0], np.cumsum(gains[order])))
    candidates = np.unique(np.concatenate(([0.0], sizes)))
    # side="right" moves a whole group of equal |margins| at once: no state inside a group is ever scored.
    totals = correct[np.searchsorted(sizes[order], candidates, side="right")]
    best = int(np.argmax(totals))  # the first maximum: the smallest threshold among equals
    return TieCalibration(threshold=float(candidates[best]), accuracy=int(totals[best]) / len(sizes))


def right_at(
    threshold: float, margins: Sequence[float] | NDArray[np.floating], preferences: Sequence[str]
) -> NDArray[np.bool_]:
    """Three-way correctness at a threshold, (n,) bool: a tie is predicted iff |margin| <= threshold.

    Raises:
        ValueError: as `calibrate_ties`.
    """
    values = finite_margins(margins, preferences)
    predicted_tie = np.abs(values) <= threshold
    is_tie = np.array([preference == "tie" for preference in preferences])
    return np.where(predicted_tie, is_tie, agrees(values.tolist(), preferences))


def cross_fitted_accuracy(
    margins: Sequence[float] | NDArray[np.floating],
    preferences: Sequence[str],
    clusters: Sequence[str],
    folds: int = 5,
    seed: int = 0,
) -> CrossFit:
    """Three-way accuracy with each fold's threshold fitted on the other folds.

    Args:
        margins: (n,) finite.
        preferences: (n,) 'a', 'b' or 'tie'.
        clusters: (n,) the prompt each sample belongs to; a fold never splits one.
        folds: at least 2; fewer are made when there are fewer clusters.
        seed: which clusters share a fold. The order of the rows does not matter.

    Raises:
        ValueError: as `calibrate_ties`; fewer than two clusters or folds; or lengths that differ.
    """
    values = finite_margins(margins, preferences)
    if len(clusters) != len(values):
        raise ValueError(f"{len(values)} margins but {len(clusters)} clusters; there is one of each for a sample.")
    fold = folds_of(clusters, folds, seed)
    labels = np.array(preferences)

    correct = np.zeros(len(values), dtype=np.bool_)
    thresholds = []
    for k in range(int(fold.max()) + 1):
        inside = fold == k
        threshold = calibrate_ties(values[~inside], labels[~inside].tolist()).threshold
        correct[inside] = right_at(threshold, values[inside], labels[inside].tolist())
        thresholds.append(threshold)
    return CrossFit(accuracy=float(correct.mean()), correct=correct, thresholds=tuple(thresholds))


def folds_of(clusters: Sequence[str], folds: int = 5, seed: int = 0) -> NDArray[np.int64]:
    """The fold of each sample, (n,) from 0: whole clusters, shuffled. See `cross_fitted_accuracy`.

    Raises:
        ValueError: fewer than two clusters or folds.
    """
    names = sorted(set(clusters))
    folds = min(folds, len(names))
    if folds < 2:
        raise ValueError(
            f"cross-fitting needs two folds of whole clusters; given {folds} from {len(names)} cluster(s)."
        )
    shuffled = np.random.default_rng(seed).permutation(len(names))
    fold_of = {names[cluster]: place % folds for place, cluster in enumerate(shuffled)}
    return np.array([fold_of[cluster] for cluster in clusters], dtype=np.int64)


def finite_margins(margins: Sequence[float] | NDArray[np.floating], preferences: Sequence[str]) -> NDArray[np.float64]:
    """The margins as (n,) float64. Raises ValueError as `calibrate_ties`."""
    values = np.asarray(margins, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"margins are a non-empty list of numbers, one for a sample; given shape {values.shape}.")
    check_preferences(preferences, len(values))
    if not np.isfinite(values).all():
        position = int(np.flatnonzero(~np.isfinite(values))[0])
        raise ValueError(f"margin {position} is {margins[position]}; leave out samples that have no finite margin.")
    return values
