from __future__ import annotations

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from evalica import alpha as evalica_alpha

from omnireward.metrics.agreement import krippendorff_alpha


def _ratings(seed: int, units: int, raters: int) -> np.ndarray:
    """(raters, units) of 0, 1, 2 and NaN: raters repeat the truth two times of three, and are missing one of five."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(3, size=units)
    said = np.where(rng.random((raters, units)) < 2 / 3, truth, rng.integers(3, size=(raters, units))).astype(float)
    said[rng.random((raters, units)) < 0.2] = np.nan
    return said


def _counts(ratings: np.ndarray) -> np.ndarray:
    return np.stack([(ratings == value).sum(axis=0) for value in range(3)], axis=1)


@pytest.mark.parametrize("seed", range(5))
def test_equals_a_second_implementation(seed: int) -> None:
    """evalica.alpha takes raters by units and codes; units with one rating count in neither."""
    ratings = _ratings(seed, 60, 4)
    found = krippendorff_alpha(_counts(ratings), [str(unit) for unit in range(60)])
    expected = evalica_alpha(pd.DataFrame(ratings), "nominal").alpha
    assert found is not None
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.interval is not None
    assert found.interval[0] < found.value < found.interval[1]


def test_by_hand() -> None:
    """Units (2, 0), (0, 2), (1, 1): D_o = 0 + 0 + 2 = 2; N = (3, 3), n = 6, D_e = (36 - 18) / 5 = 3.6; 1 - 2 / 3.6."""
    found = krippendorff_alpha([[2, 0], [0, 2], [1, 1], [1, 0]], ["x", "y", "z", "w"])
    assert found is not None
    assert found.value == pytest.approx(1 - 2 / 3.6)
    assert (found.units, found.ratings) == (3, 6)


def test_the_interval_widens_where_units_share_a_prompt() -> None:
    """Ten units of a prompt that are the same unit ten times say no more than one of them."""
    ratings = _ratings(1, 40, 3)
    alone = krippendorff_alpha(_counts(ratings), [str(unit) for unit in range(40)])
    repeated = np.repeat(_counts(ratings), 10, axis=0)
    shared = krippendorff_alpha(repeated, [str(unit) for unit in range(40) for _ in range(10)])
    naive = krippendorff_alpha(repeated, [str(unit) for unit in range(400)])
    intervals = [found.interval for found in (alone, shared, naive) if found is not None]
    widths = [interval[1] - interval[0] for interval in intervals if interval is not None]
    assert len(widths) == 3
    assert widths[1] == pytest.approx(widths[0], rel=0.15)
    assert widths[2] < widths[1] / 2


def test_the_interval_does_not_depend_on_how_many_draws_are_held_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, clusters = _counts(_ratings(2, 30, 3)), [str(unit % 7) for unit in range(30)]
    whole = krippendorff_alpha(counts, clusters)
    monkeypatch.setattr("omnireward.metrics.agreement._MOST_DRAWN", 7 * 10)
    assert krippendorff_alpha(counts, clusters) == whole


def test_where_it_means_nothing() -> None:
    assert krippendorff_alpha(np.zeros((0, 3)), []) is None
    assert krippendorff_alpha([[1, 0], [0, 1]], ["x", "y"]) is None
    assert krippendorff_alpha([[2, 0], [3, 0]], ["x", "y"]) is None
    single = krippendorff_alpha([[2, 0], [1, 1]], ["x", "x"])
    assert single is not None
    assert single.interval is None
    with pytest.raises(ValueError, match="one cluster for each"):
        krippendorff_alpha([[1, 1]], [])
