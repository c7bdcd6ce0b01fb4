"""A judgement becomes the share of the first response: 1 for a win, 0.5 for a tie, 0 for a loss, or between.

Probabilities are taken as they are, a tie for half. Otherwise the verdict counts, and of judges without one, such as
reward models, the sign of the margin: how far two rewards are apart has no scale that all judges share.
"""

from __future__ import annotations

import math

from omnireward.types import Judgement

_SHARES = {"a": 1.0, "tie": 0.5, "b": 0.0}
_SLACK = 1e-3  # of probabilities that sum to 1


def share_of(judgement: Judgement) -> float | None:
    """None where there is no verdict, where judging failed, or where a number is none.

    >>> share_of(Judgement(1.0, verdict="a")), share_of(Judgement(-3.5)), share_of(Judgement(None, error="x"))
    (1.0, 0.0, None)
    >>> share_of(Judgement(0.1, probabilities=(0.5, 0.25, 0.25)))
    0.625
    """
    if error_of(judgement) or judgement.margin is None:
        return None
    if judgement.probabilities is not None:
        a, tie, b = judgement.probabilities
        return (a + tie / 2) / (a + tie + b)
    if judgement.verdict is not None:
        return _SHARES[judgement.verdict]
    return 0.5 if judgement.margin == 0 else float(judgement.margin > 0)


def error_of(judgement: Judgement) -> str:
    """Why judging failed; empty where it did not. Numbers that are none are failures."""
    if judgement.error:
        return judgement.error
    if judgement.margin is not None and not math.isfinite(judgement.margin):
        return f"the judge gave a margin that is not finite: {judgement.margin}."
    chances = judgement.probabilities
    if chances is not None and not (all(0 <= each <= 1 for each in chances) and abs(sum(chances) - 1) <= _SLACK):
        return f"the judge gave probabilities that are none: {', '.join(map(str, chances))}."
    return ""
