"""Who is handed what: never too many at once, never what somebody may not do."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tests.annotate.world import SENTENCE, World, text_sample

from omnireward.annotate.requests import RequestError


def test_an_item_is_handed_to_no_more_people_than_it_needs(tmp_path: Path) -> None:
    world = World(tmp_path, [text_sample("one", SENTENCE)], annotators="abcde", overlap=2)
    with world.store:
        assert [world.next(name) is not None for name in "abcde"] == [True, True, False, False, False]
        world.vote("a", "tie")
        assert world.next("c") is None
        world.now += 1799
        assert world.next("c") is None
        world.now += 2  # ben's half hour is over, and he has not answered
        assert world.next("c") is not None
        with pytest.raises(RequestError, match="no further answer"):
            world.answer("b", world.rows("SELECT id FROM item")[0][0], {"side": "tie"})
        world.vote("c", "tie")
        assert len(world.criteria()[0].votes) == 2


def test_a_late_answer_counts_where_nobody_took_the_place(tmp_path: Path) -> None:
    world = World(tmp_path, [text_sample("one", SENTENCE)], overlap=1)
    with world.store:
        handed = world.next("ann")
        assert handed is not None
        world.now += 100_000
        world.answer("ann", handed.id, {"side": "tie"})
        assert world.criteria()[0].votes == {"ann": "tie"}


def test_two_browsers_of_a_person_show_the_same_item(tmp_path: Path) -> None:
    world = World(tmp_path, [text_sample(f"s{i}", SENTENCE) for i in range(5)])
    with world.store, ThreadPoolExecutor(8) as pool:
        handed = list(pool.map(world.next, ["ann"] * 8))
        assert len({one.id for one in handed if one is not None}) == 1


def test_clients_at_once_never_overfill(tmp_path: Path) -> None:
    """Twelve people on eight threads, forty criteria, two votes each: as many answers are accepted as there is room."""
    people = [f"p{i}" for i in range(12)]
    world = World(tmp_path, [text_sample(f"s{i}", SENTENCE) for i in range(40)], annotators=people, overlap=2)

    def work(name: str) -> int:
        count = 0
        while (handed := world.next(name)) is not None:
            world.answer(name, handed.id, {"side": "tie"})
            count += 1
        return count

    with world.store, ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, people)) == 80
        assert {len(one.votes) for one in world.criteria()} == {2}


@pytest.mark.parametrize("seed", range(4))
def test_whatever_people_do_the_rules_hold(tmp_path: Path, seed: int) -> None:
    """A random walk over everything that can be done; after each step all rules are counted anew from the answers."""
    rng = random.Random(seed)
    people = ["ann", "ben", "cid", "eve"]
    world = World(
        tmp_path,
        [text_sample(f"s{i}", SENTENCE if i % 3 == 0 else "") for i in range(9)],
        annotators=people,
        adjudicator="dan",
        overlap=2,
    )
    done: Counter[str] = Counter()
    with world.store:
        for step in range(350):
            name = rng.choice([*people, "dan"])
            if rng.random() < 0.05:
                world.now += 2000
            if rng.random() < 0.15:
                with suppress(RequestError):
                    world.undo(name)
                    done["undo"] += 1
                continue
            handed = world.next(name)
            if handed is None or rng.random() < 0.3:
                continue
            answers: dict[str, dict[str, Any]] = {
                "write": {"criteria": [f"Sentence {step} of {name} {i}." for i in range(rng.randrange(3))]},
                "check": {"verdict": rng.choice(["ok", "ok", "vague"]), "note": ""},
            }
            answer = answers.get(handed.kind, {"side": rng.choice(["left", "right", "tie"])})
            world.answer(name, handed.id, answer)
            done[handed.kind] += 1
            _check(world)
    assert set(done) == {"write", "check", "vote", "adjudicate", "undo"}


def _check(world: World) -> None:
    now = world.now
    answers = world.rows(
        "SELECT item.number, item.kind, item.wanted, item.given, item.writer, current.person, person.role "
        "FROM current JOIN item ON item.number = current.item JOIN person ON person.number = current.person"
    )
    each = Counter((item, person) for item, *_, person, _ in answers)
    assert max(each.values()) == 1
    counts = Counter(item for item, *_ in answers)
    for item, kind, wanted, given, writer, person, role in answers:
        assert counts[item] == given <= wanted
        assert kind not in ("check", "vote") or person != writer  # four people, two votes: the writer never votes
        assert (role == "adjudicator") == (kind == "adjudicate")
    over = world.rows(
        "SELECT * FROM item WHERE open AND wanted < given + "
        "(SELECT COUNT(*) FROM lease WHERE lease.item = item.number AND until > ?)",
        now,
    )
    assert over == []
    wrong = world.rows(
        "SELECT * FROM item WHERE kind = 'vote' AND given AND writer IS NOT NULL AND criterion NOT IN "
        "(SELECT item.criterion FROM item JOIN current ON current.item = item.number "
        "WHERE item.kind = 'check' AND current.choice = 'ok')"
    )
    assert wrong == []


def test_gold_comes_once_among_each_so_many_votes_and_the_count_tells_nothing(tmp_path: Path) -> None:
    world = World(
        tmp_path,
        [text_sample(f"s{i}", SENTENCE) for i in range(20)],
        gold=[text_sample(f"g{i}", SENTENCE, "b") for i in range(9)],
        gold_every=5,
        overlap=1,
        annotators=("ann",),
        stage="vote",
    )
    with world.store:
        kinds, totals = [], set()
        while (handed := world.next("ann")) is not None:
            totals.add(handed.done + handed.remaining)
            kinds.append(world.rows("SELECT gold FROM item WHERE id = ?", handed.id)[0][0])
            world.vote("ann", "b")
        assert (len(kinds), sum(kinds)) == (24, 4)
        assert totals == {24}
        votes = [sum(not gold for gold in kinds[:at]) for at, gold in enumerate(kinds) if gold]
        assert [vote // 5 for vote in votes] == [0, 1, 2, 3]
        assert len(world.criteria()) == 20  # gold is no data
        assert world.rows("SELECT COUNT(*) FROM current JOIN item ON item = item.number WHERE gold") == [(4,)]


def test_stages_hand_out_their_own_kinds(tmp_path: Path) -> None:
    samples = [text_sample("one"), text_sample("two", SENTENCE)]
    writing = World(tmp_path / "w", samples, stage="write")
    with writing.store:
        writing.write("ann", SENTENCE)
        writing.check("ben")
        assert [writing.next(name) for name in ("ann", "ben", "cid")] == [None] * 3
    voting = World(tmp_path / "v", samples, stage="vote")
    with voting.store:
        assert [voting.vote("ann", "tie").criterion for _ in samples] == ["", SENTENCE]
