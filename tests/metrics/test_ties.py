"""Tie calibration against brute force, against cases worked by hand, and against the reference's own fixtures."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import numpy as np
import pytest

from omnireward.metrics import TieCalibration, calibrate_ties, cross_fitted_accuracy
from omnireward.metrics.ties import right_at

SIGNS = {1: "a", -1: "b", 0: "tie"}


def brute_force(margins: Sequence[float], preferences: Sequence[str]) -> TieCalibration:
    """Try 0.0 and each |margin|, from small to large, and count one sample at a time."""
    best = TieCalibration(0.0, -1.0)
    for threshold in sorted({0.0, *(abs(m) for m in margins)}):
        right = 0
        for margin, preference in zip(margins, preferences, strict=True):
            predicted = "tie" if abs(margin) <= threshold else "a" if margin > 0 else "b"
            right += predicted == preference
        if right / len(margins) > best.accuracy:
            best = TieCalibration(threshold, right / len(margins))
    return best


def test_equals_brute_force_on_5000_random_cases() -> None:
    rng = random.Random(20230514)
    for _ in range(5000):
        n = rng.randint(1, 12)
        step = rng.choice([0.0625, 0.5, 1.0])  # coarse, so that |margins| collide and zeros occur
        margins = [rng.randint(-6, 6) * step for _ in range(n)]
        preferences = [rng.choice(["a", "b", "tie"]) for _ in range(n)]
        assert calibrate_ties(margins, preferences) == brute_force(margins, preferences), (margins, preferences)


def test_equals_brute_force_on_continuous_margins() -> None:
    rng = random.Random(7)
    for _ in range(200):
        margins = [rng.gauss(0, 1) for _ in range(40)]
        preferences = ["tie" if abs(m) + rng.gauss(0, 0.3) < 0.4 else "a" if m > 0 else "b" for m in margins]
        assert calibrate_ties(margins, preferences) == brute_force(margins, preferences)


def pairs(metric: list[float], gold: list[float]) -> tuple[list[float], list[str]]:
    """All pairs of a ranking as samples: the difference of the metric, and the sign of the difference in gold."""
    both = list(itertools.combinations(range(len(metric)), 2))
    margins = [metric[i] - metric[j] for i, j in both]
    return margins, [SIGNS[int(np.sign(gold[i] - gold[j]))] for i, j in both]


@pytest.mark.parametrize(
    ("gold", "threshold", "accuracy"),
    [
        # |differences| of [0, 2, 6, 8] are 2, 6, 8, 4, 6, 2. All four gold scores differ: every pair is concordant.
        ([1, 2, 3, 4], 0.0, 1.0),
        # Gold ties at |difference| 2, 6, 4. Calling <= 4 ties gets 2 and 4 right and loses one pair at 2; 6 is no tie.
        ([1, 1, 1, 4], 4.0, 4 / 6),
    ],
)
def test_fixtures_of_the_reference(gold: list[float], threshold: float, accuracy: float) -> None:
    assert calibrate_ties(*pairs([0, 2, 6, 8], gold)) == pytest.approx((threshold, accuracy))


@pytest.mark.parametrize(
    ("gold", "margins", "threshold", "accuracy"),
    [
        ([1], [2.0], 0.0, 1.0),  # "no ties" is a candidate
        ([1, -1], [1.0, -1.0], 0.0, 1.0),
        ([1, -1, 1], [0.5, -0.2, 0.9], 0.0, 1.0),
        ([0, 1, 1], [1.0, 1.0, 1.0], 0.0, 2 / 3),  # equal |margins| move together: 2 of 3, or 1 of 3
        ([0, 1], [0.5, 0.5], 0.0, 1 / 2),  # either way one of two; the smaller threshold wins
        ([0, 0, 1, 1], [0.5] * 4, 0.0, 1 / 2),
        ([0, 1], [0.0, 1.0], 0.0, 1.0),  # a margin of exactly 0 is a tie at every threshold
        ([1, 1], [0.0, 1.0], 0.0, 1 / 2),  # and wrong where people had a preference
        ([0, 0], [-3.0, 3.0], 3.0, 1.0),
    ],
)
def test_cases_by_hand(gold: list[int], margins: list[float], threshold: float, accuracy: float) -> None:
    preferences = [SIGNS[g] for g in gold]
    for order in itertools.permutations(range(len(gold))):
        found = calibrate_ties([margins[i] for i in order], [preferences[i] for i in order])
        assert found == pytest.approx((threshold, accuracy))


def test_unpacks_into_threshold_and_accuracy() -> None:
    threshold, accuracy = calibrate_ties([0.1, 5.0], ["tie", "a"])
    assert (threshold, accuracy) == (0.1, 1.0)


@pytest.mark.parametrize(
    ("margins", "preferences", "message"),
    [
        ([], [], "non-empty"),
        ([1.0, float("nan")], ["a", "b"], "margin 1 is nan"),
        ([float("inf")], ["a"], "margin 0 is inf"),
        ([1.0, 2.0], ["a"], "2 margins but 1 preferences"),
        ([1.0], ["both"], "unknown preference 'both'"),
    ],
)
def test_refuses_bad_input(margins: list[float], preferences: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        calibrate_ties(margins, preferences)


def test_right_at_follows_the_threshold() -> None:
    # |0.5| <= 0.5 is a tie: right for the first, wrong for the second; 2.0 names a.
    assert right_at(0.5, [0.5, -0.5, 2.0], ["tie", "b", "a"]).tolist() == [True, False, True]


def ties_set(n: int, seed: int) -> tuple[list[float], list[str], list[str]]:
    """Three samples for each prompt; small margins are ties."""
    rng = random.Random(seed)
    margins = [rng.gauss(0, 1) for _ in range(n)]
    preferences = ["tie" if abs(m) < 0.3 else "a" if m > 0 else "b" for m in margins]
    return margins, preferences, [f"prompt {i // 3}" for i in range(n)]


def test_cross_fit_equals_fitting_each_fold_by_hand() -> None:
    margins, preferences, clusters = ties_set(60, seed=3)
    found = cross_fitted_accuracy(margins, preferences, clusters, folds=2, seed=0)
    # The assignment of clusters to folds, written out again: positions of a seeded permutation, alternating.
    names = sorted(set(clusters))
    place = {names[c]: p % 2 for p, c in enumerate(np.random.default_rng(0).permutation(len(names)))}
    for fold in (0, 1):
        rest = [i for i, cluster in enumerate(clusters) if place[cluster] != fold]
        threshold = brute_force([margins[i] for i in rest], [preferences[i] for i in rest]).threshold
        assert found.thresholds[fold] == threshold
        for i in set(range(60)) - set(rest):
            predicted = "tie" if abs(margins[i]) <= threshold else "a" if margins[i] > 0 else "b"
            assert bool(found.correct[i]) == (predicted == preferences[i])
    assert found.accuracy == found.correct.mean()


def test_cross_fit_never_splits_a_cluster() -> None:
    # One cluster holds every tie. Fitted without it there are no ties, so none of its samples can be right.
    margins = [0.1, 0.1, 5.0, -5.0, 6.0, -6.0]
    preferences = ["tie", "tie", "a", "b", "a", "b"]
    found = cross_fitted_accuracy(margins, preferences, ["x", "x", "p", "q", "r", "s"], folds=5, seed=1)
    assert found.correct.tolist() == [False, False, True, True, True, True]
    assert calibrate_ties(margins, preferences).accuracy == 1.0


def test_cross_fit_is_deterministic_and_ignores_row_order() -> None:
    margins, preferences, clusters = ties_set(90, seed=5)
    first = cross_fitted_accuracy(margins, preferences, clusters, seed=9)
    assert first.correct.tolist() == cross_fitted_accuracy(margins, preferences, clusters, seed=9).correct.tolist()
    turned = cross_fitted_accuracy(margins[::-1], preferences[::-1], clusters[::-1], seed=9)
    assert first.correct.tolist() == turned.correct.tolist()[::-1]
    assert first.thresholds == turned.thresholds


@pytest.mark.parametrize(("clusters", "folds"), [(["x", "x"], 5), (["x", "y"], 1), (["x"], 2)])
def test_cross_fit_refuses_what_it_cannot_split(clusters: list[str], folds: int) -> None:
    with pytest.raises(ValueError, match="cluster"):
        cross_fitted_accuracy([1.0, 2.0], ["a", "b"], clusters, folds=folds)
