"""SpeechJudge: labels, marks, the flag that is no answer, splits, and rows that are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omnireward.datasets.speechjudge import DATASET, WORDS
from omnireward.errors import BadRowError, RecipeError, SourceError
from omnireward.sources import BadRows
from omnireward.types import Media, Sample, Task, Text, Turn

ROW = {
    "index": 7,
    "subset": "expressive",
    "language_setting": "en2zh",
    "chosen": True,
    "prompt": {"bytes": b"voice", "path": "p.wav"},
    "prompt_text": "This is my voice.",
    "target_text": "Read me.",
    "audioA": {"bytes": b"one", "path": "a.wav"},
    "audioB": {"bytes": b"two", "path": "b.wav"},
    "rater": ["rater01", "rater05", "rater06"],
    "audioA_text_accuracy": [1, 0, 1],
    "audioB_text_accuracy": [1, 1, 1],
    "naturalness_annotation": ["A+1", "A+2", "Tie (both very good)"],
    "naturalness_label": "A",
    "gemini-2.5-flash": None,
}
AUDIO = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
TYPES: dict[str, pa.DataType] = {
    "index": pa.int64(),
    "chosen": pa.bool_(),
    "prompt": AUDIO,
    "audioA": AUDIO,
    "audioB": AUDIO,
    "rater": pa.list_(pa.string()),
    "naturalness_annotation": pa.list_(pa.string()),
    "audioA_text_accuracy": pa.list_(pa.int64()),
    "audioB_text_accuracy": pa.list_(pa.int64()),
}
SCHEMA = pa.schema([(name, TYPES.get(name, pa.string())) for name in ROW])


def _write(root: Path, *changes: dict[str, Any], split: str = "train") -> None:
    (root / "data").mkdir(exist_ok=True)
    table = pa.Table.from_pylist([ROW | change for change in changes], SCHEMA)
    pq.write_table(table, root / "data" / f"{split}-00000-of-00001.parquet")


def _read(root: Path, settings: str = "", bad_rows: BadRows | None = None) -> list[Sample]:
    return list(DATASET.read(f"{root}{settings}", bad_rows or BadRows()))


def test_row_becomes_sample(tmp_path: Path) -> None:
    _write(tmp_path, {})
    (sample,) = _read(tmp_path)
    assert (sample.id, sample.task) == ("data/train-00000-of-00001.parquet:0:naturalness", Task.TA2A)
    assert sample.preference == "a"
    voice, text = Media("audio", b"voice"), "Read this text aloud in the voice of the recording: Read me."
    assert sample.comparison.prompt == (Turn("user", (voice, Text(text))),)
    assert sample.comparison.response_a == (Media("audio", b"one"),)
    assert sample.comparison.response_b == (Media("audio", b"two"),)
    assert sample.comparison.criterion == WORDS["naturalness"]
    assert sample.groups == ("expressive", "en2zh", "naturalness")
    assert sample.provenance["naturalness_annotation"] == "A+1; A+2; Tie (both very good)"
    assert (sample.provenance["index"], sample.provenance["agreed"]) == ("7", "true")


@pytest.mark.parametrize("flag", [True, False, None])
@pytest.mark.parametrize(("label", "preference"), [("A", "a"), ("B", "b"), ("Tie", "tie")])
def test_the_flag_chosen_does_not_choose(tmp_path: Path, flag: bool | None, label: str, preference: str) -> None:
    _write(tmp_path, {"chosen": flag, "naturalness_label": label})
    assert [sample.preference for sample in _read(tmp_path)] == [preference]


def test_only_rows_whose_people_agree(tmp_path: Path) -> None:
    _write(tmp_path, {}, {"chosen": False}, {})
    assert [sample.provenance["row"] for sample in _read(tmp_path, "?agreed=yes")] == ["0", "2"]


def test_intelligibility_is_the_share_without_a_mistake(tmp_path: Path) -> None:
    """2 of 3 people against 3 of 3: a third apart."""
    _write(tmp_path, {})
    natural, clear = _read(tmp_path, "?criterion=both")
    assert (natural.preference, clear.preference) == ("a", "b")
    assert natural.cluster == clear.cluster
    assert clear.comparison.criterion == WORDS["intelligibility"]
    assert clear.provenance["score_a"] == repr(2 / 3)
    assert clear.provenance["audioA_text_accuracy"] == "1 0 1"
    assert [s.preference for s in _read(tmp_path, "?criterion=intelligibility&margin=0.4")] == ["tie"]
    assert _read(tmp_path, "?criterion=intelligibility&margin=0.4&ties=no") == []


def test_without_the_words_and_the_voice(tmp_path: Path) -> None:
    _write(tmp_path, {})
    (sample,) = _read(tmp_path, "?worded=no&reference=no")
    assert (sample.task, sample.comparison.criterion) == (Task.T2A, "")
    assert sample.comparison.prompt == (Turn("user", (Text("Read this text aloud: Read me."),)),)


def test_the_benchmarks_split_is_read_only_when_asked_for(tmp_path: Path) -> None:
    _write(tmp_path, {})
    _write(tmp_path, {}, {}, split="test")
    _write(tmp_path, {"naturalness_label": "Tie"}, split="other")
    assert len(_read(tmp_path)) == 1
    assert len(_read(tmp_path, "?split=test")) == 2
    assert [sample.preference for sample in _read(tmp_path, "?split=other")] == ["tie"]
    assert _read(tmp_path, "?split=other&ties=no") == []
    with pytest.raises(SourceError, match="no files of the split dev; there are other-00000"):
        _read(tmp_path, "?split=dev")
    assert len(_read(tmp_path / "data" / "test-00000-of-00001.parquet")) == 2  # a file is read whatever its name


@pytest.mark.parametrize("settings", ["?split=all", "?criterion=tone", "?margin=-1", "?agreed=maybe"])
def test_settings_that_do_not_exist(tmp_path: Path, settings: str) -> None:
    with pytest.raises(RecipeError):
        _read(tmp_path, settings)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"naturalness_label": "C"}, "naturalness_label"),
        ({"naturalness_label": "tie"}, "naturalness_label"),  # another spelling may mean another thing
        ({"naturalness_label": None}, "naturalness_label"),
        ({"target_text": ""}, "target_text"),
        ({"prompt": None}, "prompt"),
        ({"audioB": {"bytes": None, "path": "../b.wav"}}, "audioB"),
        ({"audioB": {"bytes": b"one", "path": "c.wav"}}, "audioB"),
        ({"audioA_text_accuracy": []}, "audioA_text_accuracy"),
        ({"audioA_text_accuracy": None}, "audioA_text_accuracy"),
        ({"audioA_text_accuracy": [1, 2, 1]}, "audioA_text_accuracy"),
        ({"audioB_text_accuracy": [1]}, "audioB_text_accuracy"),
    ],
)
def test_rows_that_are_refused(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    _write(tmp_path, {}, change, {})
    with pytest.raises(BadRowError, match=rf"row 1, field '{field}'"):
        _read(tmp_path, "?criterion=both")
    bad_rows = BadRows(skip=True)
    rows = [sample.provenance["row"] for sample in _read(tmp_path, "?criterion=both", bad_rows)]
    assert rows == ["0", "0", "2", "2"]
    assert [(error.row, error.field) for error in bad_rows.errors] == [(1, field)]
