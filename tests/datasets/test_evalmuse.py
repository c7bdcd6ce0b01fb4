"""EvalMuse: images of one prompt joined across models, by marks or averages, in parts of a zip, and what is refused."""

from __future__ import annotations

import io
import json
import zipfile
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from omnireward.datasets._checked_lists import MOST
from omnireward.datasets.evalmuse import DATASET
from omnireward.errors import BadRowError, SourceError
from omnireward.sources import BadRows
from omnireward.types import Media, Sample, Task


def _row(model: str, number: str, score: object, prompt: str = "", **more: object) -> dict[str, Any]:
    return {"prompt": prompt or f"p{number}", "img_path": f"{model}/{number}.png", "total_score": score, **more}


def _write(root: Path, *table: dict[str, Any], name: str = "train_list.json") -> Path:
    (root / name).write_text(json.dumps(table))
    for row in table:
        path = root / "images" / str(row["img_path"])
        if path.is_relative_to(root) and ".." not in path.parts:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(str(row["img_path"]))
    return root


def _read(root: Path, settings: str = "", bad_rows: BadRows | None = None) -> list[Sample]:
    return list(DATASET.read(f"{root}{settings}", bad_rows or BadRows()))


def _said(samples: list[Sample]) -> list[tuple[str, str, str, str]]:
    return [
        (sample.id, sample.provenance["model_a"], sample.provenance["model_b"], sample.preference) for sample in samples
    ]


def test_images_of_one_number_are_joined(tmp_path: Path) -> None:
    """Rows of a number need not be neighbours. 13/3 beats 7/3, and 4 ties with 4."""
    root = _write(
        tmp_path,
        _row("SDXL-Turbo", "00110", [4, 5, 4], promt_meaningless=[0, 0, 1]),
        _row("SDXL-Turbo", "00007", [4, 4]),
        _row("SD_v2.1", "00110", [2, 2, 3]),
        _row("SD_v2.1", "00007", [5, 3]),
        _row("PixArt", "00200", [5]),  # alone
    )
    samples = _read(root)
    assert _said(samples) == [
        ("00007/1-3", "SDXL-Turbo", "SD_v2.1", "tie"),
        ("00110/0-2", "SDXL-Turbo", "SD_v2.1", "a"),
    ]
    assert samples[1].task is Task.T2I
    assert samples[1].comparison.response_a == (Media("image", root / "images" / "SDXL-Turbo" / "00110.png"),)
    assert samples[1].provenance == {
        "number": "00110",
        "file": "train_list.json",
        "score_a": repr(13 / 3),
        "score_b": repr(7 / 3),
        "model_a": "SDXL-Turbo",
        "row_a": "0",
        "scores_a": "4 5 4",
        "prompt_meaningless_a": "0 0 1",
        "model_b": "SD_v2.1",
        "row_b": "2",
        "scores_b": "2 2 3",
    }


def test_every_two_models_are_a_pair(tmp_path: Path) -> None:
    """Against brute force: five models' scores, all pairs in the order of the rows."""
    scores = {"m0": 1.0, "m1": 4.25, "m2": 3.0, "m3": 4.25, "m4": 2.0}
    root = _write(tmp_path, *(_row(model, "00001", score) for model, score in scores.items()), name="train.json")
    expected = [
        (f"00001/{a[1]}-{b[1]}", a, b, "a" if scores[a] > scores[b] else "b" if scores[b] > scores[a] else "tie")
        for a, b in combinations(scores, 2)
    ]
    assert _said(_read(root)) == expected


def test_a_margin_is_met_by_means_of_thirds(tmp_path: Path) -> None:
    """13/3 - 10/3 = 1, which floating point makes a hair less; the authors' averages have six decimals."""
    marks = _write(tmp_path, _row("m", "00001", [4, 5, 4]), _row("n", "00001", [3, 4, 3]))
    assert [sample.preference for sample in _read(marks, "?margin=1")] == ["a"]
    assert [sample.preference for sample in _read(marks, "?margin=1.01")] == ["tie"]
    assert _read(marks, "?margin=1.01&ties=no") == []
    (tmp_path / "averages").mkdir()
    averages = _write(
        tmp_path / "averages", _row("m", "00001", 4.333333), _row("n", "00001", 3.333333), name="train.json"
    )
    assert [sample.preference for sample in _read(averages, "?margin=1")] == ["a"]


def test_marks_are_read_where_averages_are_there_too(tmp_path: Path) -> None:
    _write(tmp_path, _row("m", "00001", 1.0), _row("n", "00001", 2.0), name="train.json")
    _write(tmp_path, _row("m", "00001", [2]), _row("n", "00001", [1]))
    (sample,) = _read(tmp_path)
    assert (sample.preference, sample.provenance["file"]) == ("a", "train_list.json")


def test_images_of_other_prompts_are_not_joined(tmp_path: Path) -> None:
    rows = [_row("m", "00001", 1, "x"), _row("n", "00001", 2, "y"), _row("o", "00001", 3, "x")]
    assert _said(_read(_write(tmp_path, *rows))) == [("00001/0-2", "m", "o", "b")]


def test_a_number_is_never_joined_with_another_for_its_prompt(tmp_path: Path) -> None:
    rows = [_row("m", "00001", 1, "same"), _row("n", "00002", 2, "same")]
    assert _read(_write(tmp_path, *rows)) == []


@pytest.mark.parametrize("inside", ["", "images/"], ids=["flat", "with a top folder"])
def test_parts_of_a_zip(tmp_path: Path, inside: str) -> None:
    """Cut where `split` cuts: anywhere."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for model in ("m", "n"):
            archive.writestr(f"{inside}{model}/00001.png", model)
    data = buffer.getvalue()
    for name, part in (("aa", data[:50]), ("ab", data[50:170]), ("ac", data[170:])):
        (tmp_path / f"images.zip.part-{name}").write_bytes(part)
    (tmp_path / "train_list.json").write_text(json.dumps([_row("m", "00001", [1]), _row("n", "00001", [2])]))
    (sample,) = _read(tmp_path)
    (image,) = sample.comparison.response_b
    assert isinstance(image, Media)
    assert isinstance(image.source, Path)
    assert image.source.read_text() == "n"
    assert _read(tmp_path) == [sample]


def test_a_joined_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        archive.writestr("m/00001.png", "m")
        archive.writestr("n/00001.png", "n")
    (tmp_path / "train_list.json").write_text(json.dumps([_row("m", "00001", [1]), _row("n", "00001", [2])]))
    assert len(_read(tmp_path)) == 1


def test_a_part_that_is_missing_is_an_error(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("m/00001.png", "m")
    (tmp_path / "images.zip.part-aa").write_bytes(buffer.getvalue()[:60])
    (tmp_path / "train_list.json").write_text(json.dumps([_row("m", "00001", [1]), _row("n", "00001", [2])]))
    with pytest.raises(SourceError, match="zip"):
        _read(tmp_path, "", BadRows(skip=True))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"img_path": "00001.png"}, "img_path"),
        ({"img_path": "m/1.png"}, "img_path"),
        ({"img_path": "m/000001.png"}, "img_path"),
        ({"img_path": "m/00001.jpg"}, "img_path"),
        ({"img_path": "m/٠٠٠٠١.png"}, "img_path"),
        ({"img_path": "m/00001.png"}, "img_path"),  # row 0 again
        ({"img_path": "../m/00001.png"}, "img_path"),
        ({"img_path": "/etc/00001.png"}, "img_path"),
        ({"img_path": None}, "img_path"),
        ({"total_score": []}, "total_score"),
        ({"total_score": "4"}, "total_score"),
        ({"total_score": [4, "N/A"]}, "total_score"),
        ({"total_score": float("inf")}, "total_score"),
        ({"total_score": True}, "total_score"),
        ({"total_score": [3] * 100_000}, "total_score"),
        ({"promt_meaningless": "no"}, "promt_meaningless"),
        ({"prompt": 3}, "prompt"),
    ],
)
def test_rows_that_are_refused(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    root = _write(tmp_path, _row("m", "00001", [1]), _row("n", "00001", [2]))
    outside = _row("o", "00001", [3]) | change
    table = [_row("m", "00001", [1]), outside, _row("n", "00001", [2])]
    (root / "train_list.json").write_text(json.dumps(table))
    with pytest.raises(BadRowError, match=rf"train_list\.json, row 1, field '{field}'"):
        _read(root)
    bad_rows = BadRows(skip=True)
    assert _said(_read(root, "", bad_rows)) == [("00001/0-2", "m", "n", "b")]
    assert [(error.row, error.field) for error in bad_rows.errors] == [(1, field)]


def test_an_image_that_is_not_there_leaves_the_others(tmp_path: Path) -> None:
    root = _write(tmp_path, _row("m", "00001", [1]), _row("n", "00001", [2]), _row("o", "00001", [3]))
    (root / "images" / "n" / "00001.png").unlink()
    bad_rows = BadRows(skip=True)
    assert _said(_read(root, "", bad_rows)) == [("00001/0-2", "m", "o", "b")]
    assert [(error.row, error.field) for error in bad_rows.errors] == [(1, "img_path")]


def test_too_many_images_of_one_prompt(tmp_path: Path) -> None:
    """Pairs grow with the square, so a file could ask for any number of them."""
    root = _write(tmp_path, *(_row(f"m{i}", "00001", [i]) for i in range(MOST + 2)))
    bad_rows = BadRows(skip=True)
    assert len(_read(root, "?pairs=best", bad_rows)) == MOST - 1
    assert [error.row for error in bad_rows.errors] == [MOST, MOST + 1]


def test_a_stopped_reading_leaves_nothing_open(tmp_path: Path) -> None:
    root = _write(tmp_path, *(_row(f"m{i}", "00001", [i]) for i in range(3)))
    samples = DATASET.read(str(root), BadRows())
    next(samples)
    del samples  # an open database would be warned of, and warnings are errors
