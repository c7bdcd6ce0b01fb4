from __future__ import annotations

import numpy as np
import pytest

from omnireward.metrics import reliability, wilson_interval, win_probability


def test_bins_by_hand() -> None:
    """Claims .72, .78 (one of two won) and 1.0 (won).

    Bin [.7, .8): claimed .75, observed .5. Bin [.9, 1]: claimed 1, observed 1.
    Calibration error (2 * .25 + 1 * 0) / 3; Brier ((.28)^2 + (.78)^2 + 0) / 3.
    """
    found = reliability([0.72, 0.78, 1.0], [True, False, True])
    assert [(b.low, b.high, b.samples, b.observed) for b in found.bins] == [(0.7, 0.8, 2, 0.5), (0.9, 1.0, 1, 1.0)]
    assert found.bins[0].claimed == pytest.approx(0.75)
    assert found.bins[0].interval == wilson_interval(1, 2)
    assert found.calibration_error == pytest.approx(0.5 / 3)
    assert found.brier == pytest.approx((0.28**2 + 0.78**2) / 3)
    assert found.samples == 3


def test_honest_margins_have_a_small_calibration_error() -> None:
    # Outcomes drawn with the claimed probability; with 20,000 samples in 10 bins the error is about .01 at most.
    rng = np.random.default_rng(2)
    claims = win_probability(rng.normal(0, 2, 20000))
    assert reliability(claims, rng.random(20000) < claims).calibration_error < 0.01
    assert reliability(win_probability(np.full(100, 5.0)), [True, False] * 50).calibration_error > 0.4


@pytest.mark.parametrize(("claims", "wins"), [([], []), ([0.5], [True, False]), ([1.5], [True]), ([np.nan], [True])])
def test_refuses_bad_input(claims: list[float], wins: list[bool]) -> None:
    with pytest.raises(ValueError, match="claim"):
        reliability(claims, wins)
