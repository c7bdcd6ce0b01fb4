"""Lines go out sorted, however little is held."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from omnireward.construct import spool as spool_module
from omnireward.construct.spool import Spool


@pytest.mark.parametrize("run_bytes", [1, 2_000, 10**9])
def test_lines_come_out_sorted(tmp_path: Path, run_bytes: int) -> None:
    keys = [f"{number:06}" for number in range(300)]
    random.Random(0).shuffle(keys)
    spool = Spool(tmp_path, run_bytes)
    for key in keys:
        spool.add(key, f"{key}\t\u2028 \x85 \r é\n")  # of what Python takes for the end of a line, only one is one
    assert list(spool) == [(key, f"{key}\t\u2028 \x85 \r é\n") for key in sorted(keys)]


def test_runs_hold_no_more_text_than_they_may(tmp_path: Path) -> None:
    spool = Spool(tmp_path, run_bytes=100_000)
    for number in range(40):
        spool.add(str(number), "x" * 30_000 + "\n")
    assert len(list(spool)) == 40
    assert max(path.stat().st_size for path in tmp_path.iterdir()) < 130_100


def test_no_more_files_are_open_than_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five runs are merged as soon as they are there."""
    monkeypatch.setattr(spool_module, "MOST_RUNS", 5)
    keys = [f"{number:03}" for number in range(83)]
    random.Random(0).shuffle(keys)
    spool = Spool(tmp_path, run_bytes=1)
    for key in keys:
        spool.add(key, f"{key}\n")
        assert len(list(tmp_path.iterdir())) < 5
    assert [key for key, _ in spool] == sorted(keys)


def test_nothing(tmp_path: Path) -> None:
    assert list(Spool(tmp_path)) == []
