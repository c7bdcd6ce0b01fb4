"""Laws of the journal: what was appended is there after any end, and nothing else is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnireward.errors import JournalError
from omnireward.journal import Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "journal.jsonl"


def test_appended_records_are_read_back_in_order(path: Path) -> None:
    with Journal(path) as journal:
        journal.append([{"key": "b", "n": 1}, {"key": "a", "n": 2}])
        journal.append([{"key": "c", "n": 3}])
    with Journal(path) as journal:
        assert list(journal) == [{"key": "b", "n": 1}, {"key": "a", "n": 2}, {"key": "c", "n": 3}]
        assert journal.get("a") == {"key": "a", "n": 2}
        assert journal.get("z") is None


def test_a_later_record_supersedes_and_compact_drops_the_older_line(path: Path) -> None:
    with Journal(path) as journal:
        journal.append([{"key": "a", "error": "down"}, {"key": "b", "error": ""}])
        journal.append([{"key": "a", "error": ""}])
    assert len(path.read_text().splitlines()) == 3
    with Journal(path) as journal:
        assert journal.get("a") == {"key": "a", "error": ""}
        assert len(journal) == 2
        journal.compact()
        journal.append([{"key": "c", "error": ""}])
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines == [{"key": "a", "error": ""}, {"key": "b", "error": ""}, {"key": "c", "error": ""}]


def test_compact_without_superseded_lines_writes_nothing(path: Path) -> None:
    with Journal(path) as journal:
        journal.append([{"key": "a"}])
    before = path.stat()
    with Journal(path) as journal:
        journal.compact()
        journal.append([])
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns, after.st_size) == (before.st_ino, before.st_mtime_ns, before.st_size)


@given(st.integers(min_value=0, max_value=75))
def test_a_file_cut_anywhere_keeps_exactly_its_whole_lines(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    """Three lines of 25 bytes each: a cut at byte n leaves n // 25 records, and the next append starts a line."""
    path = tmp_path_factory.mktemp("cut") / "journal.jsonl"
    with Journal(path) as journal:
        journal.append([{"key": name, "n": "€"} for name in ("x", "y", "z")])
    assert path.stat().st_size == 75
    os.truncate(path, cut)
    with Journal(path) as journal:
        assert len(journal) == cut // 25
        journal.append([{"key": "w"}])
    with Journal(path) as journal:
        assert [record["key"] for record in journal] == [*"xyz"[: cut // 25], "w"]


@pytest.mark.parametrize("broken", ["{", "[]", '{"key": 3}', '{"no": "key"}', "\udcff"])
def test_a_broken_middle_line_is_refused_by_number(path: Path, broken: str) -> None:
    path.parent.mkdir()
    path.write_text('{"key": "a"}\n' + broken + '\n{"key": "b"}\n', errors="surrogateescape")
    with pytest.raises(JournalError, match="line 2"), Journal(path):
        pass
    path.write_text('{"key": "a"}\n')
    with Journal(path) as journal:  # the failed attempt let its lock go
        assert len(journal) == 1


def test_numbers_that_json_cannot_say_are_refused_and_nothing_is_written(path: Path) -> None:
    with Journal(path) as journal, pytest.raises(ValueError, match="not JSON compliant"):
        journal.append([{"key": "a", "margin": 1.0}, {"key": "b", "margin": float("nan")}])
    assert path.read_bytes() == b""


def test_a_second_writer_is_refused(path: Path) -> None:
    with Journal(path), pytest.raises(JournalError, match="another process"), Journal(path):
        pass
    with Journal(path) as journal:
        assert len(journal) == 0


def test_a_killed_writer_leaves_its_records_and_no_lock(path: Path) -> None:
    """The child appends one record at a time until it is killed with SIGKILL; each acknowledged record is there."""
    script = (
        "import sys; from pathlib import Path; from omnireward.journal import Journal\n"
        "with Journal(Path(sys.argv[1])) as journal:\n"
        "    for n in range(10**6):\n"
        "        journal.append([{'key': str(n)}])\n"
        "        sys.stdout.write(f'{n}\\n'); sys.stdout.flush()\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        acknowledged = [int(child.stdout.readline()) for _ in range(20)]
        child.kill()
        acknowledged += [int(line) for line in child.stdout.read().splitlines() if line]
    with Journal(path) as journal:
        assert {str(n) for n in acknowledged} <= {record["key"] for record in journal}


def test_a_place_that_cannot_be_written_says_so(path: Path) -> None:
    path.parent.write_text("a file where the folder should be")
    with pytest.raises(JournalError, match=r"cannot write to the folder .*new.* Choose another"), Journal(path):
        pass
    path.parent.unlink()
    path.mkdir(parents=True)
    for _ in range(2):  # the second time, the first must not have kept the lock
        with pytest.raises(JournalError, match=r"cannot write to .*journal\.jsonl"), Journal(path):
            pass


def test_a_line_nested_too_deeply_is_refused(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("[" * 100_000 + "\n")
    with pytest.raises(JournalError, match="line 1"), Journal(path):
        pass
