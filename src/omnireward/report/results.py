"""The nouns of a report: scores, blocks of scores, and the report that holds them. Accuracies are fractions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from omnireward.metrics import Interval, Reliability
from omnireward.report.records import Record, Run


@dataclass(frozen=True, slots=True)
class Score:
    """An accuracy, its 95 % interval clustered by prompt, and over how many samples.

    Both are None where nothing could be counted; the interval alone is None where there is a single prompt.
    """

    accuracy: float | None
    interval: Interval | None
    samples: int


@dataclass(frozen=True, slots=True)
class Block:
    """The figures of a task or a group.

    Attributes:
        samples: judged or failed, ties included.
        prompts: clusters among them.
        ties: samples that people called a tie.
        failures: judging ended in an error.
        without_verdict: judged, but the answer named no side; no error.
        exact_zero_margins: margins of exactly 0, ties included.
        without_ties: over samples with a preference; no margin counts as wrong.
        without_ties_judged: the same over samples that have a margin.
        with_ties: three-way, at the best threshold of each sample's task; no margin counts as wrong.
        with_ties_judged: the same over samples that have a margin.
        cross_fitted: three-way, at thresholds fitted on other prompts of the task.
        threshold: the task's best tie threshold; None for a group, and for a task without margins.
    """

    samples: int
    prompts: int
    ties: int
    failures: int
    without_verdict: int
    exact_zero_margins: int
    without_ties: Score
    without_ties_judged: Score
    with_ties: Score
    with_ties_judged: Score
    cross_fitted: Score
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class MacroScore:
    """The unweighted mean of the accuracies of `tasks`, with a 95 % interval from a stratified cluster bootstrap."""

    accuracy: float | None
    interval: Interval | None
    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Macro:
    """The mean over the tasks present, in the three settings."""

    without_ties: MacroScore
    with_ties: MacroScore
    cross_fitted: MacroScore


@dataclass(frozen=True, slots=True)
class Outcome:
    """A record and how it counted.

    Attributes:
        record: the judgement.
        right_strict: the margin's sign names the preferred response.
        right_tied: three-way, at the task's threshold.
        right_crossed: three-way, at the threshold of the record's fold; None where the task could not be split.
    """

    record: Record
    right_strict: bool
    right_tied: bool
    right_crossed: bool | None

    @property
    def right(self) -> bool | None:
        """How people would mark it: a preference by the margin's sign, a tie by the threshold; None without margin."""
        if self.record.margin is None:
            return None
        return self.right_tied if self.record.preference == "tie" else self.right_strict


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the files, the page and the terminal show. `tasks` is in the paper's order, groups by name."""

    run: Run
    outcomes: tuple[Outcome, ...]
    macro: Macro
    tasks: Mapping[str, Block]
    groups: Mapping[str, Block]
    reliability: Reliability | None

    @property
    def samples(self) -> int:
        """Samples that were judged or failed."""
        return len(self.outcomes)

    @property
    def failures(self) -> int:
        """Samples whose judging ended in an error."""
        return sum(block.failures for block in self.tasks.values())

    @property
    def without_verdict(self) -> int:
        """Samples whose answer named no side."""
        return sum(block.without_verdict for block in self.tasks.values())
