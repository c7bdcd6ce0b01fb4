"""Files of rows: found by their columns, and read without holding them."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omnireward.datasets._row_files import lines, tables
from omnireward.plugins import load
from omnireward.sources import BadRows, SampleSource

STREAMED = ("skywork_reward", "ultrafeedback", "ultrafeedback_binarized", "rlaif_v", "omnialign_v_dpo", "vlfeedback")


def _wanted(found: frozenset[str]) -> bool:
    return "x" in found


def test_tables_are_found_by_their_columns_and_not_in_hidden_folders(tmp_path: Path) -> None:
    for name, column in (("b/two", "x"), ("a/one", "x"), ("c", "y"), (".cache/three", "x")):
        path = tmp_path / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({column: [1]}), path)
    (tmp_path / "folder.parquet").mkdir()
    assert tables(tmp_path, _wanted) == (tmp_path / "a" / "one.parquet", tmp_path / "b" / "two.parquet")
    assert tables(tmp_path / "c.parquet", _wanted) == ()


def test_lines_are_found_by_their_first_row_or_their_name(tmp_path: Path) -> None:
    for name, row in (("b", '{"x": 1}'), ("a", '{"y": 1}'), ("broken", "{"), ("empty", "")):
        (tmp_path / f"{name}.jsonl").write_text(row + "\n")
    (tmp_path / "folder.jsonl").mkdir()
    (tmp_path / "c.json").write_text('[{"x": 1}]')
    assert lines(tmp_path, _wanted) == (tmp_path / "b.jsonl",)
    assert lines(tmp_path, _wanted, ("broken", "absent")) == (tmp_path / "b.jsonl", tmp_path / "broken.jsonl")
    assert lines(tmp_path / "c.json", _wanted) == ()


@pytest.mark.parametrize("name", STREAMED)
def test_memory_does_not_grow_with_rows(name: str, tmp_path: Path) -> None:
    """The example's rows over and over: of seven times as many rows, no more is held at once.

    One row is about a kilobyte as objects, so 300 more rows that were kept would show.
    """
    source = load("datasets", name)
    assert isinstance(source, SampleSource)
    assert source.example is not None
    source.example(tmp_path)
    originals = {path: path.read_bytes() for path in tmp_path.glob("**/*") if path.suffix in (".jsonl", ".parquet")}
    peaks = []
    for times in (50, 350):
        for path, data in originals.items():
            path.write_bytes(data)
            if path.suffix == ".jsonl":
                path.write_bytes(data * times)
            else:
                pq.write_table(pa.concat_tables([pq.read_table(path)] * times), path, row_group_size=100)
        tracemalloc.start()
        count = sum(1 for _ in source.read(str(tmp_path), BadRows()))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert count >= times
    assert peaks[1] < peaks[0] + 100_000
