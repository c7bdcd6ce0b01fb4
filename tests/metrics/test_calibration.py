"""Three-way calibration: by hand, against plain loops, on judges that are calibrated, too sure, or know no ties."""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnireward.metrics import are_probabilities, calibration, reliability
from omnireward.metrics.calibration import OUTCOMES, SMALLEST
from omnireward.types import flipped

Claims = list[tuple[float, float, float]]
FIGURES = ("brier", "log_loss", "likeliest", "classwise", "pooled", "a", "tie", "b", "side")
BY_HAND: Claims = [(0.6, 0.25, 0.15), (0.6, 0.3, 0.1), (0.15, 0.7, 0.15)]


def alone(count: int) -> list[str]:
    return [f"prompt-{i}" for i in range(count)]


def drawn(count: int, seed: int, sharper: float = 1.0) -> tuple[Claims, list[str]]:
    """Claims, and outcomes drawn from them; with `sharper` above 1 claims that are surer than what is drawn."""
    rng = np.random.default_rng(seed)
    truth = rng.dirichlet([1.5, 1.0, 1.5], size=count)
    outcomes = [OUTCOMES[int(rng.choice(3, p=p))] for p in truth]
    claimed = truth**sharper / (truth**sharper).sum(axis=1, keepdims=True)
    return [(p[0], p[1], p[2]) for p in claimed.tolist()], outcomes


def expected_error(claims: Sequence[float], hits: Sequence[float]) -> float:
    """A second implementation, bin by bin: the mean of |claimed - true| weighed by what a bin holds."""
    total = 0.0
    for k in range(10):
        inside = [i for i, p in enumerate(claims) if min(int(p * 10), 9) == k]
        if inside:
            gap = sum(claims[i] for i in inside) / len(inside) - sum(hits[i] for i in inside) / len(inside)
            total += len(inside) * abs(gap)
    return total / len(claims)


def test_by_hand() -> None:
    """Claims (.6 .25 .15), (.6 .3 .1), (.15 .7 .15); people say a, tie, tie.

    Brier: .16 + .0625 + .0225 = .245; .36 + .49 + .01 = .86; .0225 + .09 + .0225 = .135: mean .413333.
    Log loss: -(ln .6 + ln .3 + ln .7) / 3 = -ln(.126) / 3 = .690491.
    Likeliest: .6 and .6 in one bin, one of two true: gap 1.2 - 1 = .2; .7, true: gap .3. (.2 + .3) / 3 = .166667.
    Of a: .6 .6, one true: .2; .15, none: .15. .35 / 3. Of a tie: .25: .25; .3: -.7; .7: -.3. 1.25 / 3.
    Of b: .15 .1 .15, none true: .4 / 3. Of a side: .6 .6: .2; .15 .15 .1 .15: .55. .75 / 6.
    Mean of the outcomes: (1.25 / 3 + 2 x .75 / 6) / 3 = 2 / 9. Pooled, nothing cancels, as no bin has two kinds.
    """
    found = calibration(BY_HAND, ["a", "tie", "tie"], alone(3))
    values = {name: getattr(found, name).value for name in FIGURES}
    expected = {"brier": 1.24 / 3, "log_loss": 0.6904911, "likeliest": 0.5 / 3, "classwise": 2 / 9, "pooled": 2 / 9}
    expected |= {"a": 0.35 / 3, "tie": 1.25 / 3, "b": 0.4 / 3, "side": 0.75 / 6}
    assert values == pytest.approx(expected, abs=1e-7)
    assert (found.samples, found.prompts, found.impossible) == (3, 3, 0)
    # Two ties of three, the third shared by a and b: 1 - 4/9 - 1/36 - 1/36.
    assert found.brier_of_shares == pytest.approx(1 / 2)


def test_the_ends_of_the_brier_score_and_a_claim_of_the_impossible() -> None:
    """Sure and right: 0. Sure and wrong: 2, and -log of the smallest claim. A third of each: 2/3, and log 3."""
    right = calibration([(1.0, 0.0, 0.0), (0.0, 0.0, 1.0)], ["a", "b"], alone(2))
    assert [getattr(right, name).value for name in FIGURES] == [0.0] * 9
    wrong = calibration([(1.0, 0.0, 0.0)], ["tie"], ["p"])
    assert (wrong.brier.value, wrong.likeliest.value, wrong.classwise.value) == (2.0, 1.0, 2 / 3)
    assert wrong.log_loss.value == pytest.approx(-math.log(SMALLEST))
    assert wrong.impossible == 1
    assert wrong.brier.interval is None
    even = calibration([(1 / 3, 1 / 3, 1 / 3)] * 3, ["a", "tie", "b"], alone(3))
    assert even.brier.value == pytest.approx(2 / 3)
    assert even.log_loss.value == pytest.approx(math.log(3))
    # Equally likely outcomes share the sample, so whatever happens is a third right.
    assert calibration([(1 / 3, 1 / 3, 1 / 3)], ["b"], ["p"]).likeliest.value == pytest.approx(0)


@given(st.integers(0, 10_000), st.integers(1, 40))
@settings(max_examples=40)
def test_errors_equal_a_loop_over_the_bins(seed: int, count: int) -> None:
    claims, outcomes = drawn(count, seed)
    found = calibration(claims, outcomes, alone(count))
    hits = {name: [float(said == name) for said in outcomes] for name in OUTCOMES}
    by_outcome = {name: [claim[k] for claim in claims] for k, name in enumerate(OUTCOMES)}
    best = [max(zip(claim, OUTCOMES, strict=True)) for claim in claims]
    pooled = {"side": ("a", "b"), "pooled": OUTCOMES, "a": ("a",), "tie": ("tie",), "b": ("b",)}
    for figure, names in pooled.items():
        expected = expected_error([p for n in names for p in by_outcome[n]], [h for n in names for h in hits[n]])
        assert getattr(found, figure).value == pytest.approx(expected, abs=1e-12), figure
    assert found.classwise.value == pytest.approx((found.tie.value + 2 * found.side.value) / 3, abs=1e-12)
    assert found.pooled.value <= found.classwise.value + 1e-12
    likeliest = [float(name == said) for (_, name), said in zip(best, outcomes, strict=True)]
    assert found.likeliest.value == pytest.approx(expected_error([p for p, _ in best], likeliest), abs=1e-12)
    # And the bins for the plot are those of `reliability`, whose error is the same.
    one = reliability(by_outcome["tie"], np.array(hits["tie"], dtype=np.bool_))
    assert [(b.low, b.samples, b.observed, b.interval) for b in found.tie_bins] == [
        (b.low, b.samples, b.observed, b.interval) for b in one.bins
    ]
    assert found.tie.value == pytest.approx(one.calibration_error)
    assert sum(b.samples for b in found.side_bins) == 2 * count


@given(st.integers(0, 10_000), st.integers(2, 30))
@settings(max_examples=30)
def test_swapping_any_samples_changes_no_figure_but_those_of_a_and_b(seed: int, count: int) -> None:
    claims, outcomes = drawn(count, seed)
    turned = [random.Random(seed + i).random() < 0.5 for i in range(count)]
    swapped = [(b, tie, a) if turn else (a, tie, b) for (a, tie, b), turn in zip(claims, turned, strict=True)]
    said = [flipped(o) if turn else o for o, turn in zip(outcomes, turned, strict=True)]  # type: ignore[arg-type]
    one, two = calibration(claims, outcomes, alone(count)), calibration(swapped, said, alone(count))
    for name in ("brier", "log_loss", "likeliest", "classwise", "pooled", "tie", "side"):
        before, after = getattr(one, name), getattr(two, name)
        for part in ("value", "calibrated", "limit", "interval"):
            assert getattr(after, part) == pytest.approx(getattr(before, part), abs=1e-12), (name, part)
    assert two.brier_of_shares == one.brier_of_shares


def test_a_calibrated_judge_shows_what_is_expected_of_it() -> None:
    """Over 30 draws of 200 samples: its errors are on average those expected, never 0, and above the limit in few."""
    found = [calibration(*drawn(200, seed), alone(200)) for seed in range(30)]
    for name in FIGURES:
        figures = [getattr(one, name) for one in found]
        measured, calibrated = (np.mean([getattr(f, part) for f in figures]) for part in ("value", "calibrated"))
        spread = np.std([f.value for f in figures]) / math.sqrt(30)
        assert abs(measured - calibrated) < 4 * spread, name
        assert sum(f.value > f.limit for f in figures) <= 6, name  # of 30 one in twenty: more than 6 in 1 of 2000
        if name not in ("brier", "log_loss"):
            assert measured > 0.01
            # The truth is an error of 0, and the interval holds it wherever the figure is within the limit.
            assert sum(f.interval[0] == 0 for f in figures) >= 24, name


def test_a_judge_that_is_too_sure_is_found_out() -> None:
    claims, outcomes = drawn(500, 1, sharper=4.0)
    found = calibration(claims, outcomes, alone(500))
    for name in ("likeliest", "classwise", "side"):
        figure = getattr(found, name)
        assert figure.value > 3 * figure.limit, name
        assert figure.interval[0] > figure.limit, name
    assert found.log_loss.value > found.log_loss.limit
    assert found.brier.value > calibration(*drawn(500, 1), alone(500)).brier.value


def test_a_judge_that_knows_no_ties_has_its_error_in_the_ties() -> None:
    """Of 100 samples 30 are ties, and all are claimed .5, 0, .5: the error of a tie is .3, and of each side .15."""
    outcomes = ["tie"] * 30 + ["a"] * 35 + ["b"] * 35
    found = calibration([(0.5, 0.0, 0.5)] * 100, outcomes, alone(100))
    assert found.tie.value == pytest.approx(0.3)
    assert found.side.value == pytest.approx(0.15)
    assert found.impossible == 30
    assert found.classwise.value == pytest.approx((0.3 + 0.15 + 0.15) / 3)


def test_what_cancels_in_one_bin_is_seen_by_outcome() -> None:
    """All claims a third; 60 of 90 are ties. A tie is 1/3 too rare, a side 1/6 too much: pooled that makes 0."""
    found = calibration([(1 / 3, 1 / 3, 1 / 3)] * 90, ["tie"] * 60 + ["a", "b"] * 15, alone(90))
    assert found.pooled.value == pytest.approx(0)
    assert found.classwise.value == pytest.approx((1 / 3 + 1 / 6 + 1 / 6) / 3)


def test_intervals_hold_the_figure_and_shrink_with_the_samples() -> None:
    small, large = (calibration(*drawn(n, 3, sharper=3.0), alone(n)) for n in (100, 1600))
    for name in FIGURES:
        widths = []
        for found in (small, large):
            low, high = getattr(found, name).interval
            assert low <= getattr(found, name).value <= high
            widths.append(high - low)
        assert 2.5 < widths[0] / widths[1] < 6.5, name  # four times as many twice: half, and half again


def test_samples_of_one_prompt_widen_the_interval_of_their_mean() -> None:
    """Four copies of each sample say no more than one of each: the interval stays, where four new samples halve it."""
    claims, outcomes = drawn(150, 4)
    once = calibration(claims, outcomes, alone(150)).brier.interval
    copied = calibration(claims * 4, outcomes * 4, alone(150) * 4).brier.interval
    apart = calibration(claims * 4, outcomes * 4, alone(600)).brier.interval
    assert once is not None
    assert copied == pytest.approx(once, abs=1e-12)
    assert apart is not None
    assert (apart[1] - apart[0]) / (once[1] - once[0]) == pytest.approx(0.5, abs=0.06)


def test_the_same_seed_gives_the_same_figures_whatever_the_order_of_prompts() -> None:
    claims, outcomes = drawn(60, 5)
    names = alone(60)
    one = calibration(claims, outcomes, names, seed=1)
    assert calibration(claims, outcomes, names, seed=1) == one
    assert calibration(claims, outcomes, names, seed=2).brier.interval != one.brier.interval
    order = np.random.default_rng(0).permutation(60).tolist()
    mixed = calibration([claims[i] for i in order], [outcomes[i] for i in order], [names[i] for i in order], seed=1)
    assert mixed.classwise.value == pytest.approx(one.classwise.value, abs=1e-12)


def test_memory_is_bounded_by_steps_that_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    claims, outcomes = drawn(50, 6)
    one = calibration(claims, outcomes, alone(50))
    monkeypatch.setattr(sys.modules["omnireward.metrics.calibration"], "_CHUNK", 1000)
    two = calibration(claims, outcomes, alone(50))
    assert [getattr(two, name).value for name in FIGURES] == [getattr(one, name).value for name in FIGURES]
    assert two.brier.calibrated == pytest.approx(one.brier.calibrated)  # draws come in the same order


@pytest.mark.parametrize(
    ("claims", "preferences", "clusters", "wrong"),
    [
        ([], [], [], "and a sample"),
        ([[0.5, 0.5]], ["a"], ["p"], "and a sample"),
        ([(0.5, 0.5, 0.5)], ["a"], ["p"], "sum to 1"),
        ([(1.5, -0.5, 0.0)], ["a"], ["p"], "sum to 1"),
        ([(math.nan, 0.5, 0.5)], ["a"], ["p"], "sum to 1"),
        ([(1.0, 0.0, 0.0)], ["c"], ["p"], "unknown preference"),
        ([(1.0, 0.0, 0.0)], ["a", "b"], ["p"], "2 preferences"),
        ([(1.0, 0.0, 0.0)], ["a"], ["p", "q"], "2 clusters"),
    ],
    ids=["nothing", "two numbers", "sum", "negative", "nan", "preference", "preferences", "clusters"],
)
def test_what_is_no_claim_is_refused(claims: Claims, preferences: list[str], clusters: list[str], wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        calibration(claims, preferences, clusters)


def test_rounding_is_forgiven_and_evened_out() -> None:
    assert are_probabilities((0.3334, 0.3333, 0.3334))
    found = calibration([(0.3004, 0.3, 0.4001)], ["a"], ["p"])
    whole = 1.0005
    assert found.log_loss.value == pytest.approx(-math.log(0.3004 / whole))
