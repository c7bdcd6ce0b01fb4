"""Judged runs become results: figures with intervals, and verdicts on what was expected. Pure; one order, one result.

A comparison of two arms is of the same prompts, and of trainings that share a seed, so its interval is that of the
difference itself (see `metrics.hierarchical`), not one read off two intervals.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from omnireward.errors import SourceError
from omnireward.experiments.measures import JudgedTest, tally_of
from omnireward.experiments.nouns import Expectation, Experiment, Figure
from omnireward.experiments.plan import Plan
from omnireward.experiments.results import Found, Judged, Results
from omnireward.metrics.hierarchical import Estimate, Tally, estimate

Terms = tuple[tuple[float, Tally], ...]


def build(plan: Plan, command: str, recipe: str) -> Results:
    """Read what the runs judged, and count.

    Raises:
        SourceError: something that was judged cannot be read, runs judged other samples, or a figure has no sample.
    """
    experiment = plan.experiment
    judged = {
        arm: {test: [JudgedTest.read(run.folder / name) for run in runs.values()] for test, name in plan.tests.items()}
        for arm, runs in plan.runs.items()
    }
    for test, name in plan.tests.items():
        folders = [run.folder / name for runs in plan.runs.values() for run in runs.values()]
        _check_same(test, folders, [one for arm in plan.runs for one in judged[arm][test]])
    terms = {
        figure: {arm: _terms(experiment.figures, found, judged[arm]) for arm in plan.runs}
        for figure, found in experiment.figures.items()
    }
    return Results(
        experiment=experiment,
        seeds=tuple(next(iter(plan.runs.values()))),
        command=command,
        recipe=recipe,
        base=plan.base.key,
        figures={figure: {arm: estimate(one) for arm, one in by_arm.items()} for figure, by_arm in terms.items()},
        runs={arm: {seed: run.digest for seed, run in runs.items()} for arm, runs in plan.runs.items()},
        failures=sum(one.failures for tests in judged.values() for runs in tests.values() for one in runs),
        expectations=tuple(_judge(one, experiment, terms) for one in experiment.expectations),
    )


def _check_same(test: str, folders: Sequence[Path], judged: Sequence[JudgedTest]) -> None:
    """Refuse runs that judged other samples than the first: seeds and arms are compared sample by sample."""
    first = _samples(judged[0])
    for folder, one in zip(folders[1:], judged[1:], strict=True):
        found = _samples(one)
        apart = [index for index in sorted(first.keys() | found.keys()) if first.get(index) != found.get(index)]
        if apart:
            raise SourceError(
                f"{folder} judged another benchmark under the name of {test!r} than {folders[0]} did: {len(apart)} of "
                f"{len(first.keys() | found.keys())} samples differ, the first of them number {apart[0]}. Runs are "
                "compared sample by sample; remove whichever folder is old, and run the same command again."
            )


def _samples(judged: JudgedTest) -> dict[int, tuple[str, ...]]:
    records = {index: outcome.record for index, outcome in judged.outcomes.items()}
    return {index: (one.id, one.task.short, one.cluster, one.preference) for index, one in records.items()}


def _terms(figures: Mapping[str, Figure], figure: Figure, judged: Mapping[str, Sequence[JudgedTest]]) -> Terms:
    """A figure of one arm as a weighted sum of tallies."""
    if figure.minus:
        first, second = (_terms(figures, figures[name], judged) for name in figure.minus)
        return (*first, *_negative(second))
    return ((1.0, tally_of(figure, judged[figure.test])),)


def _negative(terms: Terms) -> Terms:
    return tuple((-weight, found) for weight, found in terms)


def _judge(expectation: Expectation, experiment: Experiment, terms: Mapping[str, Mapping[str, Terms]]) -> Judged:
    scale = 100 if experiment.figures[expectation.figure].points else 1
    found = []
    for arm in expectation.arms:
        own = terms[expectation.figure][arm]
        if not expectation.than:
            found.append(_held(arm, "", estimate(own), expectation, scale))
        for other in expectation.than:
            both = (*own, *_negative(terms[expectation.than_figure][other]))
            found.append(_held(arm, other, estimate(both), expectation, scale))
    return Judged(expectation, tuple(found))


def _held(arm: str, than: str, found: Estimate, expectation: Expectation, scale: int) -> Found:
    """Whether an estimate, and its interval, are within the bound. NaN is within none."""
    if expectation.at_least is not None:
        bound = expectation.at_least / scale
        low = None if found.interval is None else found.interval[0]
        return Found(arm, than, found, found.value >= bound, low is not None and low >= bound)
    bound = (expectation.at_most or 0.0) / scale
    high = None if found.interval is None else found.interval[1]
    return Found(arm, than, found, found.value <= bound, high is not None and high <= bound)
