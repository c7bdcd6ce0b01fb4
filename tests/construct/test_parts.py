"""However the work is divided, and whoever calls it, the merged lines are the same bytes."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnireward.construct.parts import DONE, Part, begin, done, finish, merge, missing, run_parts, said
from omnireward.construct.sorting import sort_lines
from omnireward.errors import BadRowError, RecipeError

IDS = [f"sample {number}" for number in range(60)]
PARTS = st.integers(1, 12).flatmap(lambda of: st.integers(0, of - 1).map(lambda index: Part(index, of)))


def shout(out: Path, part: Part) -> None:
    """A step: every sample twice, in another order than that of its id."""
    folder = begin(part, out)
    mine = [name for name in reversed(IDS) if part.holds(name)]
    lines = [json.dumps({"id": f"{name}/{k}", "says": name.upper()}) + "\n" for name in mine for k in range(2)]
    (folder / "samples.jsonl").write_text("".join(lines))
    finish(part, out, {"samples": len(mine)})


def run(out: Path, *divisions: tuple[str, int]) -> bytes:
    for shard, workers in divisions:
        run_parts(partial(shout, out), Part.parse(shard), workers, "local")
    assert merge(out, ["samples.jsonl"])
    return (out / "samples.jsonl").read_bytes()


WANTED = sorted(f"{name}/{k}" for name in IDS for k in range(2))


@pytest.mark.parametrize(
    "divisions",
    [
        [("0/1", 1)],
        [("0/1", 3)],
        [("0/2", 1), ("1/2", 1)],
        [("1/2", 2), ("0/2", 1)],
        [("0/3", 1), ("1/3", 1), ("2/3", 1)],
        [("0/2", 1), ("0/1", 1)],  # begun by two, done by one after all
        [("0/1", 1), ("0/2", 1), ("1/2", 1)],
    ],
)
def test_every_division_gives_the_same_bytes(tmp_path: Path, divisions: Sequence[tuple[str, int]]) -> None:
    assert run(tmp_path / "divided", *divisions) == run(tmp_path / "whole", ("0/1", 1))
    lines = (tmp_path / "divided" / "samples.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == WANTED
    assert sum(one["samples"] for one in said(tmp_path / "divided")) == len(IDS)


def test_nothing_is_merged_before_everything_is_done(tmp_path: Path) -> None:
    shout(tmp_path, Part(1, 3))
    assert not merge(tmp_path, ["samples.jsonl"])
    assert not (tmp_path / "samples.jsonl").exists()
    assert missing(done(tmp_path)) == [Part(0, 3), Part(2, 3)]


def test_a_part_that_is_begun_again_is_not_done(tmp_path: Path) -> None:
    shout(tmp_path, Part())
    begin(Part(1, 2), tmp_path)
    assert done(tmp_path) == []
    assert not list(tmp_path.rglob(DONE))


def test_no_worker(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="workers"):
        run_parts(partial(shout, tmp_path), Part(), 0, "local")


def broken(out: Path, part: Part) -> None:
    raise BadRowError("samples.jsonl", part.index, "id", "cannot be used")


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_step_raises_is_raised(tmp_path: Path, workers: int) -> None:
    with pytest.raises(BadRowError, match="cannot be used"):
        run_parts(partial(broken, tmp_path), Part(), workers, "local")


@given(PARTS, st.integers(1, 5), st.text())
def test_a_part_splits_into_parts_that_share_nothing_and_lose_nothing(part: Part, count: int, name: str) -> None:
    assert part.holds(name) == any(each.holds(name) for each in part.split(count))
    assert sum(each.holds(name) for each in part.split(count)) <= 1
    assert not any(one.overlaps(other) for one, other in combinations(part.split(count), 2))


@given(PARTS, PARTS)
def test_overlap_is_a_common_remainder(one: Part, other: Part) -> None:
    """Brute force over the remainders of 0 … of·of."""
    common = any(
        number % one.of == one.index and number % other.of == other.index for number in range(one.of * other.of)
    )
    assert one.overlaps(other) == common


WORKERS = """
import os, time
from pathlib import Path
from omnireward.construct.parts import Part, run_parts

def stay(part):
    fresh = Path(__file__).with_name(f"{part.index}.new")
    fresh.write_text(str(os.getpid()))
    fresh.replace(fresh.with_suffix(".pid"))
    time.sleep(60)

if __name__ == "__main__":
    run_parts(stay, Part(), 2, "local")
"""


def test_workers_end_when_who_started_them_is_killed(tmp_path: Path) -> None:
    """They would go on, write into parts that another run has begun, and then wait for ever."""
    (tmp_path / "workers.py").write_text(WORKERS)
    with subprocess.Popen([sys.executable, str(tmp_path / "workers.py")]) as parent:
        files = [tmp_path / "0.pid", tmp_path / "1.pid"]
        while not all(file.exists() for file in files):
            assert parent.poll() is None
            time.sleep(0.01)
        parent.kill()
    until = time.monotonic() + 20
    for file in files:
        while _runs(int(file.read_text())):
            assert time.monotonic() < until
            time.sleep(0.01)


def _runs(pid: int) -> bool:
    with suppress(FileNotFoundError):
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    return False


@pytest.mark.parametrize("wrong", ["", "1", "2/2", "0/0", "-1/2", "a/b", "1/2/3", "1 /2"])
def test_shards_that_cannot_be_read(wrong: str) -> None:
    with pytest.raises(RecipeError, match="shard"):
        Part.parse(wrong)


@given(st.lists(st.lists(st.tuples(st.text(max_size=3), st.integers(0, 2)), max_size=9), max_size=3), st.integers(1, 4))
def test_lines_are_sorted_by_id_and_equal_ones_written_once(
    tmp_path_factory: pytest.TempPathFactory, lists: list[list[tuple[str, int]]], chunk: int
) -> None:
    folder = tmp_path_factory.mktemp("lines")
    lines = [[json.dumps({"id": name, "n": n}) + "\n" for name, n in each] for each in lists]
    for number, each in enumerate(lines):
        (folder / str(number)).write_text("".join(each))
    wanted = sorted({(json.loads(line)["id"], line) for each in lines for line in each})
    assert sort_lines([folder / str(n) for n in range(len(lines))], folder / "out", chunk=chunk) == len(wanted)
    assert (folder / "out").read_text() == "".join(line for _, line in wanted)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*map(str, range(len(lines))), "out"])
