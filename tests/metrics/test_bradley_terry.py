"""Strengths equal closed forms, evalica's solver and a brute-force search; errors equal a curvature found by steps."""

from __future__ import annotations

import itertools
import math

import evalica
import numpy as np
import pytest
from numpy.typing import NDArray

from omnireward.metrics import bradley_terry


def _games(players: int, seed: int, soft: bool = False) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    wins = np.zeros((players, players))
    for one, other in itertools.combinations(range(players), 2):
        if rng.random() < 0.7:
            share = rng.random() if soft else float(rng.integers(0, 3)) / 2
            wins[one, other], wins[other, one] = share, 1 - share
    return wins


def _evalica(wins: NDArray[np.float64], prior: float) -> NDArray[np.float64]:
    """With the prior as games against one more player."""
    count = len(wins)
    table = np.zeros((count + 1, count + 1))
    table[:count, :count] = wins
    table[count, :count] = table[:count, count] = prior / 2
    rows, columns = np.nonzero(table)
    found = evalica.bradley_terry(
        rows.tolist(),
        columns.tolist(),
        [evalica.Winner.X] * len(rows),
        weights=table[rows, columns].tolist(),
        tolerance=1e-12,
        limit=100_000,
    ).scores.to_dict()
    logs = np.log([found[player] for player in range(count)])
    return np.asarray(logs - logs.mean())


@pytest.mark.parametrize("players", [2, 3, 8, 16])
@pytest.mark.parametrize("soft", [False, True], ids=["verdicts", "probabilities"])
def test_strengths_equal_a_second_implementation(players: int, soft: bool) -> None:
    wins = _games(players, players, soft)
    found = bradley_terry(wins).strengths
    assert found == pytest.approx(_evalica(wins, 1 / players), abs=1e-6)
    assert found.sum() == pytest.approx(0, abs=1e-9)


def test_two_players_have_the_closed_form() -> None:
    """Of w wins and l losses and a prior of p drawn games: the equation of either is (w + l) s(d) + p s(d/2) = w + p/2.

    The third player lies half way between. Solved for d by bisection.
    """
    low, high = -10.0, 10.0
    for _ in range(100):
        d = (low + high) / 2
        low, high = (d, high) if 4 * _sigmoid(d) + 0.5 * _sigmoid(d / 2) < 3 + 0.25 else (low, d)
    strengths = bradley_terry([[0, 3], [1, 0]], prior=0.5).strengths
    assert strengths == pytest.approx([low / 2, -low / 2], abs=1e-9)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_errors_are_those_of_the_curvature_by_brute_force() -> None:
    """The second derivative by differences of the likelihood, written out game by game; its inverse is the spread."""
    wins, prior, step = _games(4, 3), 0.25, 1e-3
    fitted = bradley_terry(wins, prior=prior)

    def loss(free: NDArray[np.float64]) -> float:
        """Nobody is at 0."""
        games = [(free[i] - free[j], wins[i, j]) for i in range(4) for j in range(4)]
        games += [(sign * free[i], prior / 2) for i in range(4) for sign in (1, -1)]
        return float(sum(weight * math.log1p(math.exp(-d)) for d, weight in games))

    top = fitted.strengths - _nobody(fitted.strengths)
    steps = np.eye(4) * step
    curvature = [
        [(loss(top + a + b) - loss(top + a - b) - loss(top - a + b) + loss(top - a - b)) / (4 * step**2) for b in steps]
        for a in steps
    ]
    centring = np.eye(4) - 0.25
    spread = centring @ np.linalg.inv(np.array(curvature)) @ centring.T
    assert fitted.standard_errors == pytest.approx(np.sqrt(np.diag(spread)), rel=1e-4)


def _nobody(strengths: NDArray[np.float64]) -> float:
    """The place of the extra player: as much is above as below, by bisection."""
    low, high = -20.0, 20.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if sum(_sigmoid(s - middle) for s in strengths) > len(strengths) / 2 else (low, middle)
        )
    return low


def test_a_player_that_wins_everything_is_finite_and_one_that_met_nobody_is_in_the_middle() -> None:
    wins = np.zeros((3, 3))
    wins[0, 1] = 5
    first, last, nobody = bradley_terry(wins).strengths
    assert math.isfinite(first)
    assert first > nobody > last
    assert nobody == pytest.approx((first + last) / 2, abs=1e-6)


@pytest.mark.parametrize("players", [2, 8, 64, 128])
def test_neighbours_in_a_row_are_more_than_log_3_apart(players: int) -> None:
    """As the module says, also for those in the middle, where both sides pull hardest; and it ends."""
    fitted = bradley_terry(np.eye(players, k=1))
    assert (-np.diff(fitted.strengths)).min() > math.log(3)
    assert np.isfinite(fitted.standard_errors).all()


def test_the_weighted_mean_is_0_and_differences_stay() -> None:
    wins = _games(5, 1)
    plain, weighted = bradley_terry(wins).strengths, bradley_terry(wins, weights=[3, 0, 1, 1, 0]).strengths
    assert np.diff(plain) == pytest.approx(np.diff(weighted))
    assert weighted @ [3, 0, 1, 1, 0] == pytest.approx(0, abs=1e-9)


def test_intervals_hold_the_true_strength_about_as_often_as_they_say() -> None:
    """95 % intervals of 8 players that meet twice; 300 draws of 8 give a standard error of 0.45 %, a priori wider."""
    rng = np.random.default_rng(0)
    held = []
    for _ in range(300):
        true = rng.normal(size=8)
        chance = 1 / (1 + np.exp(true[None, :] - true[:, None]))
        wins = np.triu(rng.binomial(2, chance), 1).astype(np.float64)
        wins += np.triu(2 - wins, 1).T
        fitted = bradley_terry(wins)
        held += (np.abs(fitted.strengths - true + true.mean()) <= 1.96 * fitted.standard_errors).tolist()
    assert 0.94 <= float(np.mean(held)) <= 0.99


@pytest.mark.parametrize(
    ("wins", "rest"),
    [
        ([[0, 1]], {}),
        ([], {}),
        ([[0, -1], [1, 0]], {}),
        ([[0, math.nan], [1, 0]], {}),
        ([[0, 1], [1, 0]], {"prior": 0}),
        ([[0, 1], [1, 0]], {"prior": math.inf}),
        ([[0, 1], [1, 0]], {"weights": [0, 0]}),
        ([[0, 1], [1, 0]], {"weights": [1, 1, 1]}),
        ([[0, 1], [1, 0]], {"weights": [1, -1]}),
    ],
)
def test_what_is_no_table_prior_or_weight_is_refused(wins: list[list[float]], rest: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match="given"):
        bradley_terry(wins, **rest)  # type: ignore[arg-type]
