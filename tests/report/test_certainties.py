"""What a report says of certainty: by hand on few samples, and where it says nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from omnireward.metrics.selective import area, certainty
from omnireward.report import Record, Run
from omnireward.report.build import build
from omnireward.report.export import to_json
from omnireward.report.page import to_html
from omnireward.report.votes import combine
from omnireward.report.wording import sentences
from omnireward.types import Preference

MakeRecord = Callable[..., Record]


@pytest.fixture
def doubted(make_record: MakeRecord) -> list[Record]:
    """Eight margins of 3; the four wrong ones are of what training never asked, and so is one right one. And a tie."""
    preferences: list[Preference] = ["a", "a", "a", "b", "b", "b", "b", "a"]
    made = [make_record(index, 3.0 + index / 100, side) for index, side in enumerate(preferences)]
    known = [replace(one, deviation=0.0, familiarity=0.4) for one in made[:3]]
    unknown = [replace(one, deviation=5.0, familiarity=0.01) for one in made[3:]]
    return [*known, *unknown, replace(make_record(8, 2.0, "tie"), deviation=0.0, familiarity=0.9)]


def test_deviation_counts_beside_the_margin_and_both_are_told(run: Run, doubted: list[Record]) -> None:
    """Of 16 couples of right and wrong: the three known ones win all 12; of the unknown ones the right one, whose
    margin is the largest, all 4. By the margin alone only those 4, for the known ones have the smallest.
    """
    found = build(run, doubted).certainty
    assert found is not None
    assert found.selective.samples == 8  # not the tie
    assert found.selective.area is not None
    assert found.selective.area.value == 1.0
    assert found.margin_alone is not None
    assert found.margin_alone.value == 4 / 16
    assert found.familiar is not None
    assert found.unfamiliar is not None
    assert (found.familiar.samples, found.familiar.accuracy) == (3, 1.0)
    assert (found.unfamiliar.samples, found.unfamiliar.accuracy) == (5, 1 / 5)
    sure = [certainty(3 + i / 100, 0.0 if i < 3 else 5.0) for i in range(8)]
    right = [True] * 3 + [False] * 4 + [True]
    assert found.selective.area == area(sure, right, [f"prompt-{i}" for i in range(8)], run.seed)


def test_it_is_in_the_file_on_the_page_and_in_words(run: Run, doubted: list[Record]) -> None:
    report = build(run, doubted)
    told = json.loads(to_json(report))["certainty"]
    assert told["auroc"]["value"] == 1.0
    assert told["auroc_of_margin_alone"]["value"] == 0.25
    assert [one["samples"] for one in told["most_certain"]] == list(range(1, 9))
    assert told["unfamiliar"]["samples"] == 5
    page = to_html(report, [])
    assert "Does the judge know what it does not know?" in page
    assert 'aria-label="Accuracy over the most certain share' in page
    said = " ".join(sentences(report))
    assert "more certain than a wrong one in 100.0 % of cases" in said
    assert "25.0 by the margin's size alone" in said
    assert "Unlike what it was trained on: 5 samples, of which 20.0 % are judged right" in said


def test_what_is_unlike_training_is_told_also_where_certainty_is_not(run: Run, doubted: list[Record]) -> None:
    """Two samples have no interval; the second report has no familiar ones."""
    said = " ".join(sentences(build(run, [doubted[0], doubted[4]])))
    assert "more certain than" not in said
    assert (
        "Unlike what it was trained on: 1 sample, of which 0.0 % are judged right, and 100.0 % of the others." in said
    )
    said = " ".join(sentences(build(run, doubted[3:8])))
    assert "Unlike what it was trained on: 5 samples, of which 20.0 % are judged right." in said


def test_a_judge_that_does_not_know_has_its_margins_alone(run: Run, make_record: MakeRecord) -> None:
    records = [make_record(i, margin, "a") for i, margin in enumerate((3.0, 2.0, 0.0, -1.0))]
    found = build(run, records).certainty
    assert found is not None
    assert found.selective.area is not None
    assert found.selective.area.value == 1.0  # 3 and 2 above 1 and 0; the margin of 0 is wrong
    assert found.margin_alone is None
    assert found.familiar is None
    assert "Unlike what it was trained on" not in " ".join(sentences(build(run, records)))


def test_verdicts_alone_are_all_as_certain_and_probabilities_tell_them_apart(run: Run, make_record: MakeRecord) -> None:
    verdicts = [make_record(i, 1.0, "ab"[i % 2], verdict="a") for i in range(6)]
    assert build(run, verdicts).certainty is None
    chances = [(0.9, 0.0, 0.1), (0.6, 0.0, 0.4)] * 3
    told = [replace(one, probabilities=three) for one, three in zip(verdicts, chances, strict=True)]
    found = build(run, told).certainty
    assert found is not None
    assert found.selective.area is not None
    assert found.selective.area.value == 1.0  # a is preferred where 0.9 is claimed


def test_votes_are_averaged_in_doubt_too_and_all_must_know(make_record: MakeRecord) -> None:
    first = replace(make_record(0, 2.0, "a"), deviation=1.0, familiarity=0.02)
    second = replace(make_record(0, 1.0, "a", swapped=True), deviation=3.0, familiarity=0.04)
    said = combine([first, second], both=True)
    assert said.deviation == 2.0
    assert said.familiarity == pytest.approx(0.03)
    ignorant = combine([first, replace(second, deviation=None, familiarity=None)], both=True)
    assert ignorant.margin == 1.5
    assert ignorant.deviation is None
    assert ignorant.familiarity is None


@pytest.mark.parametrize(("field", "value"), [("familiarity", 1.5), ("familiarity", "most"), ("deviation", -1.0)])
def test_a_journal_with_numbers_that_are_none_is_refused(tmp_path: Path, field: str, value: object) -> None:
    from omnireward.errors import BadRowError
    from omnireward.report.folder import _record
    from omnireward.rows import Row

    fields = {
        "key": "k", "index": 0, "id": "s", "task": "T2T", "cluster": "c", "groups": [], "preference": "a",
        "margin": 1.0, "verdict": None, "rewards": None, "probabilities": None, "rationale": "", "error": "",
        "swapped": False, "repeat": 0, "provenance": {},
    }  # fmt: skip
    old = _record(Row("judgements.jsonl", 0, fields))
    assert old.deviation is None
    assert old.familiarity is None
    with pytest.raises(BadRowError, match=field):
        _record(Row("judgements.jsonl", 0, {**fields, field: value}))
