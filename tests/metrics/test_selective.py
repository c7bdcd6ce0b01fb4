"""AUROC against counting couples, shares by hand, and what equal certainty and equal prompts do."""

from __future__ import annotations

import math

import numpy as np
import pytest

from omnireward.metrics import cluster_interval
from omnireward.metrics.selective import Covered, area, certainty, selective


def _couples(sure: list[float], right: list[bool]) -> float:
    """The definition: over every couple of a right and a wrong judgement; equal ones count half."""
    wins = [
        (s > t) + (s == t) / 2
        for s, good in zip(sure, right, strict=True)
        for t, other in zip(sure, right, strict=True)
        if good and not other
    ]
    return sum(wins) / len(wins)


@pytest.mark.parametrize("levels", [3, 50])
def test_the_area_is_the_share_of_couples_in_the_right_order(levels: int) -> None:
    rng = np.random.default_rng(levels)
    sure = rng.integers(0, levels, 60).astype(float).tolist()
    right = (rng.random(60) < 0.6).tolist()
    found = area(sure, right, [f"p{i}" for i in range(60)], seed=0)
    assert found is not None
    assert found.interval is not None
    assert found.value == pytest.approx(_couples(sure, right), abs=1e-12)
    assert found.interval[0] < found.value < found.interval[1]


def test_only_the_order_of_certainty_counts_and_its_opposite_mirrors_the_area() -> None:
    rng = np.random.default_rng(1)
    sure, right = rng.normal(size=80), rng.random(80) < 0.5
    names = [f"p{i // 2}" for i in range(80)]
    found, stretched, turned = (area(s, right, names, seed=4) for s in (sure, np.exp(3 * sure), -sure))
    assert found == stretched
    assert found is not None
    assert turned is not None
    assert found.value + turned.value == pytest.approx(1)


def test_prompts_are_resampled_whole() -> None:
    """Ten copies of each sample of a prompt tell no more than one: the interval stays; as prompts of their own they
    would make it about the square root of ten times as narrow.
    """
    rng = np.random.default_rng(2)
    right = rng.random(100) < 0.5
    sure = rng.normal(size=100) + right
    names = [f"p{i}" for i in range(100)]
    once = area(sure, right, names, seed=0)
    copied = area(np.tile(sure, 10), np.tile(right, 10), names * 10, seed=0)
    alone = area(np.tile(sure, 10), np.tile(right, 10), [f"p{i}" for i in range(1000)], seed=0)
    assert once is not None
    assert copied == once
    assert once.interval is not None
    assert alone is not None
    assert alone.interval is not None
    wide, narrow = (high - low for low, high in (once.interval, alone.interval))
    assert wide / narrow == pytest.approx(math.sqrt(10), rel=0.15)


def test_nothing_to_tell_apart_has_no_area_and_few_prompts_have_no_interval() -> None:
    assert area([1, 2], [True, True], ["p", "q"], seed=0) is None
    found = area([1, 2, 3, 4], [False, True, False, True], ["p", "q", "r", "r"], seed=0)
    assert found is not None
    assert found.value == 0.75
    assert found.interval is None


def test_shares_are_of_the_most_certain_and_end_where_certainty_does() -> None:
    """Ten samples; the third to fifth are equally certain, so shares of 30 and 40 % become 50 %."""
    sure = [9, 8, 5, 5, 5, 4, 3, 2, 1, 0]
    right = [True, True, True, False, True, True, False, True, False, False]
    names = [f"p{i}" for i in range(10)]
    found = selective(sure[::-1], right[::-1], names[::-1], seed=0)
    assert [one.samples for one in found.covered] == [1, 2, 5, 6, 7, 8, 9, 10]
    assert [one.accuracy for one in found.covered][:4] == [1, 1, 4 / 5, 5 / 6]
    assert found.covered[-1] == Covered(1.0, 10, 0.6, cluster_interval(right, names))


def test_equal_certainty_is_one_share() -> None:
    found = selective([2.0] * 7, [True] * 4 + [False] * 3, list("abcdefg"), seed=0)
    assert [one.share for one in found.covered] == [1.0]
    assert found.area is not None
    assert found.area.value == 0.5


def test_a_deviation_moves_the_margin_to_the_mean_probability() -> None:
    """Against the mean of the sigmoid over the normal distribution, on a fine grid; MacKay's form is within 0.02."""
    z = np.linspace(-8, 8, 4001)
    weights = np.exp(-z * z / 2) / np.exp(-z * z / 2).sum()
    for margin in (0.5, 2.0, 6.0):
        for deviation in (0.1, 1.0, 4.0):
            mean = float((weights / (1 + np.exp(-(margin + deviation * z)))).sum())
            assert 1 / (1 + math.exp(-certainty(margin, deviation))) == pytest.approx(mean, abs=0.02)


@pytest.mark.parametrize(
    ("sure", "right", "names"),
    [([], [], []), ([1.0], [True, False], ["p"]), ([1.0], [True], ["p", "q"]), ([math.nan], [True], ["p"])],
    ids=["nothing", "one more right", "one more prompt", "no number"],
)
def test_what_cannot_be_counted_is_refused(sure: list[float], right: list[bool], names: list[str]) -> None:
    with pytest.raises(ValueError, match=r"as many|finite"):
        selective(sure, right, names, seed=0)
