"""Open Image Preferences: binarized rows, ids that come twice, and rows that are refused."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omnireward.datasets.open_image_preferences import DATASET
from omnireward.errors import BadRowError, SourceError
from omnireward.sources import BadRows
from omnireward.types import Media, Sample, Task, Text, Turn

ROW = {
    "id": "3368-quality",
    "prompt": "A lamp.",
    "chosen": {"bytes": b"good", "path": None},
    "rejected": {"bytes": b"bad", "path": None},
    "chosen_model": "black-forest-labs/FLUX.1-dev",
    "rejected_model": "stabilityai/stable-diffusion-3.5-large",
    "evolution": "quality",
    "category": "Cinematic",
    "sub_category": "Indoors",
}
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
SCHEMA = pa.schema([(name, IMAGE if name in ("chosen", "rejected") else pa.string()) for name in ROW])


def _write(root: Path, *changes: dict[str, Any], shard: str = "0") -> None:
    (root / "data").mkdir(exist_ok=True)
    table = pa.Table.from_pylist([ROW | change for change in changes], SCHEMA)
    pq.write_table(table, root / "data" / f"train-0000{shard}-of-00002.parquet")


def _read(root: Path, bad_rows: BadRows | None = None) -> list[Sample]:
    return list(DATASET.read(str(root), bad_rows or BadRows()))


def _ids(samples: Iterable[Sample]) -> list[str]:
    return [sample.id for sample in samples]


def test_row_becomes_sample(tmp_path: Path) -> None:
    _write(tmp_path, {})
    (sample,) = _read(tmp_path)
    assert (sample.id, sample.task, sample.preference) == ("data/train-00000-of-00002.parquet:0", Task.T2I, "a")
    assert sample.comparison.prompt == (Turn("user", (Text("A lamp."),)),)
    assert sample.comparison.response_a == (Media("image", b"good"),)
    assert sample.comparison.response_b == (Media("image", b"bad"),)
    assert sample.groups == ("quality", "Cinematic")
    stated = {key: value for key, value in ROW.items() if key not in ("prompt", "chosen", "rejected")}
    assert sample.provenance == stated | {"file": "data/train-00000-of-00002.parquet", "row": "0"}


def test_ids_that_come_twice_and_shards(tmp_path: Path) -> None:
    _write(tmp_path, {}, {"evolution": "simplified"})
    _write(tmp_path, {}, shard="1")
    samples = _read(tmp_path)
    assert _ids(samples) == [
        f"data/train-0000{shard}-of-00002.parquet:{row}" for shard, row in ((0, 0), (0, 1), (1, 0))
    ]
    assert [sample.provenance["id"] for sample in samples] == ["3368-quality"] * 3
    assert len({sample.cluster for sample in samples}) == 1


def test_images_beside_the_rows(tmp_path: Path) -> None:
    """The column may hold a path alone."""
    for name in ("good.png", "bad.png"):
        (tmp_path / name).write_text(name)
    paths = {key: {"bytes": None, "path": f"{name}.png"} for key, name in (("chosen", "good"), ("rejected", "bad"))}
    _write(tmp_path, paths)
    (sample,) = _read(tmp_path)
    assert sample.comparison.response_a == (Media("image", tmp_path / "good.png"),)


def test_what_is_not_stated_is_empty(tmp_path: Path) -> None:
    _write(tmp_path, {"category": None, "sub_category": None, "id": None})
    (sample,) = _read(tmp_path)
    assert sample.groups == ("quality",)
    assert sample.provenance["category"] == sample.provenance["id"] == ""


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt": None}, "prompt"),
        ({"chosen": None}, "chosen"),
        ({"rejected": {"bytes": None, "path": None}}, "rejected"),
        ({"rejected": {"bytes": b"", "path": ""}}, "rejected"),
        ({"rejected": {"bytes": None, "path": "gone.png"}}, "rejected"),
        ({"rejected": {"bytes": None, "path": "../outside.png"}}, "rejected"),
        ({"rejected": {"bytes": b"good", "path": "x.png"}}, "rejected"),  # the chosen one again
    ],
)
def test_rows_that_are_refused(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    (tmp_path / "outside.png").write_text("x")
    root = tmp_path / "root"
    root.mkdir()
    _write(root, {}, change, {})
    with pytest.raises(BadRowError, match=rf"row 1, field '{field}'"):
        _read(root)
    bad_rows = BadRows(skip=True)
    assert [sample.provenance["row"] for sample in _read(root, bad_rows)] == ["0", "2"]
    assert [(error.row, error.field) for error in bad_rows.errors] == [(1, field)]


def test_the_raw_votes_are_another_source(tmp_path: Path) -> None:
    pq.write_table(
        pa.Table.from_pylist([{"id": "1", "prompt": "p", "chosen": "x", "rejected": "y"}]), tmp_path / "a.parquet"
    )
    assert DATASET.recognises(tmp_path) is False
    with pytest.raises(SourceError, match="chosen_model, evolution"):
        _read(tmp_path)
