"""What several votes on a sample say together; each expected record is worked out beside its case."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from omnireward.errors import SourceError
from omnireward.report import Record, Run, build
from omnireward.report.votes import combine, gather
from omnireward.types import Preference

MakeRecord = Callable[..., Record]
Said = Preference | None


def cast(make_record: MakeRecord, *said: tuple[Said, Said]) -> list[Record]:
    """Votes on sample 0: for each repeat what was said with a first, and with b first."""
    margins = {"a": 1.0, "b": -1.0, "tie": 0.0}
    return [
        make_record(
            0, None if verdict is None else margins[verdict], "a", verdict=verdict, swapped=swapped, repeat=repeat
        )
        for repeat, pair in enumerate(said)
        for swapped, verdict in zip((False, True), pair, strict=True)
    ]


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ([("a", "a")], "a"),
        ([("a", "b")], "tie"),  # inconsistent
        ([("a", "tie")], "tie"),
        ([("tie", "tie")], "tie"),
        ([("a", None)], None),  # one order said nothing
        ([(None, None)], None),
        ([("a", "a"), ("b", "a")], "a"),  # 3 of 4
        ([("a", "a"), ("b", "b")], "tie"),  # 2 of 4 is not more than half
        ([("a", "b"), ("a", "tie"), ("a", "b")], "tie"),  # a has 3 of 6
        ([("b", "b"), (None, "b"), ("a", None)], "b"),  # 3 of the 4 that there are
        ([("a", None), ("a", None)], None),  # the other order never answered
    ],
)
def test_verdicts_are_a_majority_of_both_orders(
    make_record: MakeRecord, said: list[tuple[Said, Said]], verdict: Said
) -> None:
    found = combine(cast(make_record, *said), both=True)
    assert found.verdict == verdict
    assert found.margin == (None if verdict is None else {"a": 1.0, "b": -1.0, "tie": 0.0}[verdict])
    assert found.error == ""
    assert (found.swapped, found.repeat, found.rationale) == (False, 0, "")


def test_without_both_orders_whatever_was_said_counts(make_record: MakeRecord) -> None:
    assert combine(cast(make_record, ("a", None)), both=False).verdict == "a"
    assert combine(cast(make_record, ("a", None), ("b", "b")), both=False).verdict == "b"  # 2 of 3


def test_one_vote_is_the_record(make_record: MakeRecord) -> None:
    record = make_record(0, 0.3, "a", verdict="a", swapped=True, probabilities=(0.5, 0.3, 0.2))
    assert combine([record], both=False) is record


def test_a_failure_counts_only_where_nothing_can_be_combined(make_record: MakeRecord) -> None:
    votes = cast(make_record, ("a", "a"), ("a", None))
    votes[3] = replace(votes[3], error="Gone.")
    assert (combine(votes, both=True).verdict, combine(votes, both=True).error) == ("a", "")
    lost = [votes[0], replace(votes[1], verdict=None, margin=None, error="First."), votes[2], votes[3]]
    assert (combine(lost, both=True).verdict, combine(lost, both=True).error) == (None, "First.")
    assert combine(lost, both=True).margin is None


def test_probabilities_without_verdicts_are_averaged_and_their_likeliest_counts(make_record: MakeRecord) -> None:
    """(.5 .4 .1) and (.1 .4 .5): means .3 .4 .3, so a tie, though neither vote says so."""
    votes = [
        make_record(0, 1.0, "tie", probabilities=(0.5, 0.4, 0.1)),
        make_record(0, -1.0, "tie", probabilities=(0.1, 0.4, 0.5), swapped=True),
    ]
    found = combine(votes, both=True)
    assert found.probabilities == pytest.approx((0.3, 0.4, 0.3))
    assert (found.margin, found.verdict, found.own_word) == (0.0, None, "tie")


def test_margins_are_averaged_each_order_weighing_the_same(make_record: MakeRecord) -> None:
    # a first: 3 and 1, mean 2. b first: 0. Mean of the orders 1, of all votes 4/3.
    votes = [
        make_record(0, 3.0, "a"),
        make_record(0, 1.0, "a", repeat=1),
        make_record(0, 0.0, "a", swapped=True),
        make_record(0, None, "a", swapped=True, repeat=1),
    ]
    found = combine(votes, both=True)
    assert (found.margin, found.verdict) == (1.0, None)
    assert found.rewards == (0.5, -0.5)  # each record's rewards are half its margin
    assert combine(votes, both=False).margin == pytest.approx(4 / 3)
    assert combine([*votes[:2], votes[3]], both=True).margin is None  # nothing from the other order
    assert combine([replace(votes[0], rewards=None), *votes[1:]], both=True).rewards is None


def test_equal_margins_stay_equal(make_record: MakeRecord) -> None:
    # Or a threshold would tell them apart: a mean of thirds need not give a third back.
    for margin in (0.1, 0.7, 1 / 3, 1e-17, 123.456):
        votes = [make_record(0, margin, "a", repeat=repeat, swapped=s) for repeat in range(3) for s in (False, True)]
        assert combine(votes, both=True).margin == margin


def test_verdict_and_mean_probabilities_agree(make_record: MakeRecord) -> None:
    # Orders disagree, but one is sure: (.9, 0, .1) and (.4, 0, .6) have the mean (.65, 0, .35).
    votes = [
        make_record(0, 1.0, "a", verdict="a", probabilities=(0.9, 0.0, 0.1)),
        make_record(0, -1.0, "a", verdict="b", probabilities=(0.4, 0.0, 0.6), swapped=True),
    ]
    found = combine(votes, both=True)
    assert found.probabilities == pytest.approx((0.65, 0.0, 0.35))
    assert (found.verdict, found.margin) == ("a", 1.0)
    # Equally likely: neither. And where one vote has no probabilities, there is no mean: the majority decides.
    even = combine([votes[0], replace(votes[1], probabilities=(0.1, 0.0, 0.9))], both=True)
    assert (even.verdict, even.margin) == ("tie", 0.0)
    mixed = combine([votes[0], replace(votes[1], probabilities=None)], both=True)
    assert (mixed.verdict, mixed.probabilities) == ("tie", None)


def test_a_sample_without_all_its_votes_is_not_finished(both: Run, votes: list[Record]) -> None:
    report = build(both, votes[:-1])
    assert (report.samples, report.failures) == (11, 0)
    with pytest.raises(SourceError, match="any sample of 'miniature' all its 2 votes yet"):
        build(both, votes[:1])
    thrice = replace(both, settings={"order": "random", "repeats": 3})
    with pytest.raises(SourceError, match="all its 3 votes"):
        build(thrice, votes)


def test_votes_lie_by_repeat_and_order_whatever_the_order_of_the_records(both: Run, make_record: MakeRecord) -> None:
    records = cast(make_record, ("a", "b"), ("a", "a"))
    run = replace(both, settings={"order": "both", "repeats": 2})
    (voted,) = gather(run, random.Random(2).sample(records, len(records)))
    assert [(vote.repeat, vote.swapped) for vote in voted.votes] == [(0, False), (0, True), (1, False), (1, True)]
    assert voted.record.verdict == "a"


def test_refuses_the_same_vote_twice_and_votes_on_different_samples(both: Run, make_record: MakeRecord) -> None:
    records = cast(make_record, ("a", "b"))
    with pytest.raises(SourceError, match="two judgements of sample 0"):
        gather(both, [*records, records[1]])
    with pytest.raises(SourceError, match=r"disagree about its preference.*Evaluate again"):
        gather(both, [records[0], replace(records[1], preference="b")])
    with pytest.raises(SourceError, match="disagree about its id"):
        gather(both, [records[0], replace(records[1], id="other")])
