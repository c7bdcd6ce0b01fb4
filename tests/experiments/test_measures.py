"""Figures against a report's own, against other implementations, and by hand; and verdicts on what was expected."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.experiments.conftest import JudgeByHand, WriteExperiment

from omnireward import report
from omnireward.errors import SourceError
from omnireward.experiments.build import build
from omnireward.experiments.measures import JudgedTest, tally_of
from omnireward.experiments.nouns import Figure, Measure
from omnireward.experiments.plan import Asked, Plan, plan
from omnireward.experiments.reading import read
from omnireward.metrics import calibration
from omnireward.metrics.agreement import krippendorff_alpha
from omnireward.metrics.hierarchical import estimate
from omnireward.report.records import Record, Run
from omnireward.report.results import Report
from omnireward.types import Preference, Task


def record(number: int, rng: random.Random, **more: Any) -> Record:
    preference: Preference = rng.choice(("a", "b", "a", "b", "tie"))
    margin = rng.gauss({"a": 1, "b": -1, "tie": 0}[preference], 1.2)
    values: dict[str, Any] = {
        "key": str(number),
        "index": number,
        "id": str(number),
        "task": (Task.T2T, Task.T2I, Task.TI2I)[number % 3],
        "cluster": f"c{number // 2}",
        "groups": ("odd",) if number % 2 else (),
        "preference": preference,
        "margin": margin,
        "criterion_words": number % 2,
    }
    return Record(**(values | more))


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> tuple[Report, JudgedTest]:
    """A report of 120 records, and the same as a judged test."""
    return _judged(monkeypatch, {})


def _judged(monkeypatch: pytest.MonkeyPatch, more: Mapping[str, Any]) -> tuple[Report, JudgedTest]:
    rng = random.Random(5)
    run = Run("reward:x", "miniature", "", 0, 120)
    records = tuple(record(number, rng, **more) for number in range(120))
    monkeypatch.setattr(report, "read", lambda _: report.RunFolder(run, records, ()))
    return report.build(run, records), JudgedTest.read(Path("somewhere"))


def value(judged: JudgedTest, **of: Any) -> float:
    return estimate([(1.0, tally_of(Figure("x", **of), [judged]))]).value


def test_accuracies_are_those_of_a_report(judged: tuple[Report, JudgedTest]) -> None:
    built, one = judged
    for measure in ("with_ties", "cross_fitted", "without_ties"):
        assert value(one, measure=measure) == pytest.approx(getattr(built.macro, measure).accuracy)
        of_task = {name: value(one, measure=measure, tasks=(Task.parse(name),)) for name in built.tasks}
        assert of_task == pytest.approx({name: getattr(b, measure).accuracy for name, b in built.tasks.items()})
        odd = value(one, measure=measure, group="odd", macro=False)
        assert odd == pytest.approx(getattr(built.groups["odd"], measure).accuracy)
    assert value(one, criterion="with", macro=False) == value(one, group="odd", macro=False)


def test_alpha_is_krippendorffs_and_kappa_cohens(judged: tuple[Report, JudgedTest]) -> None:
    """Alpha against the metric that is itself checked against evalica; kappa by its definition, cell by cell."""
    _, one = judged
    names = ("a", "tie", "b")
    pairs = [(one.said[index], outcome.record.preference) for index, outcome in one.outcomes.items()]
    counts = [[(said == name) + (true == name) for name in names] for said, true in pairs]
    expected = krippendorff_alpha(counts, [str(n) for n in range(len(pairs))])
    assert expected is not None
    assert value(one, measure="alpha", macro=False) == pytest.approx(expected.value)
    agree = np.mean([said == true for said, true in pairs])
    chance = sum(
        np.mean([said == name for said, _ in pairs]) * np.mean([true == name for _, true in pairs]) for name in names
    )
    assert value(one, measure="kappa", macro=False) == pytest.approx((agree - chance) / (1 - chance))
    assert 0.2 < expected.value < 0.9


@pytest.mark.parametrize("own", [True, False], ids=["own probabilities", "fitted"])
def test_calibration_is_that_of_a_report(own: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    built, one = _judged(monkeypatch, {"probabilities": (0.6, 0.1, 0.3)} if own else {})
    assert built.calibration is not None
    assert built.calibration.overall is not None
    for measure, expected in (("calibration_error", "likeliest"), ("brier", "brier")):
        found = value(one, measure=measure, macro=False)
        assert found == pytest.approx(getattr(built.calibration.overall, expected).value)
    claims = [one.claims[index] for index in one.outcomes]
    people = [outcome.record.preference for outcome in one.outcomes.values()]
    again = calibration(claims, people, [str(n) for n in range(len(people))])
    assert value(one, measure="calibration_error", macro=False) == pytest.approx(again.likeliest.value)


def test_calibration_by_outcome_is_that_of_a_report(judged: tuple[Report, JudgedTest]) -> None:
    """Both compute it by themselves: here as sums of samples, there of all claims at once."""
    _, one = judged
    people = [outcome.record.preference for outcome in one.outcomes.values()]
    again = calibration([one.claims[index] for index in one.outcomes], people, [str(n) for n in range(len(people))])
    found = value(one, measure="calibration_error_by_outcome", macro=False)
    assert found == pytest.approx(again.classwise.value)
    assert found != pytest.approx(again.likeliest.value)


def test_own_probabilities_are_taken_at_their_word(monkeypatch: pytest.MonkeyPatch) -> None:
    _, one = _judged(monkeypatch, {"probabilities": (0.3, 0.4, 0.3)})
    assert {*one.said.values()} == {"tie"}
    ties = np.mean([outcome.record.preference == "tie" for outcome in one.outcomes.values()])
    assert value(one, macro=False) == pytest.approx(float(ties))


@pytest.mark.parametrize("measure", ["alpha", "kappa", "calibration_error", "brier", "with_ties"])
def test_what_failed_never_becomes_a_verdict(measure: Measure, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of failures alone there is no agreement and no claim; an accuracy counts them as wrong."""
    _, one = _judged(monkeypatch, {"margin": None, "error": "no room"})
    assert one.failures == 120
    if measure == "with_ties":
        assert value(one, measure=measure) == 0
    elif measure in ("alpha", "kappa"):
        assert np.isnan(value(one, measure=measure, macro=False))
    else:
        with pytest.raises(SourceError, match="no sample of the test"):
            value(one, measure=measure, macro=False)


EXPECTED: list[dict[str, Any]] = [
    {"says": "All is well.", "figure": "overall", "arms": ["all"], "than": ["other", "untrained"], "at_least": 15},
    {"says": "It is far above.", "figure": "overall", "arms": ["all"], "than": ["other"], "at_least": 21},
    {"says": "It is bounded.", "figure": "overall", "arms": ["all"], "at_most": 99},
    {"says": "Barely.", "figure": "overall", "arms": ["other"], "at_least": 69.9},
]


def hand_made(write_experiment: WriteExperiment, judge_by_hand: JudgeByHand, place: Path, **changes: Any) -> Plan:
    """`all` has 36 of 40 right in both seeds, `other` 28, `untrained` 20."""
    path = write_experiment(**({"expectations": EXPECTED} | changes))
    found = plan(read(str(path)), Asked(place / "out", (0, 1)))
    judge_by_hand(found, {"all": 0.9, "other": 0.7, "untrained": 0.5})
    return found


def test_expectations_are_judged_on_the_difference_itself(
    write_experiment: WriteExperiment, judge_by_hand: JudgeByHand, place: Path
) -> None:
    results = build(hand_made(write_experiment, judge_by_hand, place), "command", "recipe")
    assert results.figures["overall"]["all"].value == pytest.approx(0.9)
    assert [one.verdict for one in results.expectations] == [
        "holds",
        "FAILS",
        "holds, and so does its interval",
        "holds",
    ]
    assert results.failed == 1
    first = results.expectations[0].found
    assert [(one.arm, one.than, round(one.estimate.value, 10)) for one in first] == [
        ("all", "other", 0.2),
        ("all", "untrained", 0.4),
    ]
    assert [one.surely for one in first] == [False, True]


def test_a_figure_that_cannot_be_made_is_no_pass(
    write_experiment: WriteExperiment, judge_by_hand: JudgeByHand, place: Path
) -> None:
    """Failures have no agreement: NaN is within no bound."""
    expected = [{"says": "x", "figure": "alpha", "arms": ["all"], "at_most": 1}]
    found = plan(
        read(str(write_experiment(figures={"alpha": {"measure": "alpha"}}, expectations=expected))),
        Asked(place / "out", (0, 1)),
    )
    judge_by_hand(found, {"all": 0.9, "other": 0.7, "untrained": 0.5}, margin=None, error="no room")
    results = build(found, "", "")
    assert results.expectations[0].verdict == "FAILS"
    assert results.failures == 6 * 40


@pytest.mark.parametrize(
    ("arm", "seed", "change"),
    [
        ("all", 1, {"preference": "tie"}),
        ("other", 0, {"id": "of another benchmark"}),
        ("untrained", 1, {"cluster": "of another prompt"}),
        ("other", 1, {"index": 99}),
    ],
)
def test_runs_that_judged_other_samples_are_not_compared(
    arm: str,
    seed: int,
    change: dict[str, Any],
    write_experiment: WriteExperiment,
    judge_by_hand: JudgeByHand,
    place: Path,
) -> None:
    """Between seeds and between arms: one sample of one run is another."""
    found = hand_made(write_experiment, judge_by_hand, place)
    folder = found.runs[arm][seed].folder / found.tests["small"]
    *lines, last = (folder / "judgements.jsonl").read_text().splitlines()
    (folder / "judgements.jsonl").write_text("\n".join([*lines, json.dumps(json.loads(last) | change)]) + "\n")
    with pytest.raises(SourceError, match="judged another benchmark under the name of 'small'") as caught:
        build(found, "", "")
    assert str(folder) in str(caught.value)


def test_a_figure_without_samples_says_so(
    write_experiment: WriteExperiment, judge_by_hand: JudgeByHand, place: Path
) -> None:
    changes = {"figures": {"overall": {"group": "shfted"}}}
    with pytest.raises(SourceError, match="no sample of the test 'small' is of the kind of 'overall'"):
        build(hand_made(write_experiment, judge_by_hand, place, **changes), "", "")
