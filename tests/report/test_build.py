"""The report's figures, each worked by hand beside its test."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from omnireward.errors import SourceError
from omnireward.metrics import accuracy_without_ties, calibrate_ties, cluster_interval, win_probability
from omnireward.report import Record, Run, Score, build
from omnireward.types import Task

MakeRecord = Callable[..., Record]


def assert_score(score: Score, accuracy: float, samples: int) -> None:
    assert score.accuracy == pytest.approx(accuracy)
    assert score.samples == samples


def test_figures_of_a_task_by_hand(run: Run, make_record: MakeRecord) -> None:
    """Seven samples. Preferences a a b b tie tie a; margins 2, -1, -3, 0, .1, 4, none (failed).

    Without ties: samples 0 to 3 and 6; right are 0 and 2: 2 of 5, and 2 of 4 judged.
    With ties: at threshold .1 the ties are samples 3 (wrong) and 4 (right), so 0, 2 and 4 are right: 3 of 7, and 3 of
    6 judged. At 0 only 0 and 2 are; above .1 nothing is gained. Sample 3 has a margin of exactly 0.
    """
    rows = [(2.0, "a"), (-1.0, "a"), (-3.0, "b"), (0.0, "b"), (0.1, "tie"), (4.0, "tie")]
    records = [make_record(i, margin, preference) for i, (margin, preference) in enumerate(rows)]
    records.append(make_record(6, None, "a", error="DecoderCrashError: out of time."))
    block = build(run, records).tasks["T2T"]
    assert (block.samples, block.prompts, block.ties) == (7, 7, 2)
    assert (block.failures, block.without_verdict, block.exact_zero_margins) == (1, 0, 1)
    assert_score(block.without_ties, 2 / 5, 5)
    assert_score(block.without_ties_judged, 2 / 4, 4)
    assert block.threshold == 0.1
    assert_score(block.with_ties, 3 / 7, 7)
    assert_score(block.with_ties_judged, 3 / 6, 6)
    assert block.without_ties.interval == cluster_interval([1, 0, 1, 0, 0], list("uvwxy"))


def test_macro_weighs_tasks_equally_and_groups_pool_samples(run: Run, make_record: MakeRecord) -> None:
    # T2T: 3 of 3 right. T2A: 0 of 1. Macro (1 + 0) / 2; the group of all four has 3 of 4.
    records = [make_record(i, 1.0, "a", groups=("all",)) for i in range(3)]
    records.append(make_record(3, -1.0, "a", task=Task.T2A, groups=("all",)))
    report = build(run, records)
    assert report.macro.without_ties.accuracy == pytest.approx(1 / 2)
    assert report.macro.without_ties.tasks == ("T2T", "T2A")
    assert report.groups["all"].without_ties.accuracy == pytest.approx(3 / 4)
    assert report.groups["all"].threshold is None
    # T2A has a single prompt: no interval for it, nor for a mean that holds it, and no cross-fit.
    assert report.tasks["T2A"].without_ties.interval is None
    assert report.macro.without_ties.interval is None
    assert report.tasks["T2A"].cross_fitted.accuracy is None
    assert report.macro.cross_fitted.tasks == ("T2T",)


def test_a_group_uses_the_thresholds_of_its_tasks(run: Run, make_record: MakeRecord) -> None:
    # Rewards of T2A are ten times larger. Thresholds 1 and 10 make all right; no single threshold does.
    records = []
    for i, (task, scale) in enumerate([(Task.T2T, 1.0), (Task.T2A, 10.0)]):
        margins = [(1.0, "tie"), (2.0, "a"), (-2.0, "b")]
        records += [make_record(3 * i + j, m * scale, p, task=task, groups=("g",)) for j, (m, p) in enumerate(margins)]
    report = build(run, records)
    assert [block.threshold for block in report.tasks.values()] == [1.0, 10.0]
    assert report.groups["g"].with_ties.accuracy == 1.0
    assert calibrate_ties([r.margin or 0 for r in records], [r.preference for r in records]).accuracy < 1.0


def test_only_tasks_present_in_the_papers_order(run: Run, make_record: MakeRecord) -> None:
    order = [Task.TI2I, Task.T2T, Task.T2V]
    records = [make_record(i, 1.0, "a", task=task) for i, task in enumerate(order)]
    assert list(build(run, records).tasks) == ["T2T", "T2V", "TI2I"]


def test_cross_fitted_counts_samples_without_margin_as_wrong(run: Run, make_record: MakeRecord) -> None:
    # Nine clear winners are right at any fold's threshold (all 0); the tenth has no verdict.
    records = [make_record(i, 1.0, "a") for i in range(9)] + [make_record(9, None, "a")]
    block = build(run, records).tasks["T2T"]
    assert_score(block.cross_fitted, 9 / 10, 10)


def test_nothing_judged_gives_zero_and_no_threshold(run: Run, make_record: MakeRecord) -> None:
    report = build(run, [make_record(i, None, "a", error="x") for i in range(6)])
    block = report.tasks["T2T"]
    assert block.threshold is None
    assert block.without_ties.accuracy == 0.0
    assert block.without_ties_judged.accuracy is None
    assert block.cross_fitted.accuracy is None
    assert report.reliability is None
    assert (report.failures, report.without_verdict) == (6, 0)


def test_all_ties_have_no_accuracy_without_ties(run: Run, make_record: MakeRecord) -> None:
    report = build(run, [make_record(i, 0.5, "tie") for i in range(6)])
    assert report.macro.without_ties.accuracy is None
    assert report.macro.with_ties.accuracy == 1.0


def test_order_of_records_changes_nothing(run: Run, records: list[Record]) -> None:
    mixed = records.copy()
    random.Random(0).shuffle(mixed)
    assert build(run, mixed) == build(run, records)


def test_task_figures_equal_the_metrics(run: Run, records: list[Record]) -> None:
    for name, block in build(run, records).tasks.items():
        members = [r for r in records if r.task.short == name]
        counts = accuracy_without_ties([r.margin for r in members], [r.preference for r in members])
        assert block.without_ties.accuracy == counts.accuracy
        judged = [(r.margin, r.preference) for r in members if r.margin is not None]
        best = calibrate_ties([m for m, _ in judged], [p for _, p in judged])
        assert block.threshold == best.threshold
        assert block.with_ties_judged.accuracy == pytest.approx(best.accuracy)


def test_reliability_takes_probabilities_where_the_judge_gives_them(run: Run, make_record: MakeRecord) -> None:
    # (.6, .2, .2): given that somebody wins, a wins with .6 / .8. Otherwise sigmoid(margin).
    given = build(run, [make_record(0, 1.0, "a", probabilities=(0.6, 0.2, 0.2))]).reliability
    plain = build(run, [make_record(0, 1.0, "a")]).reliability
    assert given is not None
    assert plain is not None
    assert given.bins[0].claimed == pytest.approx(0.75)
    assert plain.bins[0].claimed == win_probability([1.0])[0]


def test_how_a_sample_is_marked(run: Run, make_record: MakeRecord) -> None:
    """The tie at .5 is right by the threshold .5. The preference at .25 is right by its sign, inside the threshold."""
    rows = [(0.5, "tie"), (-0.5, "tie"), (0.25, "a"), (1.0, "b"), (None, "a")]
    outcomes = build(run, [make_record(i, margin, preference) for i, (margin, preference) in enumerate(rows)]).outcomes
    assert [outcome.right for outcome in outcomes] == [True, True, True, False, None]


def test_refuses_nothing_and_doubles(run: Run, make_record: MakeRecord) -> None:
    with pytest.raises(SourceError, match="has not judged any sample of 'miniature'"):
        build(run, [])
    with pytest.raises(SourceError, match="two judgements of sample 4"):
        build(run, [make_record(4, 1.0, "a"), make_record(4, 2.0, "a")])


def test_stated_verdicts_are_taken_at_their_word(run: Run, make_record: MakeRecord) -> None:
    """Verdicts a tie b tie none, preferences a a a tie a. Margins are of no use here, so they say otherwise.

    Without ties: right is 0 of the four that people do not call a tie; of the two that name a winner 1 is right. With
    ties: 0 and 3, 2 of 5. Nothing is fitted, so cross-fitted is the same.
    """
    rows = [(-5.0, "a", "a"), (5.0, "tie", "a"), (5.0, "b", "a"), (5.0, "tie", "tie"), (None, None, "a")]
    records = [make_record(i, margin, people, verdict=verdict) for i, (margin, verdict, people) in enumerate(rows)]
    report = build(run, records)
    block = report.tasks["T2T"]
    assert (block.verdicts, block.tie_verdicts, block.exact_zero_margins, block.without_verdict) == (4, 2, 0, 1)
    assert_score(block.without_ties, 1 / 4, 4)
    assert_score(block.without_ties_judged, 1 / 3, 3)
    assert_score(block.decided, 1 / 2, 2)
    assert_score(block.with_ties, 2 / 5, 5)
    assert_score(block.with_ties_judged, 2 / 4, 4)
    assert block.cross_fitted == block.with_ties
    assert block.threshold is None
    assert (report.own_word, report.abstains) == ("stated", True)
    assert report.macro.cross_fitted.accuracy == report.macro.with_ties.accuracy
    assert [outcome.right for outcome in report.outcomes] == [True, False, False, True, None]


def test_verdicts_and_margins_in_one_task_each_count_by_their_rule(run: Run, make_record: MakeRecord) -> None:
    # Margins .1 (tie), 2 (a), -2 (b) are all right at .1; the verdict of a tie is wrong, whatever its margin.
    records = [make_record(i, m, p) for i, (m, p) in enumerate([(0.1, "tie"), (2.0, "a"), (-2.0, "b")])]
    records.append(make_record(3, 0.1, "a", verdict="tie"))
    report = build(run, records)
    assert report.tasks["T2T"].threshold == 0.1
    assert_score(report.tasks["T2T"].with_ties, 3 / 4, 4)
    assert report.own_word is None


def test_decided_leaves_out_margins_of_zero_and_failures(run: Run, make_record: MakeRecord) -> None:
    rows = [(1.0, "a"), (-1.0, "a"), (0.0, "a"), (None, "a"), (3.0, "tie")]
    block = build(run, [make_record(i, margin, people) for i, (margin, people) in enumerate(rows)]).tasks["T2T"]
    assert_score(block.decided, 1 / 2, 2)


def test_a_verdict_alone_claims_no_probability(run: Run, make_record: MakeRecord) -> None:
    assert build(run, [make_record(i, 1.0, "a", verdict="a") for i in range(6)]).reliability is None
    given = [make_record(i, 1.0, "a", verdict="a", probabilities=(0.6, 0.2, 0.2)) for i in range(6)]
    found = build(run, given).reliability
    assert found is not None
    assert found.bins[0].claimed == pytest.approx(0.75)


def test_both_orders_count_as_one_sample(both: Run, votes: list[Record]) -> None:
    """0 to 3 say a: right. 4 to 6 and 9 disagree: ties, wrong. 7: no verdict. 8: b, right. 10: a tie, right with ties.

    11 failed in one order. Without ties: 5 of 10; decided: 5 of 5. With ties: 6 of 12.
    """
    report = build(both, votes)
    block = report.tasks["T2T"]
    assert (report.samples, block.failures, block.without_verdict, block.tie_verdicts) == (12, 1, 1, 5)
    assert_score(block.without_ties, 5 / 10, 10)
    assert_score(block.decided, 5 / 5, 5)
    assert_score(block.with_ties, 6 / 12, 12)
    assert [len(outcome.votes) for outcome in report.outcomes] == [2] * 12


def test_probabilities_without_a_verdict_are_taken_at_their_word_with_ties(run: Run, make_record: MakeRecord) -> None:
    """A model with a tie head; the likeliest are tie, a, b, tie (a and b equally likely), b, and nothing (failed).

    With ties: 0, 1, 3 and 4 are right, 4 of 6. Without ties the sign of the margin counts: of 1, 2, 4 and 5, which
    people do not call a tie, 1 and 2 are right, 2 of 4. At the best threshold of the margins, .4, a tie is called in 0
    and 3, which is right, and so are 1 and 2 by their sign: 4 of 6.
    """
    rows = [
        (0.4, "tie", (0.3, 0.5, 0.2)),
        (2.0, "a", (0.6, 0.3, 0.1)),
        (1.0, "a", (0.2, 0.3, 0.5)),
        (0.0, "tie", (0.4, 0.2, 0.4)),
        (0.5, "b", (0.1, 0.3, 0.6)),
    ]
    records = [make_record(i, m, people, probabilities=three) for i, (m, people, three) in enumerate(rows)]
    records.append(make_record(5, None, "a", error="UnreadableMediaError: x"))
    report = build(run, records)
    block = report.tasks["T2T"]
    assert (block.likeliest, block.likeliest_ties, block.verdicts, block.tie_verdicts) == (5, 2, 0, 0)
    assert_score(block.without_ties, 2 / 4, 4)
    assert block.threshold is None
    assert report.own_word == "likeliest"
    assert not report.abstains
    assert_score(block.with_ties, 4 / 6, 6)
    assert_score(block.with_ties_judged, 4 / 5, 5)
    assert block.cross_fitted == block.with_ties
    assert report.macro.cross_fitted == report.macro.with_ties
    assert block.with_ties_oracle is not None
    assert_score(block.with_ties_oracle, 4 / 6, 6)
    assert block.oracle_threshold == 0.4
    assert report.macro.with_ties_oracle is not None
    assert [outcome.right for outcome in report.outcomes] == [True, True, True, True, False, None]


def test_a_margin_of_nothing_stays_without_a_verdict_whatever_the_probabilities(
    run: Run, make_record: MakeRecord
) -> None:
    """Sampled answers that must not say tie, and split evenly: the probabilities show why there is no verdict."""
    report = build(run, [make_record(i, None, "tie", probabilities=(0.5, 0.0, 0.5)) for i in range(3)])
    block = report.tasks["T2T"]
    assert (block.without_verdict, block.likeliest) == (3, 0)
    assert_score(block.with_ties, 0.0, 3)
    assert block.with_ties_oracle is None


def test_own_word_and_margins_in_one_task_each_count_by_their_rule(run: Run, make_record: MakeRecord) -> None:
    # Margins .1 (tie), 2, -2 are right at .1. The likeliest is b where people say b, though the margin names a.
    records = [make_record(i, m, p) for i, (m, p) in enumerate([(0.1, "tie"), (2.0, "a"), (-2.0, "b")])]
    records.append(make_record(3, 0.1, "b", probabilities=(0.2, 0.3, 0.5)))
    report = build(run, records)
    assert report.own_word is None
    assert report.tasks["T2T"].threshold == 0.1
    assert_score(report.tasks["T2T"].with_ties, 4 / 4, 4)
    # The best threshold for the margin .1, where people say b, is any: it is wrong. The three others stay right.
    assert report.tasks["T2T"].with_ties_oracle == Score(3 / 4, cluster_interval([1, 1, 1, 0], list("uvwx")), 4)
    mixed = build(run, [records[3], make_record(4, 1.0, "a", verdict="a")])
    assert mixed.own_word == "mixed"
    assert_score(mixed.tasks["T2T"].with_ties, 2 / 2, 2)
