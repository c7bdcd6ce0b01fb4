"""Margins become probabilities of a win, a tie and a loss: Rao and Kupper (1967) and Davidson (1970), in logarithms.

Source: P. V. Rao and L. L. Kupper, Ties in Paired-Comparison Experiments: A Generalization of the Bradley-Terry Model,
Journal of the American Statistical Association 62 (1967), pages 194 to 204. With a margin m in log-odds, as
Bradley-Terry rewards have, and the logarithm d >= 0 of their parameter theta:

    P(a) = sigmoid(m - d)        P(b) = sigmoid(-m - d)        P(tie) = 1 - P(a) - P(b)

d = 0 is Bradley-Terry, which knows no ties. Evaluation does not fit d; it fits a threshold t, up to which two responses
count as tied (see `ties`). Here d is the one with which a tie is the likeliest of the three exactly where |m| < t. With
x = exp(t) and y = exp(-d), a win and a tie are equally likely at m = t where 2 y^2 + x y - 1 = 0, so

    y = (sqrt(x^2 + 8) - x) / 4        d = t + log((1 + sqrt(1 + 8 exp(-2 t))) / 2)

t = 0 gives d = log 2, with which all three are 1/3 at m = 0. The threshold says which of the three is the likeliest;
how likely follows from the model's own scale, the log-odds of its margins, and is not fitted.

R. R. Davidson, On Extending the Bradley-Terry Model to Accommodate Ties in Paired Comparison Experiments, Journal of
the American Statistical Association 65 (1970), pages 317 to 328, lets a tie be as likely as nu times the geometric mean
of both strengths. With the logarithm t of nu, the three are the softmax of

    m / 2  for a        t  for a tie        -m / 2  for b

so that P(a) : P(b) is Bradley-Terry's at every t, which it is not in Rao and Kupper's model, and a tie is the likeliest
exactly where |m| < 2 t. Minus infinity for t is Bradley-Terry.

What is unusual: nothing here overflows or cancels. P(tie) is not taken as the rest, which would lose all its digits
where it is small, but as the product (1 - exp(-2 d)) sigmoid(d - m) sigmoid(d + m), which is equal to it.
"""

from __future__ import annotations

import math
from typing import NamedTuple


class PairProbabilities(NamedTuple):
    """That a wins, that neither does, and that b wins; they sum to 1."""

    a: float
    tie: float
    b: float


def tie_log_odds(threshold: float | None) -> float:
    """The d of a tie threshold; 0, no ties at all, where there is none.

    Args:
        threshold: >= 0 and finite, in units of the margin; None for Bradley-Terry.

    Raises:
        ValueError: a threshold that is negative or not finite.

    >>> tie_log_odds(None)
    0.0
    >>> tie_log_odds(0.0) == math.log(2)
    True
    >>> tie_log_odds(1e300)
    1e+300
    """
    if threshold is None:
        return 0.0
    if not 0 <= threshold < math.inf:  # false for NaN too
        raise ValueError(f"a tie threshold is a finite number that is at least 0; given {threshold}.")
    return threshold + math.log((1 + math.sqrt(1 + 8 * math.exp(-2 * threshold))) / 2)


def pair_probabilities(margin: float, log_odds: float) -> PairProbabilities:
    """The three probabilities of a pair.

    Args:
        margin: reward(a) - reward(b), finite.
        log_odds: d, from `tie_log_odds`.

    Raises:
        ValueError: a margin that is not finite.

    >>> [round(p, 4) for p in pair_probabilities(0.0, tie_log_odds(0.0))]
    [0.3333, 0.3333, 0.3333]
    >>> [round(p, 4) for p in pair_probabilities(0.5, tie_log_odds(0.5))]
    [0.4011, 0.4011, 0.1977]
    >>> pair_probabilities(1000.0, 0.0)
    PairProbabilities(a=1.0, tie=0.0, b=0.0)
    """
    if not math.isfinite(margin):
        raise ValueError(f"a margin is a finite number; given {margin}.")
    tie = -math.expm1(-2 * log_odds) * (_sigmoid(log_odds - margin) * _sigmoid(log_odds + margin))
    return PairProbabilities(_sigmoid(margin - log_odds), tie, _sigmoid(-margin - log_odds))


def davidson_probabilities(margin: float, log_nu: float) -> PairProbabilities:
    """The three probabilities of a pair in Davidson's model.

    Args:
        margin: reward(a) - reward(b), finite.
        log_nu: t, finite, or minus infinity for no ties at all.

    Raises:
        ValueError: a margin that is not finite; a log_nu that is NaN or infinity.

    >>> [round(p, 4) for p in davidson_probabilities(0.0, 0.0)]
    [0.3333, 0.3333, 0.3333]
    >>> [round(p, 4) for p in davidson_probabilities(1.0, 0.5)]
    [0.4223, 0.4223, 0.1554]
    >>> davidson_probabilities(1000.0, -math.inf)
    PairProbabilities(a=1.0, tie=0.0, b=0.0)
    """
    if not math.isfinite(margin):
        raise ValueError(f"a margin is a finite number; given {margin}.")
    if not log_nu < math.inf:  # true for NaN too
        raise ValueError(f"the logarithm of nu is finite, or minus infinity for no ties; given {log_nu}.")
    half = margin / 2
    largest = max(abs(half), log_nu)
    a, tie, b = math.exp(half - largest), math.exp(log_nu - largest), math.exp(-half - largest)
    total = (a + b) + tie  # in this order a swap of the responses changes no bit
    return PairProbabilities(a / total, tie / total, b / total)


def _sigmoid(x: float) -> float:
    small = math.exp(-abs(x))
    return 1 / (1 + small) if x >= 0 else small / (1 + small)
