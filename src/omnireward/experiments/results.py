"""What an experiment found: each figure of each arm, and whether what was expected came out.

Shares of samples are fractions here; words and pages tell them in percent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from omnireward.experiments.nouns import Expectation, Experiment
from omnireward.metrics.hierarchical import Estimate

Verdict = Literal["holds, and so does its interval", "holds", "FAILS"]


@dataclass(frozen=True, slots=True)
class Found:
    """One arm's figure, or one arm's less another's, against a bound.

    Attributes:
        arm: which.
        than: the arm that it is compared with; empty where the figure itself is bounded.
        estimate: of the figure or the difference.
        holds: whether the estimate is within the bound.
        surely: whether the whole interval is.
    """

    arm: str
    than: str
    estimate: Estimate
    holds: bool
    surely: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """An expectation and how it came out: every arm against every arm that it is compared with."""

    expectation: Expectation
    found: tuple[Found, ...]

    @property
    def verdict(self) -> Verdict:
        """It holds where all of it does."""
        if not all(one.holds for one in self.found):
            return "FAILS"
        return "holds, and so does its interval" if all(one.surely for one in self.found) else "holds"


@dataclass(frozen=True, slots=True)
class Results:
    """All that an experiment found.

    Attributes:
        experiment: what was asked.
        seeds: of training.
        command: that makes it again, in another folder.
        recipe: that was used.
        base: what arms started from.
        figures: figure -> arm -> estimate.
        runs: arm -> seed -> the run's folder's name.
        failures: judgements that failed, over all runs and tests; they count as wrong.
        expectations: in the experiment's order.
    """

    experiment: Experiment
    seeds: tuple[int, ...]
    command: str
    recipe: str
    base: str
    figures: Mapping[str, Mapping[str, Estimate]]
    runs: Mapping[str, Mapping[int, str]]
    failures: int
    expectations: tuple[Judged, ...]

    @property
    def failed(self) -> int:
        """How many expectations fail."""
        return sum(one.verdict == "FAILS" for one in self.expectations)
