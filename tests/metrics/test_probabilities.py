"""Rao and Kupper's and Davidson's probabilities: their own equations, where a tie stops being likeliest, extremes."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnireward.metrics import davidson_probabilities, pair_probabilities, tie_log_odds, win_probability

margins = st.floats(-50, 50)
thresholds = st.floats(0, 50)
any_finite = st.floats(allow_nan=False, allow_infinity=False)


@given(any_finite, st.floats(0, allow_infinity=False))
def test_three_probabilities_sum_to_1_whatever_the_margin_and_the_threshold(margin: float, threshold: float) -> None:
    found = pair_probabilities(margin, tie_log_odds(threshold))
    assert all(0 <= p <= 1 for p in found)
    assert math.fsum(found) == pytest.approx(1, abs=1e-15)


@given(any_finite, thresholds)
def test_swapping_the_responses_swaps_their_probabilities_to_the_last_bit(margin: float, threshold: float) -> None:
    d = tie_log_odds(threshold)
    assert pair_probabilities(-margin, d) == pair_probabilities(margin, d)[::-1]


@given(margins, thresholds)
def test_a_tie_is_the_likeliest_exactly_below_the_threshold(margin: float, threshold: float) -> None:
    """At the threshold itself a tie and a win are equally likely, so that rounding decides between them."""
    a, tie, b = pair_probabilities(margin, tie_log_odds(threshold))
    if math.isclose(abs(margin), threshold, rel_tol=1e-9, abs_tol=1e-9):
        assert tie == pytest.approx(max(a, b), rel=1e-6)
    else:
        assert (tie > max(a, b)) == (abs(margin) < threshold)


@given(st.floats(0, 30), margins, margins)
def test_a_larger_margin_makes_a_likelier_and_b_less_likely(threshold: float, one: float, other: float) -> None:
    low, high = sorted((one, other))
    d = tie_log_odds(threshold)
    before, after = pair_probabilities(low, d), pair_probabilities(high, d)
    assert before.a <= after.a
    assert before.b >= after.b
    if high - low > 1e-6 and before.a < 0.999:  # nearer to 1 the last bits may not tell them apart
        assert before.a < after.a


@given(any_finite)
def test_without_a_threshold_it_is_bradley_terry(margin: float) -> None:
    a, tie, b = pair_probabilities(margin, tie_log_odds(None))
    assert tie == 0
    assert a == pytest.approx(win_probability(margin), abs=1e-15)
    assert b == pytest.approx(win_probability(-margin), abs=1e-15)


@given(st.floats(-20, 20), st.floats(0, 20))
def test_they_are_those_of_the_papers_own_equations(margin: float, threshold: float) -> None:
    """A second implementation, in 60 digits: strengths pi_a, pi_b and theta, as Rao and Kupper write them.

    P(a) = pi_a / (pi_a + theta pi_b); P(tie) = pi_a pi_b (theta^2 - 1) / ((pi_a + theta pi_b) (theta pi_a + pi_b)).
    theta = 1 / y, where y is the positive root of 2 y^2 + x y - 1 = 0.
    """
    with localcontext() as context:
        context.prec = 60
        x = Decimal(threshold).exp()
        theta = 4 / ((x * x + 8).sqrt() - x)
        a, b = Decimal(margin).exp(), Decimal(1)
        left, right = a + theta * b, theta * a + b
        expected = (a / left, a * b * (theta * theta - 1) / (left * right), b / right)
    found = pair_probabilities(margin, tie_log_odds(threshold))
    assert found == pytest.approx([float(p) for p in expected], rel=1e-12)


def test_by_hand() -> None:
    """With t = log 2: x = 2, y = (sqrt(12) - 2) / 4 = 0.36603, and at m = t, P(a) = x y / (1 + x y) = 0.42265."""
    found = pair_probabilities(math.log(2), tie_log_odds(math.log(2)))
    assert found == pytest.approx((0.4226497, 0.4226497, 0.1547005), abs=1e-7)


def test_a_chance_that_is_small_keeps_its_digits() -> None:
    """At m = 60 and t = 0, P(tie) is near (1 - 1/4) 2 exp(-60), far below what 1 - P(a) - P(b) could tell from 0."""
    found = pair_probabilities(60.0, tie_log_odds(0.0))
    assert found.tie == pytest.approx(1.5 * math.exp(-60), rel=1e-12)
    assert found.b == pytest.approx(0.5 * math.exp(-60), rel=1e-12)
    assert found.a == 1


@pytest.mark.parametrize("threshold", [-1e-9, math.nan, math.inf])
def test_a_threshold_that_is_none_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        tie_log_odds(threshold)


@pytest.mark.parametrize("margin", [math.nan, math.inf, -math.inf])
def test_a_margin_that_is_not_finite_is_refused(margin: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        pair_probabilities(margin, 0.0)


@given(any_finite, any_finite)
def test_davidsons_three_sum_to_1_and_swap_to_the_last_bit(margin: float, log_nu: float) -> None:
    found = davidson_probabilities(margin, log_nu)
    assert all(0 <= p <= 1 for p in found)
    assert math.fsum(found) == pytest.approx(1, abs=1e-15)
    assert davidson_probabilities(-margin, log_nu) == found[::-1]


@given(st.floats(-20, 20), st.floats(-20, 20))
def test_davidsons_are_those_of_his_own_equations(margin: float, log_nu: float) -> None:
    """A second implementation, in 60 digits: strengths pi_a, pi_b and nu, as Davidson writes them.

    P(a) = pi_a / (pi_a + pi_b + nu sqrt(pi_a pi_b)); P(tie) = nu sqrt(pi_a pi_b) / (the same).
    """
    with localcontext() as context:
        context.prec = 60
        a, b, nu = Decimal(margin).exp(), Decimal(1), Decimal(log_nu).exp()
        tie = nu * (a * b).sqrt()
        expected = [float(p / (a + b + tie)) for p in (a, tie, b)]
    assert davidson_probabilities(margin, log_nu) == pytest.approx(expected, rel=1e-12)


@given(margins, st.floats(-5, 25))
def test_davidsons_tie_is_the_likeliest_exactly_below_twice_the_logarithm_of_nu(margin: float, log_nu: float) -> None:
    a, tie, b = davidson_probabilities(margin, log_nu)
    if math.isclose(abs(margin), 2 * log_nu, rel_tol=1e-9, abs_tol=1e-9):
        assert tie == pytest.approx(max(a, b), rel=1e-6)
    else:
        assert (tie > max(a, b)) == (abs(margin) < 2 * log_nu)


def test_davidsons_by_hand() -> None:
    """With m = log 4 and nu = 1: 2 : 1 : 1/2, so 4/7, 2/7 and 1/7; nu = 0 is Bradley-Terry, 4/5 and 1/5."""
    assert davidson_probabilities(math.log(4), 0.0) == pytest.approx((4 / 7, 2 / 7, 1 / 7), abs=1e-15)
    assert davidson_probabilities(math.log(4), -math.inf) == pytest.approx((4 / 5, 0, 1 / 5), abs=1e-15)


def test_a_small_chance_of_davidsons_keeps_its_digits() -> None:
    """At m = 80 and t = 0: P(tie) = exp(-40) and P(b) = exp(-80), to 1e-12 of themselves."""
    found = davidson_probabilities(80.0, 0.0)
    assert found == pytest.approx((1, math.exp(-40), math.exp(-80)), rel=1e-12, abs=0)


@pytest.mark.parametrize(("margin", "log_nu"), [(math.nan, 0.0), (math.inf, 0.0), (0.0, math.nan), (0.0, math.inf)])
def test_davidsons_refuse_what_is_not_finite(margin: float, log_nu: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        davidson_probabilities(margin, log_nu)
