"""What is ranked, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from omnireward.types import Part, Turn

REFERENCE = -1
"""The number of the reference in a `Compared`; responses are numbered from 0."""

_WIDTH = NormalDist().inv_cdf(0.975)  # of a 95 % interval on each side, in standard errors


@dataclass(frozen=True, slots=True)
class Group:
    """Responses to one prompt under one criterion (empty: overall quality).

    Attributes:
        prompt: turns.
        responses: those to be ranked.
        criterion: in plain words.
        reference: a response that takes part without being ranked itself, such as one that a person wrote.
    """

    prompt: tuple[Turn, ...]
    responses: tuple[tuple[Part, ...], ...]
    criterion: str = ""
    reference: tuple[Part, ...] | None = None


@dataclass(frozen=True, slots=True)
class Strength:
    """Bradley-Terry: who is stronger by s wins a share sigmoid(s) of its comparisons. The responses' mean is 0."""

    value: float
    standard_error: float

    @property
    def interval(self) -> tuple[float, float]:
        """About 95 %; rough where comparisons are few."""
        return self.value - _WIDTH * self.standard_error, self.value + _WIDTH * self.standard_error


@dataclass(frozen=True, slots=True)
class Compared:
    """One call.

    Attributes:
        first: the response that was shown as a.
        second: the one that was shown as b.
        share: of `first`: 1 where it won, 0 where it lost, 0.5 for a tie, P(a) + P(tie) / 2 of a judge with
            probabilities; None where there is no verdict.
        error: why judging failed, if it did.
    """

    first: int
    second: int
    share: float | None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Ranking:
    """What was found out about a group.

    Attributes:
        strengths: of each response; None where there is no number, and `reasons` says why.
        reasons: empty where there is a number.
        reference: the strength of the reference, on the same scale; None also where there is no reference.
        compared: each call, in the order of asking.
    """

    strengths: tuple[Strength | None, ...]
    reasons: tuple[str, ...]
    reference: Strength | None
    compared: tuple[Compared, ...]

    @property
    def rewards(self) -> tuple[float | None, ...]:
        """The strengths without their errors."""
        return tuple(None if strength is None else strength.value for strength in self.strengths)

    @property
    def calls(self) -> int:
        """Comparisons that were asked; each order of a pair is one."""
        return len(self.compared)

    @property
    def failed(self) -> int:
        """How many of them failed with an error."""
        return sum(bool(one.error) for one in self.compared)

    @property
    def without_verdict(self) -> int:
        """How many of them were answered, but with no verdict."""
        return sum(one.share is None and not one.error for one in self.compared)


def counts(rankings: Sequence[Ranking]) -> str:
    """What ranking took, for logs."""
    calls, failed, silent = (
        sum(getattr(one, name) for one in rankings) for name in ("calls", "failed", "without_verdict")
    )
    return f"{len(rankings)} prompts: {calls} comparisons, {silent} of them without a verdict and {failed} failed"
