"""Records become a report: pure, seeded by the run, and independent of the order of the records.

Two choices to know. The tie threshold belongs to a task, because rewards of different tasks differ in scale; a group
that spans tasks uses the thresholds of its samples' tasks. And a group pools its samples, where the macro figures
weigh tasks equally (the paper's "overall").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise

from omnireward.errors import SourceError
from omnireward.metrics import (
    Reliability,
    accuracy_without_ties,
    agrees,
    calibrate_ties,
    cluster_interval,
    cross_fitted_accuracy,
    macro_interval,
    reliability,
    win_probability,
)
from omnireward.metrics.ties import right_at
from omnireward.report.records import Record, Run
from omnireward.report.results import Block, Macro, MacroScore, Outcome, Report, Score
from omnireward.types import Task


def build(run: Run, records: Iterable[Record]) -> Report:
    """Count everything.

    Args:
        run: its seed draws the folds of the cross-fit and the bootstrap.
        records: in any order, each `index` once.

    Raises:
        SourceError: there is no record, or two share an index.
    """
    ordered = sorted(records, key=lambda record: record.index)
    if not ordered:
        raise SourceError(f"nothing to report: {run.judge!r} has not judged any sample of {run.benchmark!r} yet.")
    for before, after in pairwise(ordered):
        if before.index == after.index:
            raise SourceError(f"two judgements of sample {after.index} ({after.id!r}); a journal holds one run only.")

    outcomes: list[Outcome] = []
    tasks = {}
    for task in Task:
        members = [record for record in ordered if record.task is task]
        if members:
            threshold, marked = _mark(members, run.seed)
            tasks[task.short] = _block(marked, threshold)
            outcomes += marked
    outcomes.sort(key=lambda outcome: outcome.record.index)
    names = sorted({group for record in ordered for group in record.groups})
    groups = {name: _block([o for o in outcomes if name in o.record.groups], None) for name in names}
    return Report(run, tuple(outcomes), _macro(outcomes, run.seed), tasks, groups, _reliability(ordered))


def _mark(members: Sequence[Record], seed: int) -> tuple[float | None, list[Outcome]]:
    """The threshold of a task, and how each of its records counts."""
    strict = agrees([record.margin for record in members], [record.preference for record in members])
    judged = [(place, record.margin, record) for place, record in enumerate(members) if record.margin is not None]
    if not judged:
        return None, [Outcome(record, False, False, None) for record in members]
    places = [place for place, _, _ in judged]
    margins = [margin for _, margin, _ in judged]
    preferences = [record.preference for _, _, record in judged]
    clusters = [record.cluster for _, _, record in judged]

    threshold = calibrate_ties(margins, preferences).threshold
    tied = dict(zip(places, right_at(threshold, margins, preferences).tolist(), strict=True))
    split = len(set(clusters)) > 1
    crossed: dict[int, bool] = {}
    if split:
        fitted = cross_fitted_accuracy(margins, preferences, clusters, seed=seed)
        crossed = dict(zip(places, fitted.correct.tolist(), strict=True))
    return threshold, [
        # A record without a margin is in neither dict: wrong in both.
        Outcome(record, bool(strict[i]), tied.get(i, False), crossed.get(i, False) if split else None)
        for i, record in enumerate(members)
    ]


def _block(outcomes: Sequence[Outcome], threshold: float | None) -> Block:
    records = [outcome.record for outcome in outcomes]
    asked = [outcome for outcome in outcomes if outcome.record.preference != "tie"]
    counts = accuracy_without_ties([record.margin for record in records], [record.preference for record in records])
    crossed = outcomes if all(outcome.right_crossed is not None for outcome in outcomes) else []
    return Block(
        samples=len(records),
        prompts=len({record.cluster for record in records}),
        ties=len(outcomes) - len(asked),
        failures=sum(bool(record.error) for record in records),
        without_verdict=sum(record.margin is None and not record.error for record in records),
        exact_zero_margins=sum(record.margin == 0 for record in records),
        without_ties=_score(asked, _strict, counts.accuracy),
        without_ties_judged=_score(_judged(asked), _strict, counts.judged_accuracy),
        with_ties=_score(outcomes, _tied),
        with_ties_judged=_score(_judged(outcomes), _tied),
        cross_fitted=_score(crossed, _crossed),
        threshold=threshold,
    )


def _score(outcomes: Sequence[Outcome], right: Callable[[Outcome], bool], accuracy: float | None = None) -> Score:
    if not outcomes:
        return Score(None, None, 0)
    values = [right(outcome) for outcome in outcomes]
    if accuracy is None:
        accuracy = sum(values) / len(values)
    return Score(accuracy, cluster_interval(values, [o.record.cluster for o in outcomes]), len(outcomes))


def _macro(outcomes: Sequence[Outcome], seed: int) -> Macro:
    asked = [outcome for outcome in outcomes if outcome.record.preference != "tie"]
    splittable = [outcome for outcome in outcomes if outcome.right_crossed is not None]
    return Macro(
        without_ties=_macro_score(asked, _strict, seed),
        with_ties=_macro_score(outcomes, _tied, seed),
        cross_fitted=_macro_score(splittable, _crossed, seed),
    )


def _macro_score(outcomes: Sequence[Outcome], right: Callable[[Outcome], bool], seed: int) -> MacroScore:
    by_task = {task.short: [o for o in outcomes if o.record.task is task] for task in Task}
    present = {name: members for name, members in by_task.items() if members}
    if not present:
        return MacroScore(None, None, ())
    strata = [([right(o) for o in members], [o.record.cluster for o in members]) for members in present.values()]
    accuracy = sum(sum(values) / len(values) for values, _ in strata) / len(strata)
    return MacroScore(accuracy, macro_interval(strata, seed), tuple(present))


def _reliability(records: Sequence[Record]) -> Reliability | None:
    """Claimed against observed wins of a; None when no sample has both a margin and a winner."""
    claims, wins = [], []
    for record in records:
        if record.margin is None or record.preference == "tie":
            continue
        claims.append(_claim(record.margin, record.probabilities))
        wins.append(record.preference == "a")
    return reliability(claims, wins) if claims else None


def _claim(margin: float, probabilities: tuple[float, float, float] | None) -> float:
    """The judge's probability that a wins, given that somebody does."""
    if probabilities is not None and probabilities[0] + probabilities[2] > 0:
        return probabilities[0] / (probabilities[0] + probabilities[2])
    return float(win_probability([margin])[0])


def _judged(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.record.margin is not None]


def _strict(outcome: Outcome) -> bool:
    return outcome.right_strict


def _tied(outcome: Outcome) -> bool:
    return outcome.right_tied


def _crossed(outcome: Outcome) -> bool:
    return bool(outcome.right_crossed)
