"""Records become a report: pure, seeded by the run, and independent of the order of the records.

Three choices to know. A judge is taken at its own word: a verdict that it states, ties included; or, where it states
none but gives probabilities, the likeliest of a, tie and b (in the setting with ties alone: without ties the sign of
its margin counts). Only margins that come with neither need a threshold. The threshold belongs to a task, because
rewards of different tasks differ in scale; a group that spans tasks uses the thresholds of its samples' tasks. And a
group pools its samples, where the macro figures weigh tasks equally (the paper's "overall").
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

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
from omnireward.report.calibrations import calibrations
from omnireward.report.certainties import certainties
from omnireward.report.official import official_figures
from omnireward.report.order import order_figures
from omnireward.report.records import Record, Run
from omnireward.report.results import Block, Macro, MacroScore, Outcome, Report, Score
from omnireward.report.votes import Voted, gather
from omnireward.types import Task


def build(run: Run, records: Iterable[Record]) -> Report:
    """Count everything.

    Args:
        run: its seed draws the folds of the cross-fit and the bootstrap.
        records: one for each vote, in any order.

    Raises:
        SourceError: as `gather`.
    """
    marked = mark(run, records)
    tasks = {name: _block(one.outcomes, one.threshold, one.oracle) for name, one in marked.items()}
    outcomes = [outcome for one in marked.values() for outcome in one.outcomes]
    outcomes.sort(key=lambda outcome: outcome.record.index)
    names = sorted({group for outcome in outcomes for group in outcome.record.groups})
    return Report(
        run=run,
        outcomes=tuple(outcomes),
        macro=_macro(outcomes, run.seed),
        tasks=tasks,
        groups={name: _block([o for o in outcomes if name in o.record.groups], None, None) for name in names},
        reliability=_reliability([outcome.record for outcome in outcomes]),
        order=order_figures(outcomes),
        calibration=calibrations(outcomes, run.seed),
        certainty=certainties(outcomes, run.seed),
        official=official_figures(run, outcomes),
    )


class Marked(NamedTuple):
    """A task's records as they count, the threshold that was fitted, and the one that might have been."""

    outcomes: list[Outcome]
    threshold: float | None
    oracle: float | None


def mark(run: Run, records: Iterable[Record]) -> dict[str, Marked]:
    """How each record counts, by task, without any figure of it. Arguments and errors as for `build`."""
    finished = gather(run, records)
    by_task = {task.short: [voted for voted in finished if voted.record.task is task] for task in Task}
    return {name: _mark(members, run.seed) for name, members in by_task.items() if members}


def _mark(members: Sequence[Voted], seed: int) -> Marked:
    records = [voted.record for voted in members]
    strict = agrees([_winner(record) for record in records], [record.preference for record in records])
    # Which are right with ties, by place; a record with neither own word nor margin is in no dict: wrong in all.
    tied = {i: record.own_word == record.preference for i, record in enumerate(records) if record.own_word is not None}
    crossed, split = dict(tied), bool(tied)

    places = [i for i, record in enumerate(records) if record.margin is not None and record.own_word is None]
    threshold = _fit(records, places, tied)
    if places:
        margins = [margin for i in places if (margin := records[i].margin) is not None]
        preferences, clusters = [records[i].preference for i in places], [records[i].cluster for i in places]
        split = len(set(clusters)) > 1
        if split:
            fitted = cross_fitted_accuracy(margins, preferences, clusters, seed=seed)
            crossed.update(zip(places, fitted.correct.tolist(), strict=True))
    claimed = [i for i, record in enumerate(records) if record.likeliest is not None]
    oracle = {i: right for i, right in tied.items() if records[i].likeliest is None}
    oracle_threshold = _fit(records, claimed, oracle)
    outcomes = [
        Outcome(
            voted.record,
            right_strict=bool(strict[i]),
            right_tied=tied.get(i, False),
            right_crossed=crossed.get(i, False) if split else None,
            votes=voted.votes,
            right_oracle=oracle.get(i, False) if claimed else None,
        )
        for i, voted in enumerate(members)
    ]
    return Marked(outcomes, threshold, oracle_threshold)


def _fit(records: Sequence[Record], places: Sequence[int], right: dict[int, bool]) -> float | None:
    """The best threshold for the margins at these places, at which `right` is filled; None where there are none."""
    if not places:
        return None
    margins = [margin for i in places if (margin := records[i].margin) is not None]
    preferences = [records[i].preference for i in places]
    threshold = calibrate_ties(margins, preferences).threshold
    right.update(zip(places, right_at(threshold, margins, preferences).tolist(), strict=True))
    return threshold


def _winner(record: Record) -> float | None:
    """A margin whose sign is the stated verdict, or the margin."""
    return record.margin if record.verdict is None else {"a": 1.0, "b": -1.0, "tie": 0.0}[record.verdict]


def _block(outcomes: Sequence[Outcome], threshold: float | None, oracle: float | None) -> Block:
    records = [outcome.record for outcome in outcomes]
    asked = [outcome for outcome in outcomes if outcome.record.preference != "tie"]
    counts = accuracy_without_ties([_winner(record) for record in records], [record.preference for record in records])
    crossed = outcomes if all(outcome.right_crossed is not None for outcome in outcomes) else []
    return Block(
        samples=len(records),
        prompts=len({record.cluster for record in records}),
        ties=len(outcomes) - len(asked),
        failures=sum(bool(record.error) for record in records),
        without_verdict=sum(record.margin is None and not record.error for record in records),
        exact_zero_margins=sum(record.margin == 0 and record.verdict is None for record in records),
        verdicts=sum(record.verdict is not None for record in records),
        tie_verdicts=sum(record.verdict == "tie" for record in records),
        likeliest=sum(record.likeliest is not None for record in records),
        likeliest_ties=sum(record.likeliest == "tie" for record in records),
        without_ties=_score(asked, _strict, counts.accuracy),
        without_ties_judged=_score(_judged(asked), _strict, counts.judged_accuracy),
        decided=_score([outcome for outcome in asked if _winner(outcome.record)], _strict),
        with_ties=_score(outcomes, _tied),
        with_ties_judged=_score(_judged(outcomes), _tied),
        cross_fitted=_score(crossed, _crossed),
        threshold=threshold,
        with_ties_oracle=_score(outcomes, _oracle) if _any_oracle(outcomes) else None,
        oracle_threshold=oracle,
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
        decided=_macro_score([outcome for outcome in asked if _winner(outcome.record)], _strict, seed),
        with_ties=_macro_score(outcomes, _tied, seed),
        cross_fitted=_macro_score(splittable, _crossed, seed),
        with_ties_oracle=_macro_score(outcomes, _oracle, seed) if _any_oracle(outcomes) else None,
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
    """Claimed against observed wins of a; None when no sample has both a claim and a winner."""
    claims, wins = [], []
    for record in records:
        claim = _claim(record)
        if claim is not None and record.preference != "tie":
            claims.append(claim)
            wins.append(record.preference == "a")
    return reliability(claims, wins) if claims else None


def _claim(record: Record) -> float | None:
    """The judge's probability that a wins, given that somebody does. A verdict alone claims none."""
    if record.margin is None:
        return None
    if record.probabilities is not None and record.probabilities[0] + record.probabilities[2] > 0:
        return record.probabilities[0] / (record.probabilities[0] + record.probabilities[2])
    return None if record.verdict is not None else float(win_probability([record.margin])[0])


def _judged(outcomes: Sequence[Outcome]) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.record.margin is not None]


def _strict(outcome: Outcome) -> bool:
    return outcome.right_strict


def _tied(outcome: Outcome) -> bool:
    return outcome.right_tied


def _crossed(outcome: Outcome) -> bool:
    return bool(outcome.right_crossed)


def _any_oracle(outcomes: Sequence[Outcome]) -> bool:
    return any(outcome.right_oracle is not None for outcome in outcomes)


def _oracle(outcome: Outcome) -> bool:
    return outcome.right_tied if outcome.right_oracle is None else outcome.right_oracle
