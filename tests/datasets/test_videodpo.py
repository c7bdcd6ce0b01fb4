"""VideoDPO: winners and losers by number, short clips that shift numbers, where videos lie, rows that are refused."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from omnireward.datasets.videodpo import DATASET
from omnireward.errors import BadRowError, RecipeError, SourceError
from omnireward.sources import BadRows
from omnireward.types import Media, Sample, Task, Text, Turn


def _clip(path: str, caption: object, seconds: object = 1.6) -> dict[str, Any]:
    return {"basic": {"clip_path": path, "clip_duration": seconds}, "misc": {"frame_caption": caption}}


def _clips(*captions: str) -> list[dict[str, Any]]:
    """A winner and a loser for each caption, with paths of the authors' machine."""
    return [
        _clip(f"/data/them/{folder}/{number:06}.mp4", [caption])
        for number, caption in enumerate(captions)
        for folder in ("winvideos", "losevideos")
    ]


def _pair(winner: object, loser: object, caption: object, **more: object) -> dict[str, Any]:
    return {"video1": winner, "video2": loser, "label": 0, "frame_caption": caption, **more}


def _write(root: Path, clips: list[dict[str, Any]], pairs: list[dict[str, Any]]) -> Path:
    (root / "metadata.json").write_text(json.dumps(clips))
    (root / "pair.json").write_text(json.dumps(pairs))
    return root


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three winners and three losers; their names are all there is in them."""
    for folder in ("winvideos", "losevideos"):
        (tmp_path / folder).mkdir()
        for number in range(3):
            (tmp_path / folder / f"{number:06}.mp4").write_text(f"{folder} {number}")
    return tmp_path


def _read(root: Path, settings: str = "", bad_rows: BadRows | None = None) -> list[Sample]:
    return list(DATASET.read(f"{root}{settings}", bad_rows or BadRows()))


def _shown(sample: Sample) -> tuple[str, str]:
    parts = (*sample.comparison.response_a, *sample.comparison.response_b)
    a, b = (part.source.read_text() for part in parts if isinstance(part, Media) and isinstance(part.source, Path))
    return a, b


def test_pair_becomes_sample(root: Path) -> None:
    _write(root, _clips("p", "q"), [_pair(2, 3, "q", score=0.12), _pair(0, 1, ["p"])])
    first, second = _read(root)
    assert (first.id, first.task, first.preference) == ("pair.json:0", Task.T2V, "a")
    assert first.comparison.prompt == (Turn("user", (Text("q"),)),)
    assert first.comparison.response_a == (Media("video", root / "winvideos" / "000001.mp4"),)
    assert first.comparison.response_b == (Media("video", root / "losevideos" / "000001.mp4"),)
    assert first.provenance == {
        "file": "pair.json",
        "row": "0",
        "clip_a": "/data/them/winvideos/000001.mp4",
        "clip_b": "/data/them/losevideos/000001.mp4",
        "score": "0.12",
    }
    assert (second.id, _shown(second)) == ("pair.json:1", ("winvideos 0", "losevideos 0"))
    assert second.provenance["score"] == ""


def test_the_better_clip_is_the_one_that_is_named_first(root: Path) -> None:
    """Not the one with the lower number, nor the one in the folder of winners."""
    _write(root, _clips("p"), [_pair(1, 0, "p")])
    assert _shown(*_read(root)) == ("losevideos 0", "winvideos 0")


def test_paths_that_are_relative_are_taken_as_they_stand(root: Path) -> None:
    (root / "clips" / "deep").mkdir(parents=True)
    (root / "clips" / "deep" / "x.mp4").write_text("x")
    clips = [_clip("clips/deep/x.mp4", "p"), _clip("C:\\them\\losevideos\\000002.mp4", "p")]
    _write(root, clips, [_pair(0, 1, "p")])
    assert _shown(*_read(root)) == ("x", "losevideos 2")


def test_videos_are_found_by_number_where_their_names_are_others(root: Path) -> None:
    """Clips 2 and 3 of the list are number 1 of the winners and of the losers."""
    clips = [*_clips("p"), _clip("videos/000001left_video.mp4", "q"), _clip("videos/000001right_video.mp4", "q")]
    _write(root, clips, [_pair(2, 3, "q")])
    assert _shown(*_read(root)) == ("winvideos 1", "losevideos 1")


@pytest.mark.parametrize(
    ("clips", "pair"),
    [
        ([_clip("x/left.mp4", "p"), _clip("x/right.mp4", "p")], _pair(1, 0, "p")),
        ([_clip("x/000002.mp4", "p"), _clip("x/000002.mp4", "p")], _pair(0, 1, "p")),
        ([_clip("x/left.mp4", "p"), _clip("x/right.mp4", "p"), _clip("x/y.mp4", "p", 0.5)], _pair(0, 1, "p")),
    ],
    ids=["the better one would be a loser", "clips state another number", "numbers are shifted"],
)
def test_a_name_by_number_that_contradicts_what_is_known(
    root: Path, clips: list[dict[str, Any]], pair: dict[str, Any]
) -> None:
    _write(root, clips, [pair])
    with pytest.raises(BadRowError, match="there is no file"):
        _read(root)


SHORT = [_clip("/them/winvideos/000009.mp4", ["s"], 0.4), _clip("/them/losevideos/000009.mp4", ["s"], 0.9)]


def test_numbers_that_count_every_clip(root: Path) -> None:
    clips = [*_clips("p"), *SHORT, *_clips("x", "q")[2:]]
    _write(root, clips, [_pair(0, 1, "p"), _pair(4, 5, "q")])
    assert [_shown(sample) for sample in _read(root)] == [
        ("winvideos 0", "losevideos 0"),
        ("winvideos 1", "losevideos 1"),
    ]


def test_numbers_that_count_clips_of_a_second_and_more(root: Path) -> None:
    clips = [*_clips("p"), *SHORT, *_clips("x", "q")[2:]]
    _write(root, clips, [_pair(0, 1, "p"), _pair(2, 3, "q")])
    assert [_shown(sample) for sample in _read(root)] == [
        ("winvideos 0", "losevideos 0"),
        ("winvideos 1", "losevideos 1"),
    ]
    bad_rows = BadRows(skip=True)  # the other counting, when it is asked for, is checked by the captions all the same
    assert [sample.id for sample in _read(root, "?indices=listed", bad_rows)] == ["pair.json:0"]
    assert [error.field for error in bad_rows.errors] == ["frame_caption"]


def test_short_clips_after_every_pair_shift_nothing(root: Path) -> None:
    _write(root, [*_clips("p"), *SHORT], [_pair(0, 1, "p")])
    assert len(_read(root)) == 1


def test_captions_that_fit_both_countings_do_not_tell(root: Path) -> None:
    clips = [*_clips("p", "p"), *SHORT, *_clips("p", "p", "p")]
    clips[4:6] = [_clip(clip["basic"]["clip_path"], ["p"], 0.5) for clip in SHORT]
    _write(root, clips, [_pair(0, 1, "p"), _pair(6, 7, "p")])
    with pytest.raises(SourceError, match=r"of 2 pairs, 2 fit the first and 2 the second\. Say which"):
        _read(root)
    assert len(_read(root, "?indices=listed")) == len(_read(root, "?indices=kept")) == 2


def test_captions_that_fit_neither_counting_do_not_tell(root: Path) -> None:
    clips = [*_clips("p"), *SHORT, *_clips("x", "q")[2:]]
    _write(root, clips, [_pair(4, 5, "q"), _pair(2, 3, "q")])
    with pytest.raises(SourceError, match=r"of 2 pairs, 1 fit the first and 1 the second"):
        _read(root, "", BadRows(skip=True))


def test_a_setting_that_does_not_exist(root: Path) -> None:
    with pytest.raises(RecipeError, match="listed, kept; got 'all'"):
        _read(root, "?indices=all")


@pytest.mark.parametrize(
    ("pair", "field"),
    [
        (_pair(0, 0, "p"), "video2"),
        (_pair(0, 99, "p"), "frame_caption"),
        (_pair(-1, 1, "p"), "video1"),
        (_pair(True, 1, "p"), "video1"),
        (_pair(0, 1.0, "p"), "video2"),
        (_pair("0", 1, "p"), "video1"),
        (_pair(0, 10**30, "p"), "video2"),
        (_pair(0, 3, "p"), "frame_caption"),  # clip 3 is of another prompt
        (_pair(0, 1, "q"), "frame_caption"),
        (_pair(0, 1, ["p", "q"]), "frame_caption"),
        (_pair(0, 1, []), "frame_caption"),
        (_pair(0, 1, None), "frame_caption"),
        ({"video1": 0, "video2": 1}, "frame_caption"),
        ({"video1": 0, "frame_caption": "p"}, "video2"),
        (_pair(4, 5, "gone"), "video1"),
        (_pair(6, 7, "outside"), "video1"),
        (_pair(8, 9, "same"), "video2"),
    ],
)
def test_pairs_that_are_refused(root: Path, pair: dict[str, Any], field: str) -> None:
    clips = [
        *_clips("p", "q"),
        *(_clip(f"gone/{side}.mp4", "gone") for side in ("000000", "000000")),
        *(_clip(path, "outside") for path in ("../winvideos/000000.mp4", "winvideos/000001.mp4")),
        *(_clip(f"/{there}/winvideos/000002.mp4", "same") for there in ("here", "there")),
    ]
    _write(root, clips, [_pair(0, 1, "p"), pair, _pair(2, 3, "q")])
    with pytest.raises(BadRowError, match=rf"pair\.json, row 1, field '{field}'"):
        _read(root)
    bad_rows = BadRows(skip=True)
    assert [sample.id for sample in _read(root, "", bad_rows)] == ["pair.json:0", "pair.json:2"]
    assert [(error.row, error.field) for error in bad_rows.errors] == [(1, field)]


@pytest.mark.parametrize(
    ("clip", "field"),
    [
        ({"misc": {}}, "basic"),
        ({"basic": 1, "misc": {}}, "basic"),
        (_clip("x.mp4", "p", "long"), "basic"),
        (_clip("x.mp4", "p", float("nan")), "basic"),
        (_clip("x.mp4", None), "misc"),
        (_clip("x.mp4", ["p"] * 100_000), "misc"),
    ],
)
def test_clips_that_are_refused_take_their_pairs_along(root: Path, clip: dict[str, Any], field: str) -> None:
    _write(root, [*_clips("p"), clip, *_clips("p")], [_pair(0, 1, "p"), _pair(2, 1, "p")])
    bad_rows = BadRows(skip=True)
    assert [sample.id for sample in _read(root, "", bad_rows)] == ["pair.json:0"]
    assert [(error.file, error.row, error.field) for error in bad_rows.errors] == [
        ("metadata.json", 2, field),
        ("pair.json", 1, "frame_caption"),
    ]


@pytest.mark.parametrize("inside", ["", "vidpro-vc2-dataset/"], ids=["flat", "with a top folder"])
def test_the_archive_as_it_is_downloaded(root: Path, tmp_path_factory: pytest.TempPathFactory, inside: str) -> None:
    _write(root, _clips("p"), [_pair(0, 1, "p")])
    place = tmp_path_factory.mktemp("download")
    with tarfile.open(place / "vidpro-vc2-dataset.tar", "w") as archive:
        for path in sorted(root.rglob("*.*")):
            archive.add(path, f"{inside}{path.relative_to(root)}")
    assert DATASET.recognises(place)
    (sample,) = _read(place)
    assert _shown(sample) == ("winvideos 0", "losevideos 0")


def test_lists_of_another_shape_are_not_recognised(tmp_path: Path) -> None:
    _write(tmp_path, [{"basic": {}, "misc": {}}], [{"video1": 0, "video2": 1}])
    assert DATASET.recognises(tmp_path) is False
    with pytest.raises(BadRowError, match=r"metadata\.json, row 0, field 'basic'"):
        _read(tmp_path)  # said by name, a folder is read for what it has
    (tmp_path / "pair.json").unlink()
    with pytest.raises(SourceError, match=r"neither metadata\.json with pair\.json, nor vidpro-vc2-dataset\.tar"):
        _read(tmp_path)
