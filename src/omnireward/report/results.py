"""The nouns of a report: scores, blocks of scores, and the report that holds them. Accuracies are fractions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from omnireward.metrics import Calibration, Interval, Reliability
from omnireward.metrics.order import OrderEffects
from omnireward.metrics.selective import Area, Selective
from omnireward.official import Official
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
        exact_zero_margins: margins of exactly 0, ties included, from judges that state no verdict.
        verdicts: samples whose verdict the judge stated itself.
        tie_verdicts: those among them that are a tie.
        likeliest: samples without a verdict whose probabilities the judge gave itself, so that the likeliest outcome is
            its word in the setting with ties.
        likeliest_ties: those among them whose likeliest outcome is a tie.
        without_ties: over samples with a preference; no margin counts as wrong.
        without_ties_judged: the same over samples that have a margin.
        decided: the same over samples whose margin or verdict names a winner: what guessing makes 50 %, where a judge
            that may say tie is wrong whenever it does.
        with_ties: three-way, by the judge's own word (the stated verdict, or the likeliest of its probabilities), or at
            the best threshold of the sample's task; no margin counts as wrong.
        with_ties_judged: the same over samples that have a margin.
        cross_fitted: three-way, by the judge's own word, or at thresholds fitted on other prompts of the task.
        threshold: the task's best tie threshold; None for a group, for a task without margins, and where the judge's
            own word is known of every sample.
        with_ties_oracle: for reference, what `with_ties` would be if not the likeliest probability counted, but the
            margin at the best threshold; None without `likeliest`.
        oracle_threshold: that threshold; None for a group, and without `likeliest`.
    """

    samples: int
    prompts: int
    ties: int
    failures: int
    without_verdict: int
    exact_zero_margins: int
    verdicts: int
    tie_verdicts: int
    likeliest: int
    likeliest_ties: int
    without_ties: Score
    without_ties_judged: Score
    decided: Score
    with_ties: Score
    with_ties_judged: Score
    cross_fitted: Score
    threshold: float | None = None
    with_ties_oracle: Score | None = None
    oracle_threshold: float | None = None


@dataclass(frozen=True, slots=True)
class MacroScore:
    """The unweighted mean of the accuracies of `tasks`, with a 95 % interval from a stratified cluster bootstrap."""

    accuracy: float | None
    interval: Interval | None
    tasks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Macro:
    """The mean over the tasks present, in the settings of `Block`."""

    without_ties: MacroScore
    decided: MacroScore
    with_ties: MacroScore
    cross_fitted: MacroScore
    with_ties_oracle: MacroScore | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A record and how it counted.

    Attributes:
        record: the judgement; of several votes, what they say together.
        right_strict: the stated verdict, or the margin's sign, names the preferred response.
        right_tied: three-way, by the judge's own word or at the task's threshold.
        right_crossed: three-way, by the judge's own word or at the threshold of the record's fold; None where the task
            could not be split.
        right_oracle: three-way, by the stated verdict or by the margin at the task's best threshold; None where that is
            `right_tied` anyway.
        votes: what the record was made from, by repeat, response a first before response b first.
    """

    record: Record
    right_strict: bool
    right_tied: bool
    right_crossed: bool | None
    votes: tuple[Record, ...] = ()
    right_oracle: bool | None = None

    @property
    def right(self) -> bool | None:
        """How people would mark it: a preference by verdict or sign, a tie by own word or threshold; None without."""
        if self.record.margin is None:
            return None
        return self.right_tied if self.record.preference == "tie" else self.right_strict


@dataclass(frozen=True, slots=True)
class OrderFigures:
    """What the order of the responses does: over all samples pooled, and by task.

    `order` is how the votes were shown: each in both orders, in an order that was drawn, or response a first.
    """

    order: Literal["both", "random", "fixed"]
    overall: OrderEffects
    tasks: Mapping[str, OrderEffects]


@dataclass(frozen=True, slots=True)
class Calibrations:
    """How far claims of P(a), P(tie) and P(b) come true.

    Attributes:
        cross_fitted: the claims are not the judge's own: it gives margins, and each sample's scale and log-odds of a
            tie were fitted on other prompts of its task.
        overall: over all samples that have claims; None where none has.
        tasks: the same by task.
        left_out: tasks that could not be fitted, and why.
    """

    cross_fitted: bool
    overall: Calibration | None
    tasks: Mapping[str, Calibration]
    left_out: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Certainties:
    """What certainty tells of the judgements of samples with a preference, all tasks pooled.

    Attributes:
        selective: by the margin, less its deviation where the judge says one, or by its probabilities.
        margin_alone: what the size of the margin alone would tell; None where that is what counts.
        familiar: accuracy without ties over comparisons like those that the judge was trained on; None where it does
            not know which are.
        unfamiliar: the same over the others.
    """

    selective: Selective
    margin_alone: Area | None
    familiar: Score | None
    unfamiliar: Score | None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the files, the page and the terminal show. `tasks` is in the paper's order, groups by name.

    `order` is None for judges whose order cannot be told to matter: margins alone, response a always first. `official`
    are the figures of the benchmark's own scorer, where it has one. `calibration` is None where nothing claims
    anything about ties: verdicts alone, or nothing judged. `certainty` is None for verdicts alone.
    """

    run: Run
    outcomes: tuple[Outcome, ...]
    macro: Macro
    tasks: Mapping[str, Block]
    groups: Mapping[str, Block]
    reliability: Reliability | None
    order: OrderFigures | None = None
    official: Official | None = None
    calibration: Calibrations | None = None
    certainty: Certainties | None = None

    @property
    def own_word(self) -> Literal["stated", "likeliest", "mixed"] | None:
        """How the judge itself says what is a tie, so that no threshold is fitted anywhere; None where one is.

        It states verdicts; or it gives probabilities, whose likeliest counts; or some of both.
        """
        blocks = self.tasks.values()
        if any(block.threshold is not None for block in blocks):
            return None
        stated, likeliest = any(block.verdicts for block in blocks), any(block.likeliest for block in blocks)
        if stated and likeliest:
            return "mixed"
        return "stated" if stated else "likeliest" if likeliest else None

    @property
    def abstains(self) -> bool:
        """Whether the judge stated ties, itself or by votes that differ, so that chance without ties is below 50 %."""
        return self.own_word is not None and any(block.tie_verdicts for block in self.tasks.values())

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
