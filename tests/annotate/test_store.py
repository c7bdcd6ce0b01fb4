"""What outlives the server, and what it refuses to open."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.annotate.world import SENTENCE, World, text_sample

from omnireward.annotate import answers, queue
from omnireward.annotate.people import recognise
from omnireward.annotate.store import Store, begin, rules_of
from omnireward.errors import RecipeError, SourceError


def test_a_store_goes_on_where_it_was_left(tmp_path: Path) -> None:
    world = World(tmp_path, [text_sample(f"s{i}", SENTENCE) for i in range(4)])
    with world.store as store:
        world.vote("ann", "a")
        before = world.next("ann")
        assert before is not None
        store.do(answers.save_draft, store.rules, world.people["ann"], before.id, {"side": "tie"}, world.now)
    with Store(tmp_path, rules_of(world.config), lambda: world.now + 10) as store:
        begin(store, world.config, lambda _place: pytest.fail("the samples are there already"))
        after = store.do(queue.hand_out, store.rules, world.people["ann"], world.now + 10)
    assert after == replace(before, draft={"side": "tie"})


def test_tokens_are_hashed_outlive_a_restart_and_end_when_new_ones_are_made(tmp_path: Path) -> None:
    world = World(tmp_path, [text_sample("one", SENTENCE)])
    with world.store as store:
        assert store.admit(world.config) == {}
        fresh = store.admit(replace(world.config, new_links=True))
        assert fresh.keys() == {"ann", "ben", "cid"}
        newest = store.admit(replace(world.config, new_links=True))
        assert store.do(recognise, fresh["ann"]) is None
        assert store.do(recognise, newest["ann"]) == world.people["ann"]
        fewer = replace(world.config, annotators=("ben", "cid", "eve"))
        assert store.admit(fewer).keys() == {"eve"}
        assert store.do(recognise, newest["ann"]) is None  # she takes part no more
        assert [store.do(recognise, wrong) for wrong in ("", "x", newest["ann"] + "x", "\ud800")] == [None] * 4
    held = b"".join(path.read_bytes() for path in tmp_path.glob("annotations.sqlite*"))
    assert not any(token.encode() in held for token in (*fresh.values(), *newest.values()))


def test_one_server_at_a_time(tmp_path: Path) -> None:
    world = World(tmp_path, [text_sample("one", SENTENCE)])
    with world.store, pytest.raises(RecipeError, match="another server"):
        Store(tmp_path, world.store.rules)
    with Store(tmp_path, world.store.rules):
        pass


@pytest.mark.parametrize("change", [{"folder": "others"}, {"overlap": 2}], ids=["folder", "overlap"])
def test_a_folder_belongs_to_its_samples(tmp_path: Path, change: dict[str, object]) -> None:
    world = World(tmp_path, [text_sample("one", SENTENCE)])
    with world.store as store, pytest.raises(RecipeError, match="was begun with"):
        begin(store, replace(world.config, **change), lambda _place: [])  # type: ignore[arg-type]


def test_who_only_voted_is_not_asked_to_write(tmp_path: Path) -> None:
    """There would be nothing to write about: samples without a criterion have been given to voters."""
    world = World(tmp_path, [text_sample("one")], stage="vote")
    with world.store as store, pytest.raises(RecipeError, match="begun with --stage vote"):
        begin(store, replace(world.config, stage="both"), lambda _place: [])
    other = World(tmp_path / "other", [text_sample("one")], stage="write")
    with other.store as store:
        begin(store, replace(other.config, stage="vote"), lambda _place: [])


def test_samples_come_in_all_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="two samples have the id 'one'"):
        World(tmp_path, [text_sample("one"), text_sample("one")])
    with pytest.raises(RecipeError, match="holds no samples"):
        World(tmp_path / "empty", [])


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "annotations.sqlite").write_text("hello " * 1000)
    with pytest.raises(SourceError, match="no database of annotations"):
        World(tmp_path, [text_sample("one")])


def test_every_commit_is_written_through(tmp_path: Path) -> None:
    world = World(tmp_path, [text_sample("one")])
    with world.store:
        assert world.rows("PRAGMA journal_mode") == [("wal",)]
        assert world.rows("PRAGMA synchronous") == [(2,)]  # FULL
