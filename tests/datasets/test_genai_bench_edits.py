"""GenAI-Bench's edits: the benchmark's samples of one config, whatever the other configs hold."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omnireward.benchmarks.genai_bench import BENCHMARK
from omnireward.datasets.genai_bench_edits import DATASET
from omnireward.errors import BadRowError, SourceError
from omnireward.sources import BadRows
from omnireward.types import Sample, Task


@pytest.fixture
def root(tmp_path: Path) -> Path:
    assert DATASET.example is not None
    DATASET.example(tmp_path)
    return tmp_path


def _read(root: Path, bad_rows: BadRows | None = None) -> list[Sample]:
    return list(DATASET.read(str(root), bad_rows or BadRows()))


def _more(root: Path, config: str, **change: object) -> None:
    path = root / config / "test_v1-00000-of-00001.parquet"
    table = pq.read_table(path)
    pq.write_table(pa.Table.from_pylist([*table.to_pylist(), table.to_pylist()[0] | change], table.schema), path)


def test_edits_of_the_benchmark_and_nothing_else(root: Path) -> None:
    every = list(BENCHMARK.read(str(root), BadRows()))
    edits = [sample for sample in every if sample.task is Task.TI2I]
    assert len(edits) < len(every)
    assert _read(root) == edits
    assert [sample.id for sample in edits] == ["image_edition/test_v1/0"]
    assert DATASET.home == BENCHMARK.home


def test_votes_become_preferences(root: Path) -> None:
    """The example's vote is rightvote."""
    for vote in ("leftvote", "tievote", "bothbad_vote"):
        _more(root, "image_edition", vote_type=vote)
    samples = _read(root)
    assert [sample.preference for sample in samples] == ["b", "a", "tie", "tie"]
    assert [sample.provenance["vote_type"] for sample in samples][2:] == ["tievote", "bothbad_vote"]


def test_bad_rows_of_other_configs_are_nobodys_business(root: Path) -> None:
    shutil.rmtree(root / "videos")  # without which the benchmark cannot be read
    _more(root, "image_generation", vote_type="unknown")
    with pytest.raises(BadRowError):
        list(BENCHMARK.read(str(root), BadRows()))
    assert len(_read(root)) == 1


def test_bad_rows_of_edits_are_reported(root: Path) -> None:
    _more(root, "image_edition", vote_type="unknown")
    with pytest.raises(BadRowError, match=r"image_edition/.*row 1, field 'vote_type'"):
        _read(root)
    bad_rows = BadRows(skip=True)
    assert len(_read(root, bad_rows)) == 1
    assert [error.field for error in bad_rows.errors] == ["vote_type"]


def test_a_folder_without_edits(root: Path) -> None:
    shutil.rmtree(root / "image_edition")
    assert BENCHMARK.recognises(root) is True
    assert DATASET.recognises(root) is False
    with pytest.raises(SourceError, match="no votes on edits"):
        _read(root)
