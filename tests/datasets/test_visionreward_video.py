"""VisionRewardDB-Video: answers whose words are not documented, archives without known names, rows that are refused."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omnireward.datasets.visionreward_video import DATASET
from omnireward.errors import BadRowError, RecipeError, SourceError
from omnireward.sources import BadRows
from omnireward.types import Media, Sample, Task, Text, Turn

ROW = {
    "internal_id": "7",
    "prompt": "A lamp.",
    "standard_answer": "video1",
    "video1_path": "v/x.mp4",
    "video2_path": "v/y.mp4",
}


def _write(root: Path, *changes: dict[str, Any], folder: str = "regression") -> None:
    (root / folder).mkdir(exist_ok=True)
    schema = pa.schema([(name, pa.string()) for name in ROW])
    table = pa.Table.from_pylist([ROW | change for change in changes], schema)
    pq.write_table(table, root / folder / "train-00000-of-00001.parquet")


def _answers(root: Path, *answers: str | None, folder: str = "regression") -> None:
    _write(root, *({"standard_answer": answer} for answer in answers), folder=folder)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "v").mkdir()
    for name in ("x.mp4", "y.mp4"):
        (tmp_path / "v" / name).write_text(name)
    return tmp_path


def _read(root: Path, settings: str = "", bad_rows: BadRows | None = None) -> list[Sample]:
    return list(DATASET.read(f"{root}{settings}", bad_rows or BadRows()))


def _said(samples: list[Sample]) -> list[str]:
    return [sample.preference for sample in samples]


def test_words_that_say_what_they_mean(root: Path) -> None:
    _answers(root, "video1", "video2", "tie")
    samples = _read(root)
    assert _said(samples) == ["a", "b", "tie"]
    first = samples[0]
    file = "regression/train-00000-of-00001.parquet"
    assert (first.id, first.task, first.groups) == (f"{file}:0", Task.T2V, ("regression",))
    assert first.comparison.prompt == (Turn("user", (Text("A lamp."),)),)
    assert first.comparison.response_a == (Media("video", root / "v" / "x.mp4"),)
    assert first.comparison.response_b == (Media("video", root / "v" / "y.mp4"),)
    stated = {key: value for key, value in ROW.items() if key != "prompt"}
    assert first.provenance == stated | {"file": file, "row": "0"}
    assert len({sample.id for sample in samples}) == 3  # although internal_id is the same


def test_other_words_are_shown_and_refused(root: Path) -> None:
    _answers(root, "0", "1", "0", "video1", None)
    with pytest.raises(SourceError, match=r"'0' \(2 times\), '1' \(1 times\), None \(1 times\)\. Say what"):
        _read(root, "", BadRows(skip=True))


def test_ever_new_words_do_not_fill_the_message(root: Path) -> None:
    _answers(root, *(f"{i} " * 1000 for i in range(500)))
    with pytest.raises(SourceError, match=r"others \(480 times\)") as caught:
        _read(root)
    assert len(str(caught.value)) < 2000


def test_the_settings_say_what_words_mean(root: Path) -> None:
    _answers(root, "1", "0", "2", "same")
    bad_rows = BadRows(skip=True)
    assert _said(_read(root, "?a=0&b=1&tie=2", bad_rows)) == ["b", "a", "tie"]
    assert [(error.row, error.field) for error in bad_rows.errors] == [(3, "standard_answer")]
    with pytest.raises(BadRowError, match="is '2'; known are 0, 1"):
        _read(root, "?a=0&b=1")


def test_the_settings_may_turn_plain_words_round(root: Path) -> None:
    """Whoever knows that the answer names the worse video can say so."""
    _answers(root, "video1")
    assert _said(_read(root, "?a=video2&b=video1")) == ["b"]


@pytest.mark.parametrize("settings", ["?a=0", "?tie=0", "?a=0&b=0", "?a=0&b=1&tie=1"])
def test_half_said_or_contradicting_words(root: Path, settings: str) -> None:
    _answers(root, "0")
    with pytest.raises(RecipeError, match="a=… and b=…"):
        _read(root, settings)


def test_configs(root: Path) -> None:
    _answers(root, "video1")
    _answers(root, "video2", "video2", folder="monetbench")
    assert [sample.groups for sample in _read(root)] == [("regression",)]
    assert [(sample.groups, sample.preference) for sample in _read(root, "?config=test")] == [(("test",), "b")] * 2
    with pytest.raises(RecipeError, match="no preference follows"):
        _read(root, "?config=train")
    with pytest.raises(RecipeError, match="regression, test; got 'dev'"):
        _read(root, "?config=dev")


def test_a_config_that_is_not_there(root: Path) -> None:
    _answers(root, "video1")
    with pytest.raises(SourceError, match=r"no test .* no monetbench/\*\.parquet"):
        _read(root, "?config=test")


def test_the_folder_of_a_config_alone(root: Path) -> None:
    _answers(root, "video1")
    (root / "v").rename(root / "regression" / "v")
    assert _said(_read(root / "regression")) == ["a"]


def test_a_file_alone(root: Path) -> None:
    _answers(root, "tie")
    (root / "v").rename(root / "regression" / "v")
    (sample,) = _read(root / "regression" / "train-00000-of-00001.parquet")
    assert sample.id == "train-00000-of-00001.parquet:0"


def test_single_videos_with_marks_are_not_recognised(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    row = {"video_path": "x.mp4", "internal_id": "1", "prompt": "p", "url": "", "annotation": {"lighting aes": 1}}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "train" / "train-00000-of-00001.parquet")
    assert DATASET.recognises(tmp_path) is False


@pytest.mark.parametrize("inside", ["v/", "some_videos/v/"], ids=["flat", "with a top folder"])
def test_archives_are_opened_until_the_video_is_there(tmp_path: Path, inside: str) -> None:
    _answers(tmp_path, "video1")
    (tmp_path / "a_first.zip").write_bytes(b"")
    with zipfile.ZipFile(tmp_path / "a_first.zip", "w") as archive:
        archive.writestr("other.mp4", "other")
    with zipfile.ZipFile(tmp_path / "some_videos.zip", "w") as archive:
        for name in ("x.mp4", "y.mp4"):
            archive.writestr(f"{inside}{name}", name)
    (tmp_path / "z_last.zip").write_bytes(b"broken, but not needed")
    (sample,) = _read(tmp_path)
    (video,) = sample.comparison.response_a
    assert isinstance(video, Media)
    assert isinstance(video.source, Path)
    assert video.source.read_text() == "x.mp4"


def test_no_archive_is_opened_for_a_name_that_leads_out(root: Path) -> None:
    _write(root, {"video1_path": "../x.mp4"})
    (root / "videos.zip").write_bytes(b"broken")
    with pytest.raises(BadRowError, match="not a path below"):
        _read(root)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt": None}, "prompt"),
        ({"video1_path": None}, "video1_path"),
        ({"video1_path": ""}, "video1_path"),
        ({"video2_path": "gone.mp4"}, "video2_path"),
        ({"video2_path": "v/x.mp4"}, "video2_path"),
        ({"video2_path": "/etc/passwd"}, "video2_path"),
    ],
)
def test_rows_that_are_refused(root: Path, change: dict[str, Any], field: str) -> None:
    _write(root, {}, change, {})
    with pytest.raises(BadRowError, match=rf"row 1, field '{field}'"):
        _read(root)
    bad_rows = BadRows(skip=True)
    assert [sample.provenance["row"] for sample in _read(root, "", bad_rows)] == ["0", "2"]
    assert [(error.row, error.field) for error in bad_rows.errors] == [(1, field)]
