"""P(a), P(tie) and P(b) for a judge that gives margins alone, fitted on other samples than those that they are for.

The model is Rao and Kupper's (see `probabilities`) with two numbers that the judge does not know: the scale s of its
margins in log-odds, and the log-odds d of a tie. They make what people said as likely as possible:

    P(a) = sigmoid(s m - d)    P(b) = sigmoid(-s m - d)    P(tie) = (1 - exp(-2 d)) sigmoid(d - s m) sigmoid(d + s m)

What is unusual: the logarithm of each is concave in (s, d), so Newton's method with halved steps finds the one maximum,
and draws nothing. A small penalty, as if a thousandth of one more sample spoke for 0, keeps s and d finite where they
part the samples without error. s is at least 0: a judge that is wrong more often than right is not turned around.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnireward.metrics.probabilities import PairProbabilities, pair_probabilities
from omnireward.metrics.ties import finite_margins, folds_of

_PENALTY = 1e-3
_STEPS, _HALVINGS = 100, 60
_NOTHING = 1e-300  # a largest margin whose inverse might be no number
_ENOUGH = 1e-10  # of a gain in log-likelihood per sample


@dataclass(frozen=True, slots=True)
class TieFit:
    """How margins m become probabilities: `pair_probabilities(scale * m, log_odds)`."""

    scale: float
    log_odds: float

    def probabilities(self, margin: float) -> PairProbabilities:
        """Of a pair."""
        return pair_probabilities(self.scale * margin, self.log_odds)


@dataclass(frozen=True, slots=True)
class CrossFittedTies:
    """Probabilities of each sample from a fit without its fold.

    Attributes:
        probabilities: (n,) in the order given; None where there are none.
        fits: one for each fold; none where there are no probabilities.
        reason: why there are none; empty where there are.
    """

    probabilities: tuple[PairProbabilities, ...] | None
    fits: tuple[TieFit, ...] = ()
    reason: str = ""


def cross_fitted_ties(
    margins: Sequence[float], preferences: Sequence[str], clusters: Sequence[str], folds: int = 5, seed: int = 0
) -> CrossFittedTies:
    """Fit scale and log-odds of a tie for each fold on the other folds, those of `cross_fitted_accuracy`.

    Args:
        margins: (n,) finite.
        preferences: (n,) 'a', 'b' or 'tie'.
        clusters: (n,) the prompt each sample belongs to; a fold never splits one.
        folds: at least 2; fewer are made when there are fewer clusters.
        seed: which clusters share a fold.

    Raises:
        ValueError: as `cross_fitted_accuracy`, but for a single cluster, which is a reason.
    """
    values = finite_margins(margins, preferences)
    if len(clusters) != len(values):
        raise ValueError(f"{len(values)} margins but {len(clusters)} clusters; there is one of each for a sample.")
    if len(set(clusters)) < 2:
        return CrossFittedTies(None, reason="there is a single prompt, and no other to fit on")
    fold, people = folds_of(clusters, folds, seed), np.array(preferences)
    fits = []
    for k in range(int(fold.max()) + 1):
        others = fold != k
        ties = int((people[others] == "tie").sum())
        if not 0 < ties < others.sum():
            what = "no tie" if not ties else "nothing but ties"
            return CrossFittedTies(None, reason=f"there is {what} among the samples that one fold would be fitted on")
        fits.append(fit_ties(values[others], people[others].tolist()))
    found = tuple(fits[k].probabilities(m) for k, m in zip(fold.tolist(), values.tolist(), strict=True))
    return CrossFittedTies(found, tuple(fits))


def fit_ties(margins: Sequence[float] | NDArray[np.floating], preferences: Sequence[str]) -> TieFit:
    """The likeliest scale and log-odds of a tie.

    Args:
        margins: (n,) finite.
        preferences: (n,) 'a', 'b' or 'tie'; a tie among them, and something else.

    Raises:
        ValueError: as `calibrate_ties`; no tie, or nothing but ties: then no scale, or no log-odds, is the likeliest.
    """
    values, people = finite_margins(margins, preferences), np.array(preferences)
    share = float((people == "tie").mean())
    if not 0 < share < 1:
        raise ValueError("a fit of ties needs a tie and something else; there is only one of them.")
    unit = float(np.abs(values).max())  # before squares, which may overflow
    unit = unit * float(np.sqrt(((values / unit) ** 2).mean())) if unit > _NOTHING else 1.0
    wins = (people == "a").astype(np.float64), (people == "tie").astype(np.float64), (people == "b").astype(np.float64)
    # Without the margins: P(a) = P(b) = sigmoid(-d) = half of what is no tie.
    start = np.array([0.0, np.log((1 + share) / (1 - share))])
    scale, log_odds = _maximum(values / unit, wins, start)
    if scale < 0:
        scale, log_odds = start
    return TieFit(float(scale) / unit, float(log_odds))


Wins = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def _maximum(m: NDArray[np.float64], wins: Wins, at: NDArray[np.float64]) -> NDArray[np.float64]:
    value = _log_likelihood(m, wins, at)
    for _ in range(_STEPS):
        gradient, curvature = _slopes(m, wins, at)
        step = np.linalg.solve(curvature, gradient)
        for _ in range(_HALVINGS):
            new = at + step
            gained = _log_likelihood(m, wins, new) - value if new[1] > 0 else -np.inf
            if gained > 0:
                break
            step = step / 2
        else:
            return at  # no step gains: the maximum to the last bits
        at, value = new, value + gained
        if gained <= _ENOUGH * len(m):
            return at
    return at


def _log_likelihood(m: NDArray[np.float64], wins: Wins, at: NDArray[np.float64]) -> float:
    s, d = at
    a, tie, b = wins
    draw = np.log(-np.expm1(-2 * d)) + _log_sigmoid(d - s * m) + _log_sigmoid(d + s * m)
    found = a * _log_sigmoid(s * m - d) + tie * draw + b * _log_sigmoid(-s * m - d)
    return float(found.sum()) - _PENALTY / 2 * float(at @ at)


def _slopes(
    m: NDArray[np.float64], wins: Wins, at: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Gradient (2,) of the log-likelihood in s and d, and its negative second derivatives (2, 2).

    With u = s m - d and v = -s m - d: log P(a) = log sigmoid(u), log P(b) = log sigmoid(v), and
    log P(tie) = log(1 - exp(-2 d)) + log sigmoid(-u) + log sigmoid(-v).
    """
    s, d = at
    a, tie, b = wins
    up, down = np.exp(_log_sigmoid(s * m - d)), np.exp(_log_sigmoid(-s * m - d))  # sigmoids of u and v
    by_u, by_v = a - (a + tie) * up, b - (b + tie) * down
    in_u, in_v = (a + tie) * up * (1 - up), (b + tie) * down * (1 - down)
    # The derivative of log(1 - exp(-2 d)) is 2 / (exp(2 d) - 1), and that one's is -1 / sinh(d)^2.
    draws = float(tie.sum())
    gradient = np.array([float((m * (by_u - by_v)).sum()), -float((by_u + by_v).sum()) + draws * 2 / np.expm1(2 * d)])
    across = float((m * (in_v - in_u)).sum())
    own = draws / np.sinh(min(float(d), 300.0)) ** 2
    curvature = np.array([[float((m * m * (in_u + in_v)).sum()), across], [across, float((in_u + in_v).sum()) + own]])
    return gradient - _PENALTY * at, curvature + _PENALTY * np.eye(2)


def _log_sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = -np.logaddexp(0.0, -x)
    return found
