"""UltraFeedback binarized: splits for preferences only, equal scores, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omnireward.datasets.ultrafeedback_binarized import DATASET
from omnireward.errors import BadRowError, RecipeError, SourceError
from omnireward.sources import BadRows
from omnireward.types import Sample, Task, Text, Turn

ASKED = {"role": "user", "content": "Name a colour."}
TURNS = pa.list_(pa.struct([("content", pa.string()), ("role", pa.string())]))
SCHEMA = pa.schema(
    {name: pa.string() for name in ("prompt", "prompt_id")}
    | dict.fromkeys(("chosen", "rejected", "messages"), TURNS)
    | {name: pa.float64() for name in ("score_chosen", "score_rejected")}
)


def _said(text: str) -> list[dict[str, str]]:
    return [ASKED, {"role": "assistant", "content": text}]


def _row(**change: Any) -> dict[str, Any]:
    told = {"prompt": ASKED["content"], "prompt_id": "p1", "messages": _said("Green.")}
    scores = {"score_chosen": 8.5, "score_rejected": 6.0}
    return {**told, **scores, "chosen": _said("Green."), "rejected": _said("A table."), **change}


def _write(root: Path, *table: dict[str, Any], split: str = "train_prefs") -> Path:
    (root / "data").mkdir(exist_ok=True)
    path = root / "data" / f"{split}-00000-of-00001.parquet"
    pq.write_table(pa.Table.from_pylist(list(table), SCHEMA), path)
    return root


def _read(root: Path, settings: str = "", bad_rows: BadRows | None = None) -> list[Sample]:
    return list(DATASET.read(f"{root}{settings}", bad_rows or BadRows()))


def test_row_becomes_sample(tmp_path: Path) -> None:
    (sample,) = _read(_write(tmp_path, _row()))
    file = "data/train_prefs-00000-of-00001.parquet"
    assert (sample.id, sample.task, sample.preference) == (f"{file}:0", Task.T2T, "a")
    assert sample.comparison.prompt == (Turn("user", (Text("Name a colour."),)),)
    assert (sample.comparison.response_a, sample.comparison.response_b) == ((Text("Green."),), (Text("A table."),))
    assert sample.groups == ("train",)
    scores = {"score_a": "8.5", "score_b": "6.0"}
    assert sample.provenance == {
        "prompt_id": "p1",
        "split": "train",
        "system": "",
        **scores,
        "file": file,
        "row": "0",
    }


def test_equal_scores_are_a_tie(tmp_path: Path) -> None:
    root = _write(tmp_path, _row(score_rejected=8.5), _row(score_rejected=8.0), _row())
    assert [sample.preference for sample in _read(root)] == ["tie", "a", "a"]
    assert [sample.preference for sample in _read(root, "?margin=1")] == ["tie", "tie", "a"]
    assert [sample.provenance["row"] for sample in _read(root, "?margin=1&ties=no")] == ["2"]


def test_only_the_rows_for_preferences_are_read(tmp_path: Path) -> None:
    for split in ("train_prefs", "train_sft", "train_gen", "test_prefs", "test_sft", "test_gen"):
        _write(tmp_path, _row(prompt_id=split), split=split)
    assert [sample.provenance["prompt_id"] for sample in _read(tmp_path)] == ["train_prefs"]
    assert [sample.provenance["prompt_id"] for sample in _read(tmp_path, "?split=test")] == ["test_prefs"]
    both = _read(tmp_path, "?split=all")
    assert [sample.groups for sample in both] == [("train",), ("test",)]
    assert len({sample.id for sample in both}) == 2


def test_a_split_that_is_not_there(tmp_path: Path) -> None:
    _write(tmp_path, _row(), split="test_prefs")
    with pytest.raises(SourceError, match=r"of the split train.*It has the split test"):
        _read(tmp_path)


def test_rows_of_another_split_are_not_recognised(tmp_path: Path) -> None:
    assert not DATASET.recognises(_write(tmp_path, _row(), split="train_sft"))


@pytest.mark.parametrize("settings", ["?split=dev", "?score=fine", "?margin=-1"])
def test_settings_that_are_refused(tmp_path: Path, settings: str) -> None:
    with pytest.raises(RecipeError):
        _read(_write(tmp_path, _row()), settings)


def test_two_answers_that_say_the_same_are_no_pair(tmp_path: Path) -> None:
    assert (
        _read(_write(tmp_path, _row(rejected=_said("Green.")), _row(rejected=_said("Green."), score_rejected=8.5)))
        == []
    )


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"score_rejected": 9.0}, "score_rejected"),
        ({"score_rejected": None}, "score_rejected"),
        ({"score_chosen": float("nan")}, "score_chosen"),
        ({"score_chosen": float("inf")}, "score_chosen"),
        ({"chosen": None}, "chosen"),
        ({"rejected": [{"role": "user", "content": "Other?"}, {"role": "assistant", "content": "x"}]}, "rejected"),
    ],
)
def test_rows_that_are_refused(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    root = _write(tmp_path, _row(), _row(**change))
    with pytest.raises(BadRowError, match=rf"parquet, row 1, field '{field}'"):
        _read(root)
    bad_rows = BadRows(skip=True)
    assert len(_read(root, "", bad_rows)) == 1
    assert [(error.row, error.field) for error in bad_rows.errors] == [(1, field)]
