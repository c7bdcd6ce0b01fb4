"""Bradley-Terry strengths of players that met in pairs, with standard errors; shares of a game may be soft.

    P(i beats j) = sigmoid(strength_i - strength_j)

Source: R. A. Bradley and M. E. Terry, Rank Analysis of Incomplete Block Designs, Biometrika 39 (1952).

The prior is a number of drawn games of each player against one more player, who is nobody and only has a strength of
its own. It keeps a player that won everything finite, and pulls those that met nobody to the middle. At most 1 / n for
each of n players has a use: where whole wins contradict each other nowhere, strengths then have the order of the wins.
For the k best beat all others whom they met, and summing the equations of the k says that what is missing to certainty
in those games is less than k / (2 n), and as much less than (n - k) / (2 n): less than 1/4 together. So of two
neighbours that met, the better one is ahead by more than log 3.

What is unusual: Newton's method on the logarithmic scale, not the usual iteration on exp(strength). That one needs more
than 100,000 steps where 64 players stand in a row, so e^70 apart, and leaves the errors to be found.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

_STEPS = 200
_HALVINGS = 60
_SETTLED = 1e-10  # of the gradient, in games
_Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False, slots=True)
class BradleyTerry:
    """Strengths (players,), logarithmic, whose weighted mean is 0, and their standard errors (players,).

    The errors are those of the distance from that mean: of the curvature of the likelihood at its top, so they are
    rough where games are few, and hold one player at a time.
    """

    strengths: _Numbers
    standard_errors: _Numbers


def bradley_terry(wins: ArrayLike, prior: float | None = None, weights: ArrayLike | None = None) -> BradleyTerry:
    """Strengths from games.

    Args:
        wins: (players, players) games that the row's player won against the column's, >= 0; a draw is half a win each.
        prior: drawn games of each player against nobody, above 0; 1 / players by default.
        weights: (players,) of each player in the mean that is 0; all equal by default.

    Raises:
        ValueError: an argument is none of these.

    >>> two = bradley_terry([[0, 3], [1, 0]], prior=1e-9).strengths  # the closed form: log 3 apart
    >>> bool(abs(two[0] - two[1] - math.log(3)) < 1e-6)
    True
    """
    table = np.asarray(wins, dtype=np.float64)
    count = len(table)
    if table.shape != (count, count) or not count or not np.isfinite(table).all() or table.min() < 0:
        raise ValueError(f"wins are a square table of finite numbers of at least 0; given {table.shape}.")
    drawn = 1 / count if prior is None else prior
    if not 0 < drawn < math.inf:
        raise ValueError(f"the prior is a number of games above 0; given {prior}.")
    mean = np.ones(count) if weights is None else np.asarray(weights, dtype=np.float64)
    if mean.shape != (count,) or not np.isfinite(mean).all() or mean.min() < 0 or mean.sum() <= 0:
        raise ValueError(f"weights are {count} numbers of at least 0, not all of them 0; given {mean.tolist()}.")
    games = np.zeros((count + 1, count + 1))  # the last player is nobody
    games[:count, :count] = table
    np.fill_diagonal(games, 0)
    games[count, :count] = games[:count, count] = drawn / 2
    found = _top(games)
    inverse = np.linalg.inv(
        _curvature(games, found) + 1 / (count + 1)
    )  # 1 / n fills the direction that changes nothing
    centring = np.eye(count + 1)
    centring[:, :count] -= mean / mean.sum()
    spread = np.einsum("ij,jk,ik->i", centring, inverse, centring)
    centred = centring @ found
    return BradleyTerry(centred[:count], np.sqrt(np.maximum(spread[:count], 0)))


def _top(wins: _Numbers) -> _Numbers:
    """(players,) where the likelihood is greatest; it is concave, so steps that do not lower it lead there."""
    strengths = np.zeros(len(wins))
    likelihood = _likelihood(wins, strengths)
    for _ in range(_STEPS):
        slope = (wins - (wins + wins.T) * _beats(strengths)).sum(axis=1)
        if np.abs(slope).max() <= _SETTLED * max(1.0, wins.max()):
            break
        step = np.linalg.solve(_curvature(wins, strengths) + 1 / len(wins), slope)
        for _ in range(_HALVINGS):
            tried = strengths + step
            reached = _likelihood(wins, tried)
            if reached >= likelihood:
                break
            step = step / 2
        else:
            break  # no step is better than none: the last digits are reached
        strengths, likelihood = tried - tried.mean(), reached
    return strengths


def _likelihood(wins: _Numbers, strengths: _Numbers) -> float:
    """Logarithm of it."""
    return -float((wins * np.logaddexp(0, strengths[None, :] - strengths[:, None])).sum())


def _beats(strengths: _Numbers) -> _Numbers:
    """(players, players) probability that the row's player beats the column's."""
    beats: _Numbers = np.exp(-np.logaddexp(0, strengths[None, :] - strengths[:, None]))
    return beats


def _curvature(wins: _Numbers, strengths: _Numbers) -> _Numbers:
    """(players, players) minus the second derivative of the logarithm; it is 0 along (1, ..., 1)."""
    beats = _beats(strengths)
    known = (wins + wins.T) * beats * beats.T
    curvature: _Numbers = np.diag(known.sum(axis=1)) - known
    return curvature
