"""What an experiment is: arms that are trained, tests that judge them, figures of the tests, and what is expected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from omnireward.types import Task

Measure = Literal[
    "with_ties",
    "cross_fitted",
    "without_ties",
    "calibration_error",
    "calibration_error_by_outcome",
    "brier",
    "alpha",
    "kappa",
]
POINTS: tuple[Measure, ...] = ("with_ties", "cross_fitted", "without_ties")
"""Measures that are shares of samples, told in percent, and their differences in points; the others are plain."""


@dataclass(frozen=True, slots=True)
class Arm:
    """A way of training: what it changes of the recipe. `untrained`: the base with a new head, not trained at all."""

    name: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    untrained: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of a test, or the difference of two of them.

    Attributes:
        name: what the table calls it.
        test: the name of the test; empty for a difference.
        measure: what is counted.
        tasks: of samples of these tasks; all when empty.
        group: of samples of this group; all when empty.
        criterion: of samples `with` a criterion, or `without` one; of all when empty.
        macro: the mean over the tasks; else all samples together.
        minus: a first and a second figure whose difference it is; empty for a figure of a test.
    """

    name: str
    test: str = ""
    measure: Measure = "with_ties"
    tasks: tuple[Task, ...] = ()
    group: str = ""
    criterion: Literal["", "with", "without"] = ""
    macro: bool = True
    minus: tuple[str, str] | tuple[()] = ()

    @property
    def points(self) -> bool:
        """Whether it is told in percent (or points)."""
        return self.measure in POINTS


@dataclass(frozen=True, slots=True)
class Expectation:
    """What should come out.

    Attributes:
        says: in one sentence.
        figure: which.
        arms: each of them is held to it.
        than: arms that each is compared with; empty: the figure itself is bounded.
        than_figure: the figure of those arms; the same one by default.
        at_least: the least difference, or the least value: in points, or plain where the figure is.
        at_most: the most.
    """

    says: str
    figure: str
    arms: tuple[str, ...]
    than: tuple[str, ...] = ()
    than_figure: str = ""
    at_least: float | None = None
    at_most: float | None = None


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture of some figures.

    Attributes:
        kind: `dots`: a row for each arm, with whiskers; `line`: over `x`; `heat`: arms by figures.
        figures: which.
        title: above it.
        x: for `line`, where each arm stands.
        x_label: under it.
    """

    kind: Literal["dots", "line", "heat"]
    figures: tuple[str, ...]
    title: str = ""
    x: Mapping[str, float] = field(default_factory=dict)
    x_label: str = ""


@dataclass(frozen=True, slots=True)
class Experiment:
    """One experiment.

    Attributes:
        name: the file's name without its ending; also that of its folder.
        title: a few words.
        question: what it asks, and how it is answered.
        paper: where in the paper; empty where it is not.
        recipe: what arms change.
        train: what all arms change of the recipe.
        arms: by name, in the order in which they are shown.
        tests: name -> place of a benchmark.
        figures: by name, in the order in which they are shown.
        written: what the file says, as it is.
        expectations: what should come out.
        paper_numbers: figure -> arm -> the paper's number, in percent or plain as the figure is.
        paper_others: figure -> of whom -> what the paper reports of others than our arms.
        plots: what is drawn.
        note: what the paper's numbers are of, and what to know of ours.
    """

    name: str
    title: str
    question: str
    recipe: str
    arms: Mapping[str, Arm]
    tests: Mapping[str, str]
    figures: Mapping[str, Figure]
    written: Mapping[str, Any] = field(default_factory=dict)
    expectations: tuple[Expectation, ...] = ()
    paper: str = ""
    train: Mapping[str, Any] = field(default_factory=dict)
    paper_numbers: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    paper_others: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    plots: tuple[Plot, ...] = ()
    note: str = ""
