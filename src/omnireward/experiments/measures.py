"""Judged tests become figures: what each sample adds to a figure's sums, and what the figure is of them.

Accuracies count as a report counts (see `report.build`): with ties by a tie head's own probabilities, or at thresholds
fitted on the test itself, the paper's way, which flatters; cross-fitted at thresholds of other prompts.

The calibration error is that of the likeliest of a, tie and b: in ten bins of its claim, how far claim and truth are
apart, weighed by samples. By outcome it is the mean over what is claimed of each of the three, whether it was the
likeliest or not; the two sides share their bins, for which is called a is arbitrary. Brier is the squared distance of
all three claims. A model that knows no ties gets claims that are fitted on other prompts of the task (see
`metrics.fitted_ties`).

Alpha (Krippendorff, nominal) and kappa (Cohen) say how far verdicts agree with what people said, beyond chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omnireward import report
from omnireward.errors import SourceError
from omnireward.experiments.nouns import Figure, Measure
from omnireward.metrics import Interval, cross_fitted_ties
from omnireward.metrics.hierarchical import Finish, Tally, tally
from omnireward.report.build import mark
from omnireward.report.results import Outcome
from omnireward.types import Preference, Task

BINS = 10
VERDICTS: tuple[Preference, ...] = ("a", "tie", "b")
_Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class JudgedTest:
    """A test that one run judged, by the sample's place in the benchmark.

    Attributes:
        outcomes: how each sample counts.
        said: what the judge says of it: its own word, or its margin at the task's threshold; None without a verdict.
        claims: P(a), P(tie) and P(b), its own or fitted on other prompts; where there are any.
        failures: how many judgements failed.
    """

    outcomes: Mapping[int, Outcome]
    said: Mapping[int, Preference | None]
    claims: Mapping[int, Sequence[float]]
    failures: int

    @classmethod
    def read(cls, folder: Path) -> JudgedTest:
        """From what `evaluate` left. Raises SourceError."""
        found = report.read(folder)
        marked = mark(found.run, found.records)
        outcomes = {one.record.index: one for task in marked.values() for one in task.outcomes}
        said = {one.record.index: _said(one, task.threshold) for task in marked.values() for one in task.outcomes}
        failures = sum(bool(one.record.error) for one in outcomes.values())
        return cls(outcomes, said, _all_claims(list(outcomes.values())), failures)


def tally_of(figure: Figure, judged: Sequence[JudgedTest]) -> Tally:
    """A figure's sums.

    Args:
        figure: of a test; not a difference.
        judged: that test by the run of each seed; all judged the same samples.

    Raises:
        SourceError: no sample is of the figure's kind.
    """
    first = judged[0].outcomes
    add, finish, limits = MEASURES[figure.measure]
    samples = []
    for index in sorted(first):
        if not _of_kind(figure, first[index]):
            continue
        vectors = [add(one.outcomes[index], one) for one in judged]
        known = [vector for vector in vectors if vector is not None]
        if len(known) == len(vectors):
            record = first[index].record
            samples.append((record.task.short, record.cluster, known))
    if not samples:
        raise SourceError(f"no sample of the test {figure.test!r} is of the kind of {figure.name!r}.")
    return tally(samples, finish, figure.macro, limits, figure.points, figure.measure in UPWARDS)


def _of_kind(figure: Figure, outcome: Outcome) -> bool:
    record = outcome.record
    has = bool(record.criterion_words)
    return (
        (not figure.tasks or record.task in figure.tasks)
        and (not figure.group or figure.group in record.groups)
        and figure.criterion in ("", "with" if has else "without")
    )


def _said(outcome: Outcome, threshold: float | None) -> Preference | None:
    record = outcome.record
    if record.own_word is not None or record.margin is None:
        return record.own_word
    if abs(record.margin) <= (threshold or 0.0):
        return "tie"
    return "a" if record.margin > 0 else "b"


def _all_claims(outcomes: Sequence[Outcome]) -> dict[int, Sequence[float]]:
    """A judge's own probabilities; or, where it has none at all, fitted ones."""
    own = {one.record.index: one.record.probabilities for one in outcomes if one.record.probabilities is not None}
    if own:
        return dict(own)
    claims: dict[int, Sequence[float]] = {}
    for task in Task:
        records = [one.record for one in outcomes if one.record.task is task and one.record.verdict is None]
        judged = [(record, record.margin) for record in records if record.margin is not None]
        if judged:
            margins, people = [margin for _, margin in judged], [record.preference for record, _ in judged]
            fitted = cross_fitted_ties(margins, people, [record.cluster for record, _ in judged])
            claims |= {record.index: p for (record, _), p in zip(judged, fitted.probabilities or (), strict=False)}
    return claims


def _share(right: bool) -> _Numbers:
    return np.array([float(right), 1.0])


def _with_ties(outcome: Outcome, _: JudgedTest) -> _Numbers:
    return _share(outcome.right_tied)


def _cross_fitted(outcome: Outcome, _: JudgedTest) -> _Numbers | None:
    return None if outcome.right_crossed is None else _share(outcome.right_crossed)


def _without_ties(outcome: Outcome, _: JudgedTest) -> _Numbers | None:
    return None if outcome.record.preference == "tie" else _share(outcome.right_strict)


def _ratio(sums: _Numbers) -> _Numbers:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: _Numbers = sums[..., 0] / sums[..., 1]
    return found


def _claims(outcome: Outcome, judged: JudgedTest) -> _Numbers | None:
    """For each bin what was claimed of the likeliest less what came true of it; and 1."""
    found = judged.claims.get(outcome.record.index)
    if found is None:
        return None
    most, vector = max(found), np.zeros(BINS + 1)
    likeliest = [name for name, claim in zip(VERDICTS, found, strict=True) if claim == most]
    came = (outcome.record.preference in likeliest) / len(likeliest)
    vector[min(int(most * BINS), BINS - 1)] = most - came
    vector[-1] = 1
    return vector


def _calibration_error(sums: _Numbers) -> _Numbers:
    return _ratio(np.stack([np.abs(sums[..., :BINS]).sum(axis=-1), sums[..., -1]], axis=-1))


def _claims_by_outcome(outcome: Outcome, judged: JudgedTest) -> _Numbers | None:
    """For each bin what was claimed of a tie less what came true of it; then of both sides together; and 1."""
    found = judged.claims.get(outcome.record.index)
    if found is None:
        return None
    vector = np.zeros(2 * BINS + 1)
    for name, claim in zip(VERDICTS, found, strict=True):
        start = 0 if name == "tie" else BINS
        vector[start + min(int(claim * BINS), BINS - 1)] += claim - (name == outcome.record.preference)
    vector[-1] = 1
    return vector


def _error_by_outcome(sums: _Numbers) -> _Numbers:
    """A tie counts a third, and the sides two: their claims are twice as many as samples, which cancels out."""
    return _ratio(np.stack([np.abs(sums[..., : 2 * BINS]).sum(axis=-1), 3 * sums[..., -1]], axis=-1))


def _brier(outcome: Outcome, judged: JudgedTest) -> _Numbers | None:
    found = judged.claims.get(outcome.record.index)
    if found is None:
        return None
    true = [float(name == outcome.record.preference) for name in VERDICTS]
    return np.array([sum((claim - one) ** 2 for claim, one in zip(found, true, strict=True)), 1.0])


def _confusion(outcome: Outcome, judged: JudgedTest) -> _Numbers:
    """Of nine, the cell of verdict and preference; nothing without a verdict."""
    said, cells = judged.said[outcome.record.index], np.zeros(9)
    if said is not None:
        cells[3 * VERDICTS.index(said) + VERDICTS.index(outcome.record.preference)] = 1
    return cells


def _agreement(sums: _Numbers) -> tuple[_Numbers, _Numbers, _Numbers, _Numbers]:
    """Shares of samples: both agree; and how often each verdict is said, by the judge and by people; and how many."""
    table = sums.reshape(*sums.shape[:-1], 3, 3)
    count = table.sum(axis=(-1, -2))
    with np.errstate(divide="ignore", invalid="ignore"):
        agree = np.trace(table, axis1=-2, axis2=-1) / count
        said, true = table.sum(axis=-1) / count[..., None], table.sum(axis=-2) / count[..., None]
    return agree, said, true, count


def _kappa(sums: _Numbers) -> _Numbers:
    agree, said, true, _ = _agreement(sums)
    by_chance = (said * true).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: _Numbers = (agree - by_chance) / (1 - by_chance)
    return found


def _alpha(sums: _Numbers) -> _Numbers:
    """1 - D_o / D_e of two raters: pairs of ratings are drawn from all 2 n, without putting the first back."""
    agree, said, true, count = _agreement(sums)
    with np.errstate(divide="ignore", invalid="ignore"):
        pooled = (said + true) / 2
        by_chance = ((2 * count[..., None] * pooled) * (2 * count[..., None] * pooled - 1)).sum(axis=-1)
        by_chance /= 2 * count * (2 * count - 1)
        found: _Numbers = 1 - (1 - agree) / (1 - by_chance)
    return found


Add = Callable[[Outcome, JudgedTest], _Numbers | None]
SHARE: Interval = (0.0, 1.0)
UPWARDS: tuple[Measure, ...] = ("calibration_error", "calibration_error_by_outcome")
"""Measures that chance makes larger."""
MEASURES: Mapping[Measure, tuple[Add, Finish, Interval]] = {
    "with_ties": (_with_ties, _ratio, SHARE),
    "cross_fitted": (_cross_fitted, _ratio, SHARE),
    "without_ties": (_without_ties, _ratio, SHARE),
    "calibration_error": (_claims, _calibration_error, SHARE),
    "calibration_error_by_outcome": (_claims_by_outcome, _error_by_outcome, SHARE),
    "brier": (_brier, _ratio, (0.0, 2.0)),
    "alpha": (_confusion, _alpha, (-1.0, 1.0)),
    "kappa": (_confusion, _kappa, (-1.0, 1.0)),
}
