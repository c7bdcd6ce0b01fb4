"""Calibration in a report: whose probabilities, over what, and how files, page and terminal tell it."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from omnireward.metrics import calibration, cross_fitted_ties
from omnireward.report import Record, Run, Shown, build, render_terminal
from omnireward.report.export import to_json
from omnireward.report.page import to_html
from omnireward.report.wording import sentences

MakeRecord = Callable[..., Record]


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)).replace("&#39;", "'")


def test_own_probabilities_are_taken_as_they_are(run: Run, claiming: list[Record]) -> None:
    """Of every ten samples: of ties 8 claims of .2, of which 1 is true, and 2 of .6, of which 1 is.

    |8 x .2 - 1| + |2 x .6 - 1| = .6 + .2: a calibration error of .08. Of wins, in tenths: the 4 + 4 claims of .7 come
    true 6 times (|5.6 - 6| = .4), the 4 + 4 of .1 once (.2), the 2 + 2 of .2 once (|.8 - 1| = .2): .8 / 20 = .04.
    """
    report = build(run, claiming)
    found = report.calibration
    assert found is not None
    assert (found.cross_fitted, found.left_out) == (False, {})
    assert found.overall is not None
    assert found.overall.tie.value == pytest.approx(0.08)
    assert found.overall.side.value == pytest.approx(0.04)
    assert (found.overall.samples, list(found.tasks)) == (40, ["T2T", "TI2I"])
    assert found.tasks["T2T"].samples == 20
    assert [(b.samples, b.observed) for b in found.overall.tie_bins] == [(32, 1 / 8), (8, 1 / 2)]


def test_margins_alone_get_cross_fitted_ones_by_task(run: Run, records: list[Record]) -> None:
    found = build(run, records).calibration
    assert found is not None
    assert found.cross_fitted
    judged = [r for r in records if r.margin is not None and r.task.short == "T2T"]
    clusters, people = [r.cluster for r in judged], [r.preference for r in judged]
    fitted = cross_fitted_ties([r.margin or 0.0 for r in judged], people, clusters, seed=run.seed)
    assert fitted.probabilities is not None
    assert found.tasks["T2T"] == calibration(fitted.probabilities, people, clusters, seed=run.seed)
    assert found.overall is not None
    assert found.overall.samples == 22  # of 24 one failed, and one has no verdict


def test_what_cannot_be_fitted_is_left_out_with_its_reason(run: Run, make_record: MakeRecord) -> None:
    report = build(run, [make_record(i, 1.0, "a") for i in range(6)])
    assert report.calibration is not None
    assert report.calibration.overall is None
    assert list(report.calibration.left_out) == ["T2T"]
    assert "Without probabilities, because none can be fitted: T2T (there is no tie" in words(to_html(report, []))
    assert json.loads(to_json(report))["calibration"]["overall"] is None


def test_verdicts_and_failures_claim_nothing(run: Run, make_record: MakeRecord) -> None:
    assert build(run, [make_record(i, 1.0, "a", verdict="a") for i in range(6)]).calibration is None
    assert build(run, [make_record(i, None, "a", error="x") for i in range(6)]).calibration is None


def test_verdicts_with_probabilities_stay_verdicts_and_are_calibrated(run: Run, claiming: list[Record]) -> None:
    stated = [replace(record, verdict="a") for record in claiming]
    report = build(run, stated)
    assert (report.own_word, report.macro.with_ties_oracle) == ("stated", None)
    assert report.macro.with_ties.accuracy == pytest.approx(0.5)  # five of ten are a
    assert report.calibration == build(run, claiming).calibration


def test_the_files_tell_it(run: Run, claiming: list[Record]) -> None:
    """With ties: 3 + 3 + 1, 7 of 10 right. Margins at .25 or at 0 give the same, so the smaller is the best."""
    report = json.loads(to_json(build(run, claiming)))
    task = report["tasks"]["T2T"]
    assert task["with_ties"]["ties"] == "the likeliest of the judge's probabilities"
    assert task["with_ties"]["threshold"] is None
    assert (task["likeliest"], task["likeliest_ties"]) == (20, 4)
    assert task["with_ties"]["accuracy"] == task["with_ties"]["cross_fitted"]["accuracy"] == 0.7
    assert (task["with_ties_oracle"]["accuracy"], task["with_ties_oracle"]["threshold"]) == (0.7, 0.0)
    assert report["macro"]["with_ties_oracle"]["accuracy"] == 0.7
    found = report["calibration"]
    assert found["probabilities"] == "the judge's own"
    error = found["overall"]["calibration_error"]["tie"]
    assert error["value"] == 0.08
    assert error["interval"][0] <= 0.08 <= error["interval"][1]
    assert 0 < error["if_calibrated"]["mean"] < error["if_calibrated"]["limit"]
    assert sum(b["samples"] for b in found["tasks"]["T2T"]["bins"]["side"]) == 40


def test_no_word_says_that_something_was_fitted(run: Run, claiming: list[Record], shown: Shown) -> None:
    report = build(replace(run, samples=40), claiming)
    page = words(to_html(report, [replace(shown, index=8), replace(shown, index=0)]))
    headline = page[: page.index("How the figures are made")]
    assert "cross-fitted" not in headline.replace("cross-fitted, five folds", "")
    assert "the likeliest of the judge's own P(a), P(tie) and P(b); nothing was fitted" in headline
    assert "people called it a tie (the likeliest is a tie)" in headline
    assert "The probabilities are the judge's own: nothing was fitted." in headline
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(render_terminal(report))
    assert isinstance(console.file, io.StringIO)
    terminal = console.file.getvalue()
    assert "cross fit" not in terminal
    assert max(map(len, terminal.splitlines())) <= 80


def test_one_sentence_says_how_far_the_judge_is_off(run: Run, claiming: list[Record]) -> None:
    """(.08 + 2 x .04) / 3 = .0533."""
    (said,) = [s for s in sentences(build(run, claiming)) if s.startswith("The judge's P(a)")]
    assert said.startswith("The judge's P(a), P(tie) and P(b) are off by 5.3 points on average (95 % interval 0.0 to ")
    assert said.endswith("by chance: no miscalibration is shown.")
    sure = [replace(r, probabilities=(0.98, 0.01, 0.01)) for r in claiming]
    (said,) = [s for s in sentences(build(run, sure)) if s.startswith("The judge's P(a)")]
    assert said.endswith("by chance: they are miscalibrated.")


def test_with_ties_the_sentence_names_the_rule_and_the_oracle(run: Run, claiming: list[Record]) -> None:
    said = sentences(build(run, claiming))
    assert (
        "With ties, 70.0 %: the likeliest of the judge's own P(a), P(tie) and P(b), so no threshold was fitted. "
        "Thresholds for its margins, fitted on these same samples, would give 70.0 %."
    ) in said
    assert "A tie is likeliest: 8 samples; without ties the margin's sign counts." in said


def test_cross_fitted_ones_are_marked_as_such(run: Run, records: list[Record]) -> None:
    report = build(run, records)
    page = words(to_html(report, []))
    assert "Do fitted probabilities come true?" in page
    assert "Wins and ties, claimed and observed (cross-fitted)" in page
    assert "not what it says." in page
    assert not [sentence for sentence in sentences(report) if sentence.startswith("The judge's P(a)")]
