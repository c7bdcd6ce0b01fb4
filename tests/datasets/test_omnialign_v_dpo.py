"""OmniAlign-V-DPO: marks for pictures, one or several, where their paths count from, and what is refused."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from omnireward.datasets.omnialign_v_dpo import DATASET
from omnireward.errors import BadRowError, SourceError
from omnireward.sources import BadRows
from omnireward.types import Media, Part, Sample, Task, Text

ROW = {"image": "chart/chart_1.jpg", "prompt": "What is shown?", "chosen": "A chart.", "rejected": "A cat."}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three pictures; their names are all there is in them."""
    for name in ("chart/chart_1.jpg", "chart/chart_2.jpg", "poster/chart_1.jpg"):
        path = tmp_path / "set" / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "set"


def _write(root: Path, *changes: dict[str, Any], name: str = "chart") -> Path:
    (root / f"{name}.jsonl").write_text("".join(json.dumps(ROW | change) + "\n" for change in changes))
    return root


def _read(root: Path, bad_rows: BadRows | None = None) -> list[Sample]:
    return list(DATASET.read(str(root), bad_rows or BadRows()))


def _shown(sample: Sample) -> list[str]:
    """The prompt's parts in order, pictures by what is in them."""
    (turn,) = sample.comparison.prompt
    return [_words(part) for part in turn.content]


def _words(part: Part) -> str:
    if isinstance(part, Text):
        return part.text
    assert isinstance(part.source, Path)
    return part.source.read_text()


def test_row_becomes_sample(root: Path) -> None:
    (sample,) = _read(_write(root, {"id": 7, "extra": [1]}))
    assert (sample.id, sample.task, sample.preference) == ("chart.jsonl:0", Task.TI2T, "a")
    picture = Media("image", root / "images" / "chart" / "chart_1.jpg")
    assert sample.comparison.prompt[0].content == (picture, Text("What is shown?"))
    assert (sample.comparison.response_a, sample.comparison.response_b) == ((Text("A chart."),), (Text("A cat."),))
    assert sample.groups == ("chart",)
    told = {"category": "chart", "id": "7", "image": "chart/chart_1.jpg"}
    assert sample.provenance == told | {"file": "chart.jsonl", "row": "0"}


@pytest.mark.parametrize(
    ("prompt", "images", "shown"),
    [
        ("Q", "chart/chart_1.jpg", ["chart/chart_1.jpg", "Q"]),
        ("<image>\nQ", "chart/chart_1.jpg", ["chart/chart_1.jpg", "Q"]),
        ("<image>\nQ", ["chart/chart_1.jpg"], ["chart/chart_1.jpg", "Q"]),
        ("Q\n<image>", "chart/chart_1.jpg", ["Q", "chart/chart_1.jpg"]),
        ("Q", ["chart/chart_2.jpg", "chart/chart_1.jpg"], ["chart/chart_2.jpg", "chart/chart_1.jpg", "Q"]),
        (
            "First <image> then <image>\nQ",
            ["chart/chart_2.jpg", "chart/chart_1.jpg"],
            ["First", "chart/chart_2.jpg", "then", "chart/chart_1.jpg", "Q"],
        ),
    ],
)
def test_where_pictures_stand(root: Path, prompt: str, images: object, shown: list[str]) -> None:
    (sample,) = _read(_write(root, {"prompt": prompt, "image": images}))
    assert _shown(sample) == shown


@pytest.mark.parametrize(
    "path",
    [
        "chart/chart_1.jpg",
        "images/chart/chart_1.jpg",
        "OmniAlign_V_DPO/images/chart/chart_1.jpg",
        "playground/data/OmniAlign_V_DPO/images/chart/chart_1.jpg",
    ],
)
def test_where_paths_count_from(root: Path, path: str) -> None:
    (sample,) = _read(_write(root, {"image": path}))
    assert _shown(sample)[0] == "chart/chart_1.jpg"


def test_a_folder_is_not_left_out_of_a_path(root: Path) -> None:
    """Two categories have a chart_1.jpg; one of a third must not be taken for either."""
    with pytest.raises(BadRowError, match="there is no file"):
        _read(_write(root, {"image": "diagram/chart_1.jpg"}))


@pytest.mark.parametrize("inside", ["", "images/"], ids=["flat", "with a top folder"])
def test_pictures_in_the_archive(tmp_path: Path, inside: str) -> None:
    picture = tmp_path / "picture"
    picture.write_text("packed")
    root = tmp_path / "set"
    root.mkdir()
    with tarfile.open(root / "images.tar", "w") as archive:
        archive.add(picture, f"{inside}chart/chart_1.jpg")
    (sample,) = _read(_write(root, {}))
    assert _shown(sample)[0] == "packed"
    assert _read(root) == [sample]


def test_categories_are_files(root: Path) -> None:
    _write(_write(root, {}, {}), {}, name="ins_follow")
    (root / "other.jsonl").write_text('{"something": "else"}\n')
    samples = _read(root)
    assert [sample.id for sample in samples] == ["chart.jsonl:0", "chart.jsonl:1", "ins_follow.jsonl:0"]
    assert [sample.groups for sample in samples] == [("chart",), ("chart",), ("ins_follow",)]
    assert len({sample.cluster for sample in samples}) == 1


def test_other_lines_with_such_fields_are_read_but_not_recognised(root: Path) -> None:
    """The names of the fields are common ones; whoever says the source's name means it."""
    _write(root, {}, name="mine")
    assert not DATASET.recognises(root)
    assert [sample.groups for sample in _read(root)] == [("mine",)]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"image": None}, "image"),
        ({"image": ""}, "image"),
        ({"image": []}, "image"),
        ({"image": ["chart/chart_1.jpg", 3]}, "image"),
        ({"image": ["chart/chart_1.jpg"] * 2}, "image"),
        ({"image": {"path": "chart/chart_1.jpg"}}, "image"),
        ({"image": "../secret.jpg"}, "image"),
        ({"image": "../images/chart/chart_1.jpg"}, "image"),
        ({"image": "/images/chart/chart_1.jpg"}, "image"),
        ({"image": "C:/images/chart/chart_1.jpg"}, "image"),
        ({"image": "chart/missing.jpg"}, "image"),
        ({"prompt": ["Q"]}, "prompt"),
        ({"prompt": " <image>\n"}, "prompt"),
        ({"prompt": "<image><image>Q"}, "prompt"),
        ({"prompt": "<image>Q", "image": ["chart/chart_1.jpg", "chart/chart_2.jpg"]}, "prompt"),
        ({"chosen": None}, "chosen"),
        ({"rejected": [{"role": "assistant", "content": "A cat."}]}, "rejected"),
        ({"rejected": "A chart."}, "rejected"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_rows_that_are_refused(root: Path, change: dict[str, Any], field: str) -> None:
    (root.parent / "secret.jpg").write_text("not yours")
    _write(root, {}, change)
    with pytest.raises(BadRowError, match=rf"chart\.jsonl, row 1, field '{field}'"):
        _read(root)
    bad_rows = BadRows(skip=True)
    assert len(_read(root, bad_rows)) == 1
    assert [(error.row, error.field) for error in bad_rows.errors] == [(1, field)]


def test_a_name_that_leads_out_unpacks_nothing(root: Path) -> None:
    """The broken archive would be an error of its own."""
    (root / "images").rename(root / "elsewhere")
    (root / "images.tar").write_bytes(b"broken")
    _write(root, {"image": "../secret.jpg"})
    with pytest.raises(BadRowError):
        _read(root)
    _write(root, {})
    with pytest.raises(SourceError, match=r"images\.tar"):
        _read(root, BadRows(skip=True))
