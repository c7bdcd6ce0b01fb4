"""What each person may do, once; and what can be taken back."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.annotate.world import SENTENCE, World, text_sample

from omnireward.annotate.answers import REACH
from omnireward.annotate.requests import RequestError


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """One sample to write criteria for."""
    made = World(tmp_path, [text_sample("one")])
    with made.store:
        yield made


@pytest.fixture
def voting(tmp_path: Path) -> Iterator[World]:
    """Twelve criteria to vote under."""
    made = World(tmp_path, [text_sample(f"s{i}", SENTENCE) for i in range(12)], adjudicator="dan")
    with made.store:
        yield made


def refused(status: int) -> pytest.RaisesExc[RequestError]:
    return pytest.raises(RequestError, check=lambda error: error.status == status)


def test_a_criterion_is_written_checked_by_another_and_voted_under_by_all_three(world: World) -> None:
    world.write("ann", SENTENCE)
    assert world.next("ann") is None  # she does not check her own
    world.check("ben")
    assert {world.vote(name, "b").criterion for name in ("ann", "ben", "cid")} == {SENTENCE}
    (one,) = world.criteria()
    assert (one.writer, one.checker, one.fate, one.decided) == ("ann", "ben", "agreed", "b")
    assert one.votes == {"ann": "b", "ben": "b", "cid": "b"}
    assert world.next("cid") is None


def test_the_writer_votes_only_where_the_others_are_too_few(tmp_path: Path) -> None:
    world = World(tmp_path, [text_sample("one")], annotators=("ann", "ben", "cid", "eve"), overlap=3)
    with world.store:
        world.write("ann", SENTENCE)
        world.check("ben")
        assert world.next("ann") is None
        for name in ("ben", "cid", "eve"):
            world.vote(name, "tie")
        assert world.criteria()[0].decided == "tie"


@pytest.mark.parametrize("verdict", ["vague", "specific", "other"])
def test_nobody_votes_under_a_criterion_that_is_not_valid(world: World, verdict: str) -> None:
    world.write("ann", SENTENCE)
    world.check("cid", verdict)
    assert [world.next(name) for name in ("ann", "ben", "cid")] == [None] * 3
    assert world.criteria()[0].fate == verdict


def test_a_sample_about_which_nothing_is_to_be_said_is_done(world: World) -> None:
    world.write("ann")
    assert world.criteria() == []
    assert world.next("ben") is None


def test_the_same_key_is_the_same_answer_and_another_key_is_refused(voting: World) -> None:
    handed = voting.next("ann")
    assert handed is not None
    voting.answer("ann", handed.id, {"side": "tie"}, key="first-key")
    voting.answer("ann", handed.id, {"side": "left"}, key="first-key")  # what came first stays
    with refused(409):
        voting.answer("ann", handed.id, {"side": "left"}, key="second-key")
    other = voting.next("ann")
    assert other is not None
    with refused(409):
        voting.answer("ann", other.id, {"side": "left"}, key="first-key")
    assert voting.rows("SELECT key, choice FROM answer") == [("first-key", "tie")]
    ben = voting.next("ben")
    assert ben is not None
    voting.answer("ben", ben.id, {"side": "left"}, key="first-key")  # keys are each person's own


def test_a_key_that_comes_again_after_its_answer_was_taken_back_does_nothing(voting: World) -> None:
    handed = voting.next("ann")
    assert handed is not None
    voting.answer("ann", handed.id, {"side": "tie"}, key="first-key")
    voting.undo("ann")
    voting.answer("ann", handed.id, {"side": "tie"}, key="first-key")
    assert voting.rows("SELECT COUNT(*) FROM current") == [(0,)]


def test_sides_are_drawn_for_each_person_kept_and_mapped_back(tmp_path: Path) -> None:
    world = World(tmp_path, [text_sample(f"s{i}", SENTENCE) for i in range(40)], overlap=2)
    with world.store:
        for name in ("ann", "ben"):
            for _ in range(40):
                handed = world.next(name)
                assert handed is not None
                again = world.next(name)
                assert again is not None
                assert (again.id, again.left) == (handed.id, handed.left)
                world.answer(name, handed.id, {"side": "left"})
        assert world.rows("SELECT COUNT(*) FROM answer JOIN shown USING (person, item) WHERE choice <> left") == [(0,)]
        # 80 fair coins: fewer than 15 of one kind have a probability of about 1e-9 (binomial).
        sides = [left for (left,) in world.rows("SELECT left FROM shown ORDER BY person, item")]
        assert 15 <= sides.count("a") <= 65
        assert sides[:40] != sides[40:]


def test_undo_gives_the_item_back_with_the_old_answer_and_keeps_the_history(voting: World) -> None:
    first = voting.vote("ann", "a")
    second = voting.next("ann")
    back = voting.undo("ann")
    assert second is not None
    assert (back.id, back.left) == (first.id, first.left)
    assert back.draft == {"side": "left" if first.left == "a" else "right"}
    assert voting.vote("ann", "b").id == first.id
    assert voting.rows("SELECT choice FROM answer ORDER BY number") == [("a",), ("b",)]
    assert voting.rows("SELECT choice FROM current") == [("b",)]
    resumed = voting.next("ann")
    assert resumed is not None
    assert resumed.id == second.id


def test_only_the_latest_answers_can_be_taken_back(voting: World) -> None:
    done = [voting.vote("ann", "a").id for _ in range(REACH + 2)]
    assert [voting.undo("ann").id for _ in range(REACH)] == done[:1:-1]
    with refused(409):
        voting.undo("ann")
    with refused(409):
        voting.undo("ben")


def test_what_others_have_built_on_stays(world: World) -> None:
    world.write("ann", SENTENCE)
    world.next("ben")  # has the check open
    with refused(409):
        world.undo("ann")
    world.check("ben")
    with refused(409):
        world.undo("ann")
    world.vote("cid", "a")
    with refused(409):
        world.undo("ben")
    assert len(world.rows("SELECT * FROM undo")) == 0


def test_what_somebody_has_open_themselves_is_in_nobodys_way(world: World) -> None:
    """Who checks the last criterion is handed the vote under it at once."""
    world.write("ann", SENTENCE)
    world.check("ben")
    vote = world.next("ben")
    assert vote is not None
    assert vote.kind == "vote"
    assert world.undo("ben").kind == "check"
    assert (world.criteria()[0].fate, world.next("cid")) == ("not checked", None)
    with refused(409):
        world.answer("ben", vote.id, {"side": "tie"})
    world.check("ben")
    again = world.next("ben")
    assert again is not None
    assert again.id == vote.id


def test_criteria_that_were_taken_back_are_gone_for_everybody(world: World) -> None:
    world.write("ann", SENTENCE, "It should be short as well.")
    assert world.undo("ann").draft == {"criteria": [SENTENCE, "It should be short as well."]}
    assert world.next("ben") is None  # ann has the writing open
    world.write("ann", "Only this one counts now.")
    assert [one.text for one in world.criteria()] == ["Only this one counts now."]
    assert world.check("ben").criterion == "Only this one counts now."
    assert world.next("cid") is not None
    assert world.rows("SELECT COUNT(*) FROM criterion") == [(3,)]


def test_a_vote_that_is_taken_back_takes_the_adjudication_with_it(voting: World) -> None:
    for name, choice in (("ann", "a"), ("ben", "b"), ("cid", "tie")):
        voting.vote(name, choice)  # type: ignore[arg-type]
    assert voting.criteria()[0].fate == "no consensus"
    voting.undo("cid")
    assert voting.next("dan") is None
    voting.vote("cid", "a")
    assert (voting.criteria()[0].fate, voting.criteria()[0].decided) == ("agreed", "a")
    assert voting.next("dan") is None


def test_an_adjudicator_decides_what_has_no_majority_and_sees_the_votes(voting: World) -> None:
    assert voting.next("dan") is None
    for name, choice in (("ann", "a"), ("ben", "b"), ("cid", "tie")):
        voting.vote(name, choice)  # type: ignore[arg-type]
    handed = voting.next("dan")
    assert handed is not None
    assert handed.votes == {"left": 1, "right": 1, "tie": 1}
    voting.vote("dan", "b")
    assert (voting.criteria()[0].fate, voting.criteria()[0].decided) == ("adjudicated", "b")
    with refused(409):
        voting.undo("cid")


def test_nobody_answers_what_they_were_not_shown(voting: World) -> None:
    handed = voting.next("ann")
    assert handed is not None
    for name, item in (("ben", handed.id), ("ann", "made-up"), ("ann", "")):
        with refused(404):
            voting.answer(name, item, {"side": "left"})


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"side": "a"},
        {"side": None},
        {"side": ["left"]},
        {"verdict": "ok"},
    ],
    ids=str,
)
def test_what_is_no_answer_is_refused_and_nothing_is_kept(voting: World, answer: dict[str, object]) -> None:
    handed = voting.next("ann")
    assert handed is not None
    with refused(400):
        voting.answer("ann", handed.id, answer)
    assert voting.rows("SELECT COUNT(*) FROM answer") == [(0,)]


@pytest.mark.parametrize(
    "texts",
    [
        "It should name it.",
        ["bright"],
        ["no end at all here"],
        [""],
        [3],
        ["It should\x1b[2J name it."],
        [SENTENCE, f" {SENTENCE} "],
        [SENTENCE + "x" * 2000 + "."],
        [f"Sentence number {i}." for i in range(6)],
    ],
    ids=["text", "word", "no end", "empty", "number", "control", "twice", "long", "many"],
)
def test_what_is_no_criterion_is_refused(world: World, texts: object) -> None:
    handed = world.next("ann")
    assert handed is not None
    with refused(400):
        world.answer("ann", handed.id, {"criteria": texts})


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan"), True, "3"], ids=str)
def test_seconds_are_a_sensible_number(voting: World, seconds: float) -> None:
    handed = voting.next("ann")
    assert handed is not None
    with refused(400):
        voting.answer("ann", handed.id, {"side": "tie"}, seconds=seconds)


def test_seconds_that_no_float_holds_are_a_day(voting: World) -> None:
    handed = voting.next("ann")
    assert handed is not None
    voting.answer("ann", handed.id, {"side": "tie"}, seconds=10**400)
    assert voting.rows("SELECT seconds FROM answer") == [(86_400.0,)]


@pytest.mark.parametrize("table", ["answer", "undo"])
def test_the_history_cannot_be_changed(voting: World, table: str) -> None:
    voting.vote("ann", "a")
    voting.undo("ann")
    for query in (f"DELETE FROM {table}", f"UPDATE {table} SET at = 0"):
        with pytest.raises(sqlite3.IntegrityError, match="only grows"):
            voting.rows(query)
