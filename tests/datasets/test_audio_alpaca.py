"""Audio-alpaca: the Hub's Parquet rows, TangoFlux's JSON list, and rows that are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omnireward.datasets.audio_alpaca import DATASET
from omnireward.errors import BadRowError, SourceError
from omnireward.sources import BadRows
from omnireward.types import Media, Sample, Task, Text, Turn

ROW = {
    "prompt": "A loud hum.",
    "chosen": {"bytes": b"good", "path": "1.wav"},
    "rejected": {"bytes": b"bad", "path": "1.wav"},
    "strategy": "temporal",
}
AUDIO = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
SCHEMA = pa.schema([(name, AUDIO if name in ("chosen", "rejected") else pa.string()) for name in ROW])
FLUX = {"captions": "A dog barks.", "duration": 9.5, "chosen": "wavs/a.wav", "reject": "wavs/b.wav"}


def _write(root: Path, *changes: dict[str, Any], shard: str = "0") -> None:
    (root / "data").mkdir(exist_ok=True)
    table = pa.Table.from_pylist([ROW | change for change in changes], SCHEMA)
    pq.write_table(table, root / "data" / f"train-0000{shard}-of-00020.parquet")


def _write_flux(root: Path, *changes: dict[str, Any]) -> None:
    (root / "wavs").mkdir(exist_ok=True)
    for name in ("a", "b"):
        (root / "wavs" / f"{name}.wav").write_text(name)
    (root / "train.json").write_text(json.dumps([FLUX | change for change in changes]))


def _read(root: Path, bad_rows: BadRows | None = None) -> list[Sample]:
    return list(DATASET.read(str(root), bad_rows or BadRows()))


def test_row_becomes_sample(tmp_path: Path) -> None:
    _write(tmp_path, {})
    (sample,) = _read(tmp_path)
    assert (sample.id, sample.task, sample.preference) == ("data/train-00000-of-00020.parquet:0", Task.T2A, "a")
    assert sample.comparison.prompt == (Turn("user", (Text("A loud hum."),)),)
    # Bytes count before the path, which is the same for both.
    assert sample.comparison.response_a == (Media("audio", b"good"),)
    assert sample.comparison.response_b == (Media("audio", b"bad"),)
    assert sample.groups == ("temporal",)
    assert sample.provenance["strategy"] == "temporal"


def test_rows_without_ids_differ_by_file_and_row(tmp_path: Path) -> None:
    _write(tmp_path, {}, {})
    _write(tmp_path, {}, shard="1")
    samples = _read(tmp_path)
    assert len({sample.id for sample in samples}) == 3
    assert len({sample.cluster for sample in samples}) == 1


def test_list_of_tangoflux(tmp_path: Path) -> None:
    _write_flux(tmp_path, {})
    (tmp_path / "settings.json").write_text('{"lr": 1}')  # JSON of something else
    assert DATASET.recognises(tmp_path)
    (sample,) = _read(tmp_path)
    assert sample.comparison.prompt == (Turn("user", (Text("A dog barks."),)),)
    assert sample.comparison.response_a == (Media("audio", tmp_path / "wavs" / "a.wav"),)
    assert sample.comparison.response_b == (Media("audio", tmp_path / "wavs" / "b.wav"),)
    assert (sample.id, sample.groups, sample.provenance["duration"]) == ("train.json:0", (), "9.5")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": " "}, "prompt"),
        ({"chosen": None}, "chosen"),
        ({"rejected": {"bytes": b"", "path": "gone.wav"}}, "rejected"),
        ({"rejected": {"bytes": None, "path": "../outside.wav"}}, "rejected"),
        ({"rejected": {"bytes": b"good", "path": "2.wav"}}, "rejected"),  # the chosen one again
    ],
)
def test_rows_that_are_refused(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    (tmp_path / "outside.wav").write_text("x")
    root = tmp_path / "root"
    root.mkdir()
    _write(root, {}, change, {})
    with pytest.raises(BadRowError, match=rf"row 1, field '{field}'"):
        _read(root)
    bad_rows = BadRows(skip=True)
    assert [sample.provenance["row"] for sample in _read(root, bad_rows)] == ["0", "2"]
    assert [(error.row, error.field) for error in bad_rows.errors] == [(1, field)]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"captions": ["A", "B"]}, "captions"),
        ({"chosen": "/etc/passwd"}, "chosen"),
        ({"reject": "wavs/a.wav"}, "reject"),
        ({"reject": None}, "reject"),
    ],
)
def test_rows_of_tangoflux_that_are_refused(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    _write_flux(tmp_path, {}, change)
    with pytest.raises(BadRowError, match=rf"row 1, field '{field}'"):
        _read(tmp_path)


def test_pairs_of_another_source_are_not_taken(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([{"prompt": "p", "chosen": "x", "rejected": "y"}]), tmp_path / "a.parquet")
    assert DATASET.recognises(tmp_path) is False
    with pytest.raises(SourceError, match="strategy"):
        _read(tmp_path)
