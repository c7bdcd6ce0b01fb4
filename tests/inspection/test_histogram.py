"""Streaming quantiles against sorted numbers."""

from __future__ import annotations

import numpy as np
import pytest

from omnireward.inspection.histogram import SHARES, Histogram


@pytest.mark.parametrize("scale", [3.0, 200.0, 50_000.0])
def test_quantiles_are_those_of_the_sorted_numbers(scale: float) -> None:
    """The smallest number at or below which the share lies; above 127 up to 1/64 too low."""
    numbers = sorted(int(n) for n in np.random.default_rng(0).exponential(scale, 5_000))
    histogram = Histogram()
    for number in numbers:
        histogram.add(number)
    spread = histogram.spread()
    assert spread is not None
    for share, got in zip(SHARES, spread.quantiles, strict=True):
        exact = numbers[int(np.ceil(share * len(numbers))) - 1]
        assert exact * (1 - 1 / 64) <= got <= exact
        assert exact >= 128 or got == exact
    assert (spread.count, spread.least, spread.most) == (5_000, numbers[0], numbers[-1])
    assert spread.mean == pytest.approx(np.mean(numbers))
    assert sum(count for _, _, count in spread.bars) == 5_000
    assert all(low < high for low, high, _ in spread.bars)


def test_a_unit() -> None:
    histogram = Histogram(0.1)
    for seconds in (0.25, 1.5, 1.5, 40.0):
        histogram.add(seconds)
    spread = histogram.spread()
    assert spread is not None
    assert spread.quantiles == pytest.approx((0.25, 0.25, 1.5, 1.5, 40.0), abs=0.4)
    assert spread.most == 40.0


def test_nothing() -> None:
    assert Histogram().spread() is None


def test_memory_is_bounded() -> None:
    histogram = Histogram()
    for number in range(0, 10_000_000, 997):
        histogram.add(number)
    assert len(histogram._bins) < 128 + 64 * 20
