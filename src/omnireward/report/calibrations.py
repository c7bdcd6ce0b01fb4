"""How far the probabilities of a run come true: the judge's own, or, for margins alone, ones fitted on other prompts.

Not mixed: where any record has probabilities of its own, only those that have count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from omnireward.metrics import Calibration, calibration, cross_fitted_ties
from omnireward.report.results import Calibrations, Outcome
from omnireward.types import Task

_Claims = Mapping[int, Sequence[float]]  # P(a), P(tie) and P(b), by the place of the outcome


def calibrations(outcomes: Sequence[Outcome], seed: int) -> Calibrations | None:
    """Over all samples and by task; None where nothing is claimed: verdicts alone, or nothing judged."""
    own = {
        i: found for i, o in enumerate(outcomes) if (found := o.record.probabilities) is not None and not o.record.error
    }
    if own:
        return _calibrations(outcomes, own, {}, seed, cross_fitted=False)
    claims: dict[int, Sequence[float]] = {}
    left_out = {}
    for task in Task:
        places = [i for i, outcome in enumerate(outcomes) if outcome.record.task is task]
        judged = [
            (i, margin)
            for i in places
            if (margin := outcomes[i].record.margin) is not None and outcomes[i].record.verdict is None
        ]
        if not judged:
            continue
        records = [outcomes[i].record for i, _ in judged]
        fitted = cross_fitted_ties(
            [margin for _, margin in judged], [r.preference for r in records], [r.cluster for r in records], seed=seed
        )
        if fitted.probabilities is None:
            left_out[task.short] = fitted.reason
        else:
            claims.update(zip((i for i, _ in judged), fitted.probabilities, strict=True))
    if not claims and not left_out:
        return None
    return _calibrations(outcomes, claims, left_out, seed, cross_fitted=True)


def _calibrations(
    outcomes: Sequence[Outcome], claims: _Claims, left_out: Mapping[str, str], seed: int, *, cross_fitted: bool
) -> Calibrations:
    tasks = {
        task.short: found
        for task in Task
        if (found := _calibration(outcomes, [i for i in claims if outcomes[i].record.task is task], claims, seed))
    }
    overall = _calibration(outcomes, sorted(claims), claims, seed)
    return Calibrations(cross_fitted=cross_fitted, overall=overall, tasks=tasks, left_out=left_out)


def _calibration(outcomes: Sequence[Outcome], places: Sequence[int], claims: _Claims, seed: int) -> Calibration | None:
    if not places:
        return None
    records = [outcomes[i].record for i in places]
    return calibration(
        [claims[i] for i in places], [record.preference for record in records], [r.cluster for r in records], seed
    )
