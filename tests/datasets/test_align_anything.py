"""align-anything: every known shape, media in archives and parts of them, unknown shapes, and rows that are refused."""

from __future__ import annotations

import io
import json
import logging
import tarfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omnireward.datasets.align_anything import DATASET
from omnireward.errors import BadRowError, RecipeError, SourceError
from omnireward.sources import BadRows
from omnireward.types import Media, Sample, Task, Text, Turn


def _cell(data: bytes) -> dict[str, Any]:
    return {"bytes": data, "path": None}


TEXTS = {"response_1": "One.", "response_2": "Two."}
AUDIO = {
    "prompt": "A hum.",
    "response_1": _cell(b"one"),
    "response_2": _cell(b"two"),
    "res_1_from": "m1",
    "res_2_from": "m2",
    "p_audio": 1,
    "prompt_following_rate_1": 3,
    "prompt_following_rate_2": 2,
    "o_audio": 2,
    "audio_quality_rate_1": 1,
    "audio_quality_rate_2": 2,
    "overall_audio": 2,
}
VIDEO = {"prompt": "What is seen?\n<video>", "video_path": "./videos/7.mp4", **TEXTS, "overall_response": 1}
MIXED = {
    "input_text": "Draw it.",
    "input_image": "images/in.png",
    "better_text": "Here.",
    "better_img": ["images/1.png", "images/2.png"],
    "worse_text": "No.",
    "worse_img": None,
}


def _parquet(root: Path, config: str, *rows: dict[str, Any], name: str = "train.parquet") -> None:
    (root / config).mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), root / config / name)


def _json(root: Path, config: str, *rows: dict[str, Any], name: str = "train_10k.json") -> None:
    (root / config).mkdir(parents=True, exist_ok=True)
    (root / config / name).write_text(json.dumps(rows))


def _files(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)


def _read(root: Path, settings: str = "", bad_rows: BadRows | None = None) -> list[Sample]:
    return list(DATASET.read(f"{root}{settings}", bad_rows or BadRows()))


def test_sounds(tmp_path: Path) -> None:
    _parquet(tmp_path, "text-to-audio", AUDIO)
    (sample,) = _read(tmp_path)
    assert (sample.id, sample.task, sample.preference) == ("text-to-audio/train.parquet:0", Task.T2A, "b")
    assert sample.comparison.prompt == (Turn("user", (Text("A hum."),)),)
    assert sample.comparison.response_a == (Media("audio", b"one"),)
    assert sample.comparison.response_b == (Media("audio", b"two"),)
    assert (sample.comparison.criterion, sample.groups) == ("", ("text-to-audio", "overall"))
    assert (sample.provenance["res_1_from"], sample.provenance["res_2_from"]) == ("m1", "m2")


def test_questions_besides_the_overall_one(tmp_path: Path) -> None:
    """o_audio is about sound here; the same letter is about truth where the marks are called objective_rules."""
    _parquet(tmp_path, "text-to-audio", AUDIO)
    marks = {"o_response": 1, "objective_rules_rate_1": 3, "objective_rules_rate_2": 1, "c_response": 2}
    _parquet(tmp_path, "text-to-text", {"prompt": "Hi.", **TEXTS, **marks, "overall_response": 1})
    samples = {
        sample.id.partition("parquet:")[2] + sample.task.short: sample for sample in _read(tmp_path, "?dimensions=yes")
    }
    assert {name: sample.preference for name, sample in samples.items()} == {
        "0T2T": "a",
        "0:objective_rulesT2T": "a",  # c_response has no marks beside it, so what it is about is unknown
        "0T2A": "b",
        "0:prompt_followingT2A": "a",
        "0:audio_qualityT2A": "b",
    }
    quality = samples["0:audio_qualityT2A"]
    assert quality.provenance["audio_quality_rate_1"] == "1"
    assert quality.cluster == samples["0T2A"].cluster
    assert "noise" in quality.comparison.criterion
    assert "true" in samples["0:objective_rulesT2T"].comparison.criterion


@pytest.mark.parametrize(
    ("config", "row", "prompt", "responses"),
    [
        (
            "text-to-text",
            {"prompt": "Hi.", **TEXTS, "overall_response": 1},
            (Text("Hi."),),
            (Text("One."), Text("Two.")),
        ),
        (
            "text-image-to-text",
            {"question": "What?", "image": _cell(b"i"), **TEXTS, "overall_response": 1},
            (Media("image", b"i"), Text("What?")),
            (Text("One."), Text("Two.")),
        ),
        (
            "text-audio-to-text",
            {"prompt": "What?", "audio_path": _cell(b"s"), **TEXTS, "overall_response": 1},
            (Media("audio", b"s"), Text("What?")),
            (Text("One."), Text("Two.")),
        ),
        (
            "text-to-image",
            {"prompt": "A lamp.", "image_1": _cell(b"1"), "image_2": _cell(b"2"), "overall_image": 1},
            (Text("A lamp."),),
            (Media("image", b"1"), Media("image", b"2")),
        ),
        (
            "text-to-video",
            {"prompt": "A lamp.", "video_1": _cell(b"1"), "video_2": _cell(b"2"), "overall_video": 1},
            (Text("A lamp."),),
            (Media("video", b"1"), Media("video", b"2")),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_configs(tmp_path: Path, config: str, row: dict[str, Any], prompt: Any, responses: Any) -> None:
    _parquet(tmp_path, config, row)
    for place in (tmp_path, tmp_path / config, tmp_path / config / "train.parquet"):
        (sample,) = _read(place)
        assert sample.task.value.replace("_", "-") == config
        assert (sample.comparison.prompt[0].content, sample.preference) == (prompt, "a")
        assert (*sample.comparison.response_a, *sample.comparison.response_b) == responses
    assert DATASET.recognises(tmp_path)


def test_video_in_an_archive_is_unpacked_when_needed(tmp_path: Path) -> None:
    _json(tmp_path, "text-video-to-text", VIDEO)
    with tarfile.open(tmp_path / "text-video-to-text" / "videos.tar.gz", "w:gz") as archive:
        entry = tarfile.TarInfo("videos/7.mp4")
        entry.size = 4
        archive.addfile(entry, io.BytesIO(b"clip"))
    (sample,) = _read(tmp_path)
    video, text = sample.comparison.prompt[0].content
    assert isinstance(video, Media)
    assert isinstance(video.source, Path)
    assert video.source.read_bytes() == b"clip"
    assert text == Text("What is seen?")


def test_videos_in_an_archive_that_was_cut_into_parts(tmp_path: Path) -> None:
    """As published: videos.tar.gz0, videos.tar.gz1, …; here eleven, so that 10 must come after 9."""
    row = {"prompt": "A lamp.", "video_1_path": "./1.mp4", "video_2_path": "./2.mp4", "overall_video": 2}
    _json(tmp_path, "text-to-video", row, name="9k_train.json")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in ("1.mp4", "2.mp4"):
            entry = tarfile.TarInfo(name)
            entry.size = 5
            archive.addfile(entry, io.BytesIO(name.encode()))
    data, size = buffer.getvalue(), len(buffer.getvalue()) // 10
    for number in range(11):
        part = data[number * size : (number + 1) * size]
        (tmp_path / "text-to-video" / f"videos.tar.gz{number}").write_bytes(part)
    (sample,) = _read(tmp_path)
    (video,) = sample.comparison.response_b
    assert sample.preference == "b"
    assert isinstance(video, Media)
    assert video.source == tmp_path / "text-to-video" / "videos" / "2.mp4"


def test_words_and_pictures(tmp_path: Path) -> None:
    home = "text-image-to-text-image"
    _files(tmp_path / home, "images/in.png", "images/1.png", "images/2.png")
    other = {
        "question": "Draw it.",
        "image_url": "images/in.png",
        "response_1": "No.",
        "output_image_url_1": "",
        "response_2": "",
        "output_image_url_2": "images/2.png",
        "overall_response": 2,
    }
    _json(tmp_path, home, MIXED, name="a.json")
    _json(tmp_path, home, other, name="b.json")
    first, second = _read(tmp_path)
    given, one, two = (Media("image", tmp_path / home / "images" / f"{name}.png") for name in ("in", "1", "2"))
    for sample in (first, second):
        assert (sample.task, sample.comparison.prompt[0].content) == (Task.TI2TI, (given, Text("Draw it.")))
    assert first.comparison.response_a == (one, two, Text("Here."))
    assert first.comparison.response_b == (Text("No."),)
    assert (first.preference, second.preference) == ("a", "b")
    assert second.comparison.response_b == (two,)


def test_splits_and_examples(tmp_path: Path) -> None:
    row = {"prompt": "Hi.", **TEXTS, "overall_response": 1}
    _parquet(tmp_path, "text-to-text", row, row, row, name="train_30k.parquet")
    _parquet(tmp_path, "text-to-text", row, row, name="val_1k.parquet")
    _parquet(tmp_path, "examples", row, name="example_t2t.parquet")
    assert [len(_read(tmp_path, f"?split={split}")) for split in ("train", "val", "example")] == [3, 2, 1]
    assert len({sample.id for sample in _read(tmp_path)}) == 3
    with pytest.raises(SourceError, match="there is none of its files"):
        _read(tmp_path, "?config=text-to-audio")


def test_unknown_columns_are_reported_and_can_be_named(tmp_path: Path) -> None:
    row = {"prompt": "A lamp.", "image_1": _cell(b"1"), "image_2": _cell(b"2"), "verdict": 2}
    _parquet(tmp_path, "text-to-image", row)
    _parquet(tmp_path, "text-to-audio", AUDIO)
    with pytest.raises(BadRowError, match=r"no known shape of text-to-image; they are 'image_1', .*'verdict'"):
        _read(tmp_path)
    bad_rows = BadRows(skip=True)
    assert [sample.task for sample in _read(tmp_path, "", bad_rows)] == [Task.T2A]
    assert [error.file for error in bad_rows.errors] == ["text-to-image/train.parquet"]
    assert [s.preference for s in _read(tmp_path, "?config=text-to-image&overall=verdict")] == ["b"]


def test_questions_without_an_answer(tmp_path: Path) -> None:
    _parquet(tmp_path, "text-to-audio", AUDIO, AUDIO | {"p_audio": None, "o_audio": 3})
    names = [sample.id.rpartition("parquet:")[2] for sample in _read(tmp_path, "?dimensions=yes")]
    assert names == ["0", "0:prompt_following", "0:audio_quality", "1"]


def test_choices_that_say_nothing_are_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    row = {"prompt": "What? <video>", "video_path": "1.mp4", **TEXTS}
    _files(tmp_path / "text-video-to-text", "1.mp4")
    choices: list[object] = [1, 0, 3, "2", 3, 1.0, -1]
    _json(tmp_path, "text-video-to-text", *(row | {"overall_response": choice} for choice in choices))
    with caplog.at_level(logging.INFO, "omnireward"):
        assert [sample.provenance["row"] for sample in _read(tmp_path)] == ["0", "3", "5"]
    assert "{'3': 2, '0': 1, '-1': 1}" in caplog.text


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt": "<video>"}, "prompt"),
        ({"prompt": None}, "prompt"),
        ({"response_2": "One."}, "(row)"),
        ({"response_2": ["Two."]}, "response_2"),
        ({"video_path": "../7.mp4"}, "video_path"),
        ({"video_path": "https://example.com/7.mp4"}, "video_path"),
        ({"video_path": ["./videos/7.mp4"]}, "video_path"),
        ({"overall_response": None}, "overall_response"),
        ({"overall_response": True}, "overall_response"),
        ({"overall_response": 1.5}, "overall_response"),
        ({"overall_response": float("nan")}, "overall_response"),
        ({"overall_response": "first"}, "overall_response"),
        ({"overall_response": "1" * 5000}, "overall_response"),
    ],
)
def test_rows_that_are_refused(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    _files(tmp_path / "text-video-to-text", "videos/7.mp4")
    _json(tmp_path, "text-video-to-text", VIDEO, VIDEO | change, VIDEO)
    bad_rows = BadRows(skip=True)
    assert [sample.provenance["row"] for sample in _read(tmp_path, "", bad_rows)] == ["0", "2"]
    assert [(error.row, error.field) for error in bad_rows.errors] == [(1, field)]
    with pytest.raises(BadRowError, match="row 1"):
        _read(tmp_path)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"worse_text": "", "worse_img": []}, "worse_img"),
        ({"better_img": ["images/1.png"] * 21}, "better_img"),
        ({"better_img": {"bytes": None, "path": "images/9.png"}}, "better_img"),
        ({"input_text": ""}, "input_text"),
        ({"worse_text": "Here.", "worse_img": ["images/1.png", "images/2.png"]}, "(row)"),
    ],
)
def test_words_and_pictures_that_are_refused(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    home = "text-image-to-text-image"
    _files(tmp_path / home, "images/in.png", "images/1.png", "images/2.png")
    _json(tmp_path, home, MIXED, MIXED | change)
    bad_rows = BadRows(skip=True)
    assert [sample.provenance["row"] for sample in _read(tmp_path, "", bad_rows)] == ["0"]
    assert [(error.row, error.field) for error in bad_rows.errors] == [(1, field)]


@pytest.mark.parametrize("settings", ["?config=text-to-smell", "?split=test", "?dimensions=some"])
def test_settings_that_do_not_exist(tmp_path: Path, settings: str) -> None:
    with pytest.raises(RecipeError):
        _read(tmp_path, settings)


def test_json_of_something_else_is_passed_over(tmp_path: Path) -> None:
    _files(tmp_path, "dataset_infos.json")
    (tmp_path / "dataset_infos.json").write_text('{"a": 1}')
    assert DATASET.recognises(tmp_path) is False
    with pytest.raises(SourceError, match="holds no train of align-anything"):
        _read(tmp_path)
