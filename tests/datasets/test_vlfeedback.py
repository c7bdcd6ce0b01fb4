"""VLFeedback: raw lines with pictures in a zip, Parquet, ratings that are text, and what is refused."""

from __future__ import annotations

import json
import zipfile
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omnireward.datasets.vlfeedback import ASPECTS, DATASET
from omnireward.errors import BadRowError, RecipeError, SourceError
from omnireward.sources import BadRows
from omnireward.types import Media, Sample, Task, Text


def _completion(response: str, ratings: Any = ("4", "4", "4"), **more: Any) -> dict[str, Any]:
    """Ratings for helpfulness, ethics and faithfulness, in this order."""
    annotations = {
        name: {"Rating": mark, "Rationale": "…"} for name, mark in zip(ASPECTS.values(), ratings, strict=True)
    }
    return {"annotations": annotations, "model": f"m-{response}", "response": response, **more}


def _row(*completions: dict[str, Any], **change: Any) -> dict[str, Any]:
    models = [completion["model"] for completion in completions]
    told = {"id": "one", "prompt": "What is shown?", "models": models, "img_path": "one.jpg"}
    return {**told, "completions": list(completions), **change}


PAIR = (_completion("a", ("5", "4", "4")), _completion("b", ("3", "5", "4")))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two pictures; their names are all there is in them."""
    folder = tmp_path / "set"
    (folder / "merged_images").mkdir(parents=True)
    for name in ("one.jpg", "two.jpg"):
        (folder / "merged_images" / name).write_text(name)
    return folder


def _write(root: Path, *table: object, name: str = "vlfeedback_80k") -> Path:
    (root / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in table))
    return root


def _read(root: Path, settings: str = "", bad_rows: BadRows | None = None) -> list[Sample]:
    return list(DATASET.read(f"{root}{settings}", bad_rows or BadRows()))


def _said(samples: list[Sample]) -> list[tuple[str, str]]:
    return [(sample.id.rpartition("/")[2], sample.preference) for sample in samples]


def _picture(sample: Sample) -> Path | bytes:
    part = sample.comparison.prompt[0].content[0]
    assert isinstance(part, Media)
    assert not isinstance(part.source, tuple)
    return part.source


def test_two_answers_become_a_sample(root: Path) -> None:
    """13/3 against 12/3."""
    (sample,) = _read(_write(root, _row(*PAIR)))
    assert (sample.id, sample.task, sample.preference) == ("vlfeedback_80k.jsonl:0/0-1", Task.TI2T, "a")
    picture = Media("image", root / "merged_images" / "one.jpg")
    assert sample.comparison.prompt[0].content == (picture, Text("What is shown?"))
    assert (sample.comparison.response_a, sample.comparison.response_b) == ((Text("a"),), (Text("b"),))
    assert sample.provenance == {
        "id": "one",
        "score": "mean",
        "model_a": "m-a",
        "model_b": "m-b",
        "score_a": repr(13 / 3),
        "score_b": "4.0",
        "rating_helpfulness_a": "5",
        "rating_ethics_a": "4",
        "rating_faithfulness_a": "4",
        "rating_helpfulness_b": "3",
        "rating_ethics_b": "5",
        "rating_faithfulness_b": "4",
        "file": "vlfeedback_80k.jsonl",
        "row": "0",
    }


@pytest.mark.parametrize(
    ("score", "preference"), [("mean", "a"), ("helpfulness", "a"), ("ethics", "b"), ("faithfulness", "tie")]
)
def test_each_score(root: Path, score: str, preference: str) -> None:
    (sample,) = _read(_write(root, _row(*PAIR)), f"?score={score}")
    assert sample.preference == preference


def test_four_answers_are_six_pairs(root: Path) -> None:
    """Against brute force over sums of ratings."""
    ratings = [("5", "5", "5"), ("1", "5", "3"), ("3", "3", "3"), ("4", "4", "4")]
    sums = [sum(map(int, one)) for one in ratings]
    row = _row(*(_completion(str(i), one) for i, one in enumerate(ratings)))
    wanted = [
        (f"{a}-{b}", "a" if sums[a] > sums[b] else "b" if sums[a] < sums[b] else "tie")
        for a, b in combinations(range(4), 2)
    ]
    _write(root, row)
    assert _said(_read(root)) == wanted
    assert _said(_read(root, "?margin=1.5&ties=no&pairs=best")) == [("0-1", "a"), ("0-2", "a")]


@pytest.mark.parametrize("rating", ["N/A", "", "4/5", "four", None], ids=repr)
def test_an_answer_with_a_rating_that_is_no_number_is_in_no_pair(root: Path, rating: object) -> None:
    row = _row(*PAIR, _completion("c", ("5", rating, "5")))
    _write(root, row)
    assert _said(_read(root)) == [("0-1", "a")]
    assert _said(_read(root, "?score=helpfulness")) == [("0-1", "a"), ("0-2", "tie"), ("1-2", "b")]


def test_an_aspect_that_is_missing(root: Path) -> None:
    short = _completion("c")
    del short["annotations"]["Helpfulness"]
    _write(root, _row(*PAIR, short, _completion("d", annotations=None)))
    assert _said(_read(root)) == [("0-1", "a")]


def test_ids_repeat(root: Path) -> None:
    samples = _read(_write(root, _row(*PAIR), _row(*PAIR, prompt="And now?"), _row(*PAIR)))
    assert len({sample.id for sample in samples}) == 3
    assert [sample.provenance["id"] for sample in samples] == ["one"] * 3
    assert samples[0].cluster == samples[2].cluster != samples[1].cluster


def test_the_picture_goes_by_the_id(root: Path) -> None:
    """As in the publisher's script; img_path counts where there is no picture of the id."""
    rows = [_row(*PAIR, img_path="two.jpg"), _row(*PAIR, id="none", img_path="two.jpg"), _row(*PAIR, img_path=None)]
    assert [_picture(sample) for sample in _read(_write(root, *rows))] == [
        root / "merged_images" / name for name in ("one.jpg", "two.jpg", "one.jpg")
    ]


@pytest.mark.parametrize("inside", ["", "merged_images/"], ids=["flat", "with a top folder"])
def test_pictures_in_the_zip(tmp_path: Path, inside: str) -> None:
    with zipfile.ZipFile(tmp_path / "merged_images.zip", "w") as archive:
        archive.writestr(f"{inside}one.jpg", "packed")
    (sample,) = _read(_write(tmp_path, _row(*PAIR)))
    path = _picture(sample)
    assert isinstance(path, Path)
    assert path.read_text() == "packed"
    assert _read(tmp_path) == [sample]


def test_the_loading_script_is_not_run(root: Path) -> None:
    (root / "VLFeedback.py").write_text("raise SystemExit('run')\n")
    _write(root, {"id": "x", "source": "svit"}, name="instruction_source")
    _write(root, _row(*PAIR))
    assert DATASET.recognises(root)
    assert len(_read(root)) == 1


ASPECT = pa.struct([("Rating", pa.string()), ("Rationale", pa.string())])
ANNOTATIONS = pa.struct([(name, ASPECT) for name in ASPECTS.values()])
COLUMNS = [("annotations", ANNOTATIONS), ("model", pa.string()), ("response", pa.string())]
LISTS = pa.struct([(name, pa.list_(kind)) for name, kind in COLUMNS])
STRUCTS = pa.list_(pa.struct(COLUMNS))
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def _parquet(root: Path, *table: dict[str, Any], completions: pa.DataType) -> Path:
    schema = pa.schema(
        {
            "id": pa.string(),
            "prompt": pa.string(),
            "models": pa.list_(pa.string()),
            "completions": completions,
            "image": IMAGE,
        }
    )
    (root / "data").mkdir()
    pq.write_table(pa.Table.from_pylist(list(table), schema), root / "data" / "train-00000-of-00001.parquet")
    return root


def test_parquet_in_both_forms_says_what_the_lines_say(tmp_path: Path, root: Path) -> None:
    """Second implementation: the raw row, with the picture in the row."""
    raw = _row(*PAIR, _completion("c", ("N/A", "1", "1")))
    image = {"bytes": b"picture", "path": "one.jpg"}
    transposed = {name: [completion[name] for completion in raw["completions"]] for name, _ in COLUMNS}
    (tmp_path / "lists").mkdir()
    (tmp_path / "structs").mkdir()
    lists = _parquet(tmp_path / "lists", raw | {"completions": transposed, "image": image}, completions=LISTS)
    structs = _parquet(tmp_path / "structs", raw | {"image": image}, completions=STRUCTS)
    (wanted,) = _read(_write(root, raw))
    for folder in (lists, structs):
        assert DATASET.recognises(folder)
        (sample,) = _read(folder)
        assert _picture(sample) == b"picture"
        assert sample.comparison.response_b == wanted.comparison.response_b
        assert sample.provenance == {**wanted.provenance, "file": "data/train-00000-of-00001.parquet"}


def test_where_both_forms_are_there_rows_do_not_come_twice(root: Path) -> None:
    _parquet(_write(root, _row(*PAIR)), _row(*PAIR) | {"image": {"bytes": b"x", "path": None}}, completions=STRUCTS)
    assert [sample.provenance["file"] for sample in _read(root)] == ["data/train-00000-of-00001.parquet"]


def test_two_answers_that_say_the_same_are_no_pair(root: Path) -> None:
    assert _read(_write(root, _row(_completion("a"), _completion("a", ("1", "1", "1"))))) == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"id": 3}, "id"),
        ({"prompt": None}, "prompt"),
        ({"id": "none", "img_path": None}, "id"),
        ({"id": "none", "img_path": "../secret.jpg"}, "img_path"),
        ({"id": "../../secret", "img_path": ""}, "id"),
        ({"id": "none", "img_path": "/etc/passwd"}, "img_path"),
        ({"id": "none", "img_path": 3}, "img_path"),
        ({"completions": None}, "completions"),
        ({"completions": {"model": ["m"], "response": []}}, "completions"),
        ({"completions": {"model": "m"}}, "completions"),
        ({"completions": [_completion("a") | {"response": None}]}, "completions"),
        ({"completions": [_completion("a", ("4", "4", {"of": 5}))]}, "completions"),
        ({"completions": [_completion("a", annotations="none")]}, "completions"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_rows_that_are_refused(root: Path, change: dict[str, Any], field: str) -> None:
    (root.parent / "secret.jpg").write_text("not yours")
    _write(root, _row(*PAIR), _row(*PAIR) | change)
    with pytest.raises(BadRowError, match=rf"vlfeedback_80k\.jsonl, row 1, field '{field}'"):
        _read(root)
    bad_rows = BadRows(skip=True)
    assert len(_read(root, "", bad_rows)) == 1
    assert [(error.row, error.field) for error in bad_rows.errors] == [(1, field)]


@pytest.mark.parametrize("settings", ["?score=overall", "?margin=-1", "?split=train"])
def test_settings_that_are_refused(root: Path, settings: str) -> None:
    with pytest.raises(RecipeError):
        _read(_write(root, _row(*PAIR)), settings)


def test_other_lines_are_not_vlfeedback(root: Path) -> None:
    _write(root, {"id": "1", "prompt": "?", "chosen": "a", "rejected": "b"}, name="rows")
    assert not DATASET.recognises(root)
    with pytest.raises(SourceError, match="holds no VLFeedback"):
        _read(root)
