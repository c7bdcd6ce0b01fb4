"""RLAIF-V: pictures in the rows or beside them, ids that repeat, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omnireward.datasets.rlaif_v import DATASET
from omnireward.errors import BadRowError, SourceError
from omnireward.sources import BadRows
from omnireward.types import Media, Sample, Task, Text, Turn

ROW = {
    "ds_name": "RLAIF-V",
    "image": {"bytes": b"picture", "path": "12.jpg"},
    "question": "What is shown?",
    "chosen": "A square.",
    "rejected": "A cat.",
    "origin_dataset": "MSCOCO",
    "origin_split": json.dumps({"model": "llava-v1.5-7b", "type": "detail"}),
    "idx": "12",
    "image_path": "12.jpg",
}
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
SCHEMA = pa.schema([(name, IMAGE if name == "image" else pa.string()) for name in ROW])


def _write(root: Path, *changes: dict[str, Any], shard: int = 0, schema: pa.Schema = SCHEMA) -> Path:
    table = pa.Table.from_pylist([ROW | change for change in changes], schema)
    pq.write_table(table, root / f"RLAIF-V-Dataset_{shard:03}.parquet")
    return root


def _read(root: Path, bad_rows: BadRows | None = None) -> list[Sample]:
    return list(DATASET.read(str(root), bad_rows or BadRows()))


def test_row_becomes_sample(tmp_path: Path) -> None:
    (sample,) = _read(_write(tmp_path, {}))
    assert (sample.id, sample.task, sample.preference) == ("RLAIF-V-Dataset_000.parquet:0", Task.TI2T, "a")
    assert sample.comparison.prompt == (Turn("user", (Media("image", b"picture"), Text("What is shown?"))),)
    assert (sample.comparison.response_a, sample.comparison.response_b) == ((Text("A square."),), (Text("A cat."),))
    assert sample.groups == ("MSCOCO",)
    assert sample.provenance == {
        "ds_name": "RLAIF-V",
        "origin_dataset": "MSCOCO",
        "origin_split": ROW["origin_split"],
        "image_path": "12.jpg",
        "idx": "12",
        "model": "llava-v1.5-7b",
        "file": "RLAIF-V-Dataset_000.parquet",
        "row": "0",
    }


def test_a_picture_that_recurs_is_one_cluster(tmp_path: Path) -> None:
    """The same question is asked of several models; another picture of the same name is another prompt."""
    other = {"image": {"bytes": b"other", "path": "12.jpg"}}
    _write(tmp_path, {}, {"chosen": "A big square."}, other)
    _write(tmp_path, {}, shard=1)
    samples = _read(tmp_path)
    assert len({sample.id for sample in samples}) == 4
    assert [sample.provenance["idx"] for sample in samples] == ["12"] * 4
    first, second, third, fourth = (sample.cluster for sample in samples)
    assert first == second == fourth != third


@pytest.mark.parametrize(
    "change",
    [
        {"image": {"bytes": None, "path": "a/p.png"}},
        {"image": None, "image_path": "a/p.png"},
        {"image": {"bytes": None, "path": None}, "image_path": "a/p.png"},
    ],
    ids=["path in the cell", "null", "empty cell"],
)
def test_pictures_beside_the_rows(tmp_path: Path, change: dict[str, Any]) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "p.png").write_bytes(b"picture")
    (sample,) = _read(_write(tmp_path, change))
    assert sample.comparison.prompt[0].content[0] == Media("image", tmp_path / "a" / "p.png")


def test_a_placeholder_in_a_question_stays_text(tmp_path: Path) -> None:
    (sample,) = _read(_write(tmp_path, {"question": "What does <image> mean in HTML?"}))
    assert sample.comparison.prompt[0].content[1] == Text("What does <image> mean in HTML?")


@pytest.mark.parametrize("origin", ["not JSON", "[1]", '{"model": 3}', '{"model": "\\ud800"}', None, "[" * 100_000])
def test_an_origin_that_names_no_model(tmp_path: Path, origin: str | None) -> None:
    (sample,) = _read(_write(tmp_path, {"origin_split": origin}))
    assert sample.provenance["model"] == ""
    assert sample.provenance["origin_split"] == (origin or "")


def test_an_idx_that_is_a_number(tmp_path: Path) -> None:
    schema = SCHEMA.set(SCHEMA.get_field_index("idx"), pa.field("idx", pa.int64()))
    (sample,) = _read(_write(tmp_path, {"idx": 12}, schema=schema))
    assert sample.provenance["idx"] == "12"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"question": None}, "question"),
        ({"chosen": None}, "chosen"),
        ({"rejected": "A square."}, "rejected"),
        ({"image": None, "image_path": None}, "image"),
        ({"image": None, "image_path": "missing.jpg"}, "image_path"),
        ({"image": None, "image_path": "../secret.jpg"}, "image_path"),
        ({"image": {"bytes": None, "path": "/etc/passwd"}}, "image"),
        ({"image": {"bytes": b"", "path": ""}, "image_path": ""}, "image"),
    ],
)
def test_rows_that_are_refused(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    (tmp_path / "secret.jpg").write_bytes(b"not yours")
    root = tmp_path / "set"
    root.mkdir()
    _write(root, {}, change)
    with pytest.raises(BadRowError, match=rf"parquet, row 1, field '{field}'"):
        _read(root)
    bad_rows = BadRows(skip=True)
    assert len(_read(root, bad_rows)) == 1
    assert [(error.row, error.field) for error in bad_rows.errors] == [(1, field)]


def test_other_tables_are_not_rlaif_v(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"prompt": ["?"], "images": ["x"], "chosen": ["a"], "rejected": ["b"]}), tmp_path / "t.parquet"
    )
    assert not DATASET.recognises(tmp_path)
    with pytest.raises(SourceError, match="holds no RLAIF-V"):
        _read(tmp_path)
