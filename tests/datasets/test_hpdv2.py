"""HPDv2: one-hot pairs, rankings where lower is better, images in folders or archives, rows that are refused."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from omnireward.datasets.hpdv2 import DATASET
from omnireward.errors import BadRowError, RecipeError, SourceError
from omnireward.sources import BadRows
from omnireward.types import Media, Sample, Task, Text, Turn

PAIR = {"prompt": "A lamp.", "file_path": ["a.jpg", "b.jpg"], "human_preference": [0, 1]}
RANKING = {
    "prompt": "A sky.",
    "image_path": ["a.jpg", "b.jpg", "c.jpg"],
    "rank": [3, 1, 1],
    "raw_annotations": [{"rank": [3, 1, 2], "user_hash": "x"}, {"rank": [3, 2, 1], "user_hash": "y"}],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three images for each split; their names are all there is in them."""
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        for name in ("a.jpg", "b.jpg", "c.jpg"):
            (tmp_path / split / name).write_text(name)
    return tmp_path


def _write(root: Path, split: str, *table: object) -> None:
    (root / f"{split}.json").write_text(json.dumps(table))


def _read(root: Path, settings: str = "", bad_rows: BadRows | None = None) -> list[Sample]:
    return list(DATASET.read(f"{root}{settings}", bad_rows or BadRows()))


def _shown(sample: Sample) -> tuple[str, str]:
    parts = (*sample.comparison.response_a, *sample.comparison.response_b)
    a, b = (part.source.name for part in parts if isinstance(part, Media) and isinstance(part.source, Path))
    return a, b


def test_one_marks_the_better_image(root: Path) -> None:
    _write(root, "train", PAIR, PAIR | {"human_preference": [1, 0]})
    first, second = _read(root)
    assert (first.id, first.task, first.preference, first.groups) == ("train/0", Task.T2I, "b", ("train",))
    assert first.comparison.prompt == (Turn("user", (Text("A lamp."),)),)
    assert first.comparison.response_a == (Media("image", root / "train" / "a.jpg"),)
    assert first.provenance == {
        "path_a": "a.jpg",
        "path_b": "b.jpg",
        "split": "train",
        "file": "train.json",
        "row": "0",
    }
    assert (second.id, second.preference, _shown(second)) == ("train/1", "a", ("a.jpg", "b.jpg"))
    assert first.cluster == second.cluster


def test_lower_ranks_are_better_and_equal_ones_tie(root: Path) -> None:
    _write(root, "test", RANKING)
    samples = _read(root, "?split=test")
    assert [(sample.id, _shown(sample), sample.preference) for sample in samples] == [
        ("test/0/0-1", ("a.jpg", "b.jpg"), "b"),
        ("test/0/0-2", ("a.jpg", "c.jpg"), "b"),
        ("test/0/1-2", ("b.jpg", "c.jpg"), "tie"),
    ]
    assert samples[2].provenance == {
        "path_a": "b.jpg",
        "path_b": "c.jpg",
        "score_a": "1.0",
        "score_b": "1.0",
        "ranks_a": "1 2",  # x has b first, y has it second
        "ranks_b": "2 1",
        "split": "test",
        "file": "test.json",
        "row": "0",
    }
    assert len({sample.cluster for sample in samples}) == 1


def test_margin_is_in_ranks(root: Path) -> None:
    """Ranks 1, 2, 4: with a margin of 2, the first two tie."""
    _write(root, "test", RANKING | {"rank": [1, 2, 4], "raw_annotations": None})
    assert [sample.preference for sample in _read(root, "?split=test&margin=2")] == ["tie", "a", "a"]
    assert [sample.id for sample in _read(root, "?split=test&margin=2&ties=no")] == ["test/0/0-2", "test/0/1-2"]
    assert [sample.id for sample in _read(root, "?split=test&pairs=best")] == ["test/0/0-1", "test/0/0-2"]


def test_the_benchmark_is_read_only_when_asked_for(root: Path) -> None:
    _write(root, "train", PAIR)
    _write(root, "test", RANKING)
    (root / "HPDv2.py").write_text("raise SystemExit('a loading script was run')")
    assert {sample.groups for sample in _read(root)} == {("train",)}
    assert len(_read(root, "?split=all")) == 1 + 3
    (root / "train.json").unlink()
    with pytest.raises(SourceError, match=r"no train\.json .* add \?split=test"):
        _read(root)


def test_settings_that_do_not_exist(root: Path) -> None:
    with pytest.raises(RecipeError, match="train, test or all; got 'dev'"):
        _read(root, "?split=dev")
    with pytest.raises(RecipeError, match="no setting 'marign'"):
        _read(root, "?marign=1")


@pytest.mark.parametrize("inside", ["", "train/"], ids=["flat", "with a top folder"])
def test_images_in_an_archive(tmp_path: Path, inside: str) -> None:
    """What the archive has at its top is not documented."""
    for name in ("a.jpg", "b.jpg"):
        (tmp_path / name).write_text(name)
    root = tmp_path / "root"
    root.mkdir()
    with tarfile.open(root / "train.tar.gz", "w:gz") as archive:
        for name in ("a.jpg", "b.jpg"):
            archive.add(tmp_path / name, f"{inside}{name}")
    _write(root, "train", PAIR)
    (sample,) = _read(root)
    assert _shown(sample) == ("a.jpg", "b.jpg")
    assert _read(root) == [sample]  # unpacked once


def test_archive_stays_closed_while_files_are_there(root: Path) -> None:
    (root / "train.tar.gz").write_bytes(b"not an archive")
    _write(root, "train", PAIR)
    assert len(_read(root)) == 1


def test_a_ranking_gives_every_pair(root: Path) -> None:
    """Of nine images, 9 * 8 / 2 pairs, each named once."""
    names = [f"{i}.jpg" for i in range(9)]
    for name in names:
        (root / "test" / name).write_text(name)
    _write(root, "test", {"prompt": "p", "image_path": names, "rank": list(range(9))})
    ids = [sample.id for sample in _read(root, "?split=test")]
    assert len(ids) == len(set(ids)) == 36


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"human_preference": [0, 0]}, "human_preference"),
        ({"human_preference": [1, 1]}, "human_preference"),
        ({"human_preference": [0.5, 0.5]}, "human_preference"),
        ({"human_preference": [True, False]}, "human_preference"),
        ({"human_preference": [2, 1]}, "human_preference"),
        ({"human_preference": [1, 0, 0]}, "human_preference"),
        ({"human_preference": 1}, "human_preference"),
        ({"human_preference": [[1], 0]}, "human_preference"),
        ({"file_path": ["a.jpg"]}, "file_path"),
        ({"file_path": ["a.jpg", "a.jpg"]}, "file_path"),
        ({"file_path": ["a.jpg", ""]}, "file_path"),
        ({"file_path": ["a.jpg", 1]}, "file_path"),
        ({"file_path": ["a.jpg", "gone.jpg"]}, "file_path"),
        ({"file_path": ["a.jpg", "../test/c.jpg"]}, "file_path"),
        ({"file_path": ["a.jpg", "/etc/passwd"]}, "file_path"),
        ({"prompt": None}, "prompt"),
    ],
)
def test_pairs_that_are_refused(root: Path, change: dict[str, Any], field: str) -> None:
    _write(root, "train", PAIR, PAIR | change, PAIR)
    with pytest.raises(BadRowError, match=rf"train\.json, row 1, field '{field}'"):
        _read(root)
    bad_rows = BadRows(skip=True)
    assert [sample.id for sample in _read(root, "", bad_rows)] == ["train/0", "train/2"]
    assert [(error.row, error.field) for error in bad_rows.errors] == [(1, field)]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rank": [1, 2]}, "rank"),
        ({"rank": [1, 2, "3"]}, "rank"),
        ({"rank": [1, 2, None]}, "rank"),
        ({"rank": [1, 2, float("nan")]}, "rank"),
        ({"rank": [1, 2, 10**400]}, "rank"),
        ({"image_path": []}, "image_path"),
        ({"image_path": [f"{i}.jpg" for i in range(100_000)]}, "image_path"),
        ({"raw_annotations": [{"rank": [1, 2]}]}, "raw_annotations"),
        ({"raw_annotations": ["x"]}, "raw_annotations"),
        ({"raw_annotations": [{"rank": [1, 2, "x"]}]}, "raw_annotations"),
    ],
)
def test_rankings_that_are_refused(root: Path, change: dict[str, Any], field: str) -> None:
    _write(root, "test", RANKING | change)
    bad_rows = BadRows(skip=True)
    assert _read(root, "?split=test", bad_rows) == []
    assert [(error.row, error.field) for error in bad_rows.errors] == [(0, field)]


def test_rows_are_read_one_at_a_time(root: Path) -> None:
    """The first sample is there before the broken end of the file is met."""
    (root / "train.json").write_text(json.dumps([PAIR])[:-1] + ", " + "x" * 100)
    samples = DATASET.read(str(root), BadRows())
    assert next(samples).id == "train/0"
    with pytest.raises(SourceError, match="not valid JSON"):
        next(samples)


def test_a_broken_first_row_is_reported_and_hides_no_others(root: Path) -> None:
    _write(root, "train", {"prompt": "p"}, PAIR)
    bad_rows = BadRows(skip=True)
    assert [sample.id for sample in _read(root, "", bad_rows)] == ["train/1"]
    assert [(error.row, error.field) for error in bad_rows.errors] == [(0, "human_preference")]


def test_other_files_of_these_names_are_not_recognised(tmp_path: Path) -> None:
    _write(tmp_path, "train", {"prompt": "p", "img_path": "m/00001.png", "total_score": 1})
    _write(tmp_path, "test", {"id": "1", "prompt": "p", "generations": ["x"], "ranking": [1]})
    assert DATASET.recognises(tmp_path) is False
