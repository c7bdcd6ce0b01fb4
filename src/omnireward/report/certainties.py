"""What a judge's certainty tells of its judgements: which are right, and which are about what training never asked.

Samples that people called a tie are left out, because no side of them is right, and so are those without a margin. A
margin of exactly 0 is wrong, and the least certain of all. Certainty is the size of the margin, less where the judge
says by how much the margin may be off; of a verdict with probabilities it is the difference of P(a) and P(b). A verdict
alone has none.
"""

from __future__ import annotations

from collections.abc import Sequence

from omnireward.metrics import cluster_interval
from omnireward.metrics.selective import UNFAMILIAR, area, certainty, selective
from omnireward.report.records import Record
from omnireward.report.results import Certainties, Outcome, Score


def certainties(outcomes: Sequence[Outcome], seed: int) -> Certainties | None:
    """Over all samples pooled; None where nothing is certain, or everything is equally so."""
    asked = [outcome for outcome in outcomes if outcome.record.preference != "tie"]
    found = [(outcome, sure) for outcome in asked if (sure := _certainty(outcome.record)) is not None]
    if len({sure for _, sure in found}) < 2:
        return None
    right = [outcome.right_strict for outcome, _ in found]
    clusters = [outcome.record.cluster for outcome, _ in found]
    doubted = any(outcome.record.deviation for outcome, _ in found)
    plain = [abs(outcome.record.margin or 0.0) for outcome, _ in found]
    known = [outcome for outcome, _ in found if outcome.record.familiarity is not None]
    split = [[outcome for outcome in known if _unfamiliar(outcome.record) is wanted] for wanted in (False, True)]
    return Certainties(
        selective=selective([sure for _, sure in found], right, clusters, seed),
        margin_alone=area(plain, right, clusters, seed) if doubted else None,
        familiar=_score(split[0]) if known else None,
        unfamiliar=_score(split[1]) if known else None,
    )


def _certainty(record: Record) -> float | None:
    if record.margin is None:
        return None
    if record.verdict is None:
        return certainty(record.margin, record.deviation or 0.0)
    return None if record.probabilities is None else abs(record.probabilities[0] - record.probabilities[2])


def _unfamiliar(record: Record) -> bool:
    return record.familiarity is not None and record.familiarity < UNFAMILIAR


def _score(outcomes: Sequence[Outcome]) -> Score:
    if not outcomes:
        return Score(None, None, 0)
    right = [outcome.right_strict for outcome in outcomes]
    interval = cluster_interval(right, [outcome.record.cluster for outcome in outcomes])
    return Score(sum(right) / len(right), interval, len(outcomes))
