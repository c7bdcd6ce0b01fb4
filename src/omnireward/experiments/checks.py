"""What can be known before anything is trained: that places can be read, and hold what figures are of.

A mistyped group would else come to light after hours, when its figure finds no sample.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from omnireward.errors import OmniRewardError, RecipeError
from omnireward.experiments.nouns import Figure
from omnireward.experiments.plan import Plan, shared
from omnireward.hub import find
from omnireward.plugins import suggest
from omnireward.sources import BadRows, SourceFolder, open_place, read_place
from omnireward.types import Sample

MOST_NAMED = 40


def check(plans: Sequence[Plan]) -> None:
    """Look the model up, open every data set, and read every test until each figure has found a sample.

    Raises:
        RecipeError: a data set or a test cannot be opened, or a figure is of samples that its test does not have; says
            which groups and tasks it has.
        SourceError, BadRowError: a test cannot be read.
        CheckpointError: the Hub does not deliver the model.
    """
    read: dict[str, _Seen] = {}
    for plan in plans:
        experiment = plan.experiment
        if not plan.base.flags:
            find(plan.base.folder)
        for name, place in experiment.tests.items():
            _opened(experiment.name, f"the test {name!r}", "benchmarks", place)
        for one in shared([plan]):
            for place in () if one.untrained else one.config.datasets:
                _opened(one.said, "its data", "datasets", place)
        for figure in experiment.figures.values():
            if not figure.minus:
                place = experiment.tests[figure.test]
                if place not in read:
                    read[place] = _Seen(place)
                _check(experiment.name, figure, read[place])


class _Seen:
    """What was read of a test so far: each kind of sample once."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.kinds: dict[tuple[str, tuple[str, ...], bool], None] = {}
        self._rest = read_place("benchmarks", place, BadRows())

    def has(self, figure: Figure) -> bool:
        """Whether there is a sample of a figure; reads on until there is."""
        if any(_of_kind(figure, *kind) for kind in self.kinds):
            return True
        for sample in self._rest:
            kind = _kind(sample)
            self.kinds[kind] = None
            if _of_kind(figure, *kind):
                return True
        return False


def _kind(sample: Sample) -> tuple[str, tuple[str, ...], bool]:
    return sample.task.short, tuple(sorted(sample.groups)), bool(sample.comparison.criterion.split())


def _of_kind(figure: Figure, task: str, groups: Iterable[str], criterion: bool) -> bool:
    return (
        (not figure.tasks or task in {one.short for one in figure.tasks})
        and (not figure.group or figure.group in groups)
        and figure.criterion in ("", "with" if criterion else "without")
    )


def _check(experiment: str, figure: Figure, seen: _Seen) -> None:
    # Each of its tasks as well: a mean over tasks is not of fewer than were asked for.
    for wanted in (*(Figure(figure.name, figure.test, tasks=(task,)) for task in figure.tasks), figure):
        if seen.has(wanted):
            continue
        groups = sorted({group for _, found, _ in seen.kinds for group in found})
        tasks = sorted({found for found, _, _ in seen.kinds})
        near = figure.group and figure.group not in groups and suggest(figure.group, groups[:MOST_NAMED])
        raise RecipeError(
            f"{experiment}: figures, {figure.name}: the test {figure.test!r} ({seen.place}) holds no sample of its "
            f"kind. Groups there: {near or _listed(groups)} Tasks there: {_listed(tasks)}"
        )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return (", ".join(names[:MOST_NAMED]) or "none") + (f" and {more} more." if more > 0 else ".")


def _opened(said: str, what: str, folder: SourceFolder, place: str) -> None:
    try:
        open_place(folder, place)
    except OmniRewardError as error:
        raise RecipeError(f"{said}: {what}: {error}") from error
