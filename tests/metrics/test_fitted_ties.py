"""Cross-fitted scale and log-odds of a tie: planted values, a grid, odd margins, and what cannot be fitted."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnireward.metrics import TieFit, cross_fitted_ties, fit_ties, pair_probabilities
from omnireward.metrics.calibration import OUTCOMES
from omnireward.metrics.ties import folds_of


def planted(count: int, scale: float, log_odds: float, seed: int = 0) -> tuple[list[float], list[str]]:
    rng = np.random.default_rng(seed)
    margins = (3 * rng.normal(size=count)).tolist()
    people = [OUTCOMES[int(rng.choice(3, p=pair_probabilities(scale * m, log_odds)))] for m in margins]
    return margins, people


def log_likelihood(fit: TieFit, margins: list[float], people: list[str]) -> float:
    return sum(math.log(fit.probabilities(m)[OUTCOMES.index(p)]) for m, p in zip(margins, people, strict=True))


@pytest.mark.parametrize(("scale", "log_odds"), [(0.7, 0.8), (0.05, 0.3), (4.0, 6.0)])
def test_what_was_planted_is_found(scale: float, log_odds: float) -> None:
    found = fit_ties(*planted(4000, scale, log_odds))
    assert found.scale == pytest.approx(scale, rel=0.12)
    assert found.log_odds == pytest.approx(log_odds, rel=0.12)


def test_nothing_near_is_likelier() -> None:
    """A grid around the maximum, steps of 1 %; the penalty moves it by less than that."""
    margins, people = planted(300, 0.7, 0.8)
    found = fit_ties(margins, people)
    best = log_likelihood(found, margins, people)
    for i in (-3, -2, -1, 1, 2, 3):
        assert log_likelihood(TieFit(found.scale * (1 + i / 100), found.log_odds), margins, people) < best
        assert log_likelihood(TieFit(found.scale, found.log_odds * (1 + i / 100)), margins, people) < best


def test_by_hand_without_a_word_from_the_margins() -> None:
    """Margins of 0, half ties: P(tie) = 1/2 and P(a) = sigmoid(-d) = 1/4, so d = log 3, but for the penalty."""
    found = fit_ties([0.0] * 100, ["tie"] * 50 + ["a", "b"] * 25)
    assert found.scale == 0
    assert found.log_odds == pytest.approx(math.log(3), abs=1e-3)


def test_a_judge_that_is_wrong_is_not_turned_around() -> None:
    margins, people = planted(300, 0.7, 0.8)
    assert fit_ties([-m for m in margins], people).scale == 0


@given(st.integers(0, 1000), st.floats(-300, 300))
@settings(max_examples=30)
def test_the_unit_of_the_margins_does_not_matter(seed: int, power: float) -> None:
    margins, people = planted(40, 0.7, 0.8, seed)
    people[:2] = ["tie", "a"]
    unit = 10.0**power
    one, two = fit_ties(margins, people), fit_ties([m * unit for m in margins], people)
    assert two.scale * unit == pytest.approx(one.scale, rel=1e-6, abs=1e-6)
    assert two.log_odds == pytest.approx(one.log_odds, rel=1e-6)


@pytest.mark.parametrize(
    ("margins", "people"),
    [
        ([1.0, 2.0, -3.0, 0.1, -0.1], ["a", "a", "b", "tie", "tie"]),
        ([1e308, -1e308, 0.0], ["a", "b", "tie"]),
        ([1e-310, -1e-310, 0.0], ["a", "b", "tie"]),
        ([5.0] * 2000 + [1.0], ["tie"] * 2000 + ["a"]),
        ([5.0] * 2000 + [1.0], ["a"] * 2000 + ["tie"]),
    ],
    ids=["parted without error", "huge", "tiny", "nearly all ties", "one tie"],
)
def test_odd_margins_have_finite_fits(margins: list[float], people: list[str]) -> None:
    found = fit_ties(margins, people)
    assert 0 <= found.scale < math.inf
    assert 0 < found.log_odds < 100
    for margin in margins:
        assert math.fsum(found.probabilities(margin)) == pytest.approx(1)


@pytest.mark.parametrize("people", [["a", "b"], ["tie", "tie"]])
def test_without_a_tie_or_with_nothing_else_there_is_no_fit(people: list[str]) -> None:
    with pytest.raises(ValueError, match="needs a tie and something else"):
        fit_ties([1.0, -1.0], people)


def test_each_sample_gets_the_fit_of_the_others() -> None:
    margins, people = planted(60, 0.7, 0.8)
    clusters = [f"p{i // 2}" for i in range(60)]
    found = cross_fitted_ties(margins, people, clusters, seed=3)
    fold = folds_of(clusters, seed=3)
    assert found.probabilities is not None
    assert len(found.fits) == 5
    for k in range(5):
        others = [i for i in range(60) if fold[i] != k]
        assert found.fits[k] == fit_ties([margins[i] for i in others], [people[i] for i in others])
        for i in np.flatnonzero(fold == k).tolist():
            assert found.probabilities[i] == found.fits[k].probabilities(margins[i])
    # What people said of a sample changes nothing of its own probabilities, nor of its prompt's.
    changed = ["b" if p == "a" else p for p in people[:2]] + people[2:]
    again = cross_fitted_ties(margins, changed, clusters, seed=3)
    assert again.probabilities is not None
    assert again.probabilities[:2] == found.probabilities[:2]


@pytest.mark.parametrize(
    ("people", "clusters", "reason"),
    [
        (["a", "b", "a", "b"], ["p", "q", "r", "s"], "there is no tie among"),
        (["a", "b", "a", "tie"], ["p", "q", "r", "s"], "there is no tie among"),
        (["tie"] * 4, ["p", "q", "r", "s"], "nothing but ties"),
        (["a", "b", "tie", "tie"], ["p"] * 4, "a single prompt"),
    ],
    ids=["no tie", "a fold without", "all ties", "one prompt"],
)
def test_what_cannot_be_fitted_has_a_reason(people: list[str], clusters: list[str], reason: str) -> None:
    found = cross_fitted_ties([1.0, -1.0, 2.0, 0.1], people, clusters)
    assert found.probabilities is None
    assert reason in found.reason


def test_lengths_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match="1 clusters"):
        cross_fitted_ties([1.0, 2.0], ["a", "tie"], ["p"])
