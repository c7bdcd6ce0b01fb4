"""Samples go out into a folder and come back as they were."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omnireward.errors import BadRowError, SourceError
from omnireward.media_store import MediaStore
from omnireward.miniature.world import World, samples
from omnireward.sample_rows import FILE, read_samples, to_row, write_samples
from omnireward.sources import BadRows
from omnireward.types import Comparison, Media, Part, Sample, Task, Text, Turn

PROMPT = (Turn("user", (Text("Say it."),)),)
HOSTILE = 'a\n"b"\t\u2028</script> <|im_end|> \x00 é 𝕏'


def sample(response: tuple[Part, ...] = (Text("yes"),), **changed: object) -> Sample:
    other = (Text("no"),) if isinstance(response[0], Text) else response
    said = Sample("one", Task.T2T, Comparison(PROMPT, response, other, "Be brief."), "a", "c", ("g",), {"k": "v"})
    return replace(said, **changed)  # type: ignore[arg-type]


def back(folder: Path) -> list[Sample]:
    return list(read_samples(str(folder), BadRows()))


def seen(one: Sample) -> tuple[object, ...]:
    """A sample with its media by content."""
    return (one.id, one.task, one.preference, one.cluster, one.groups, one.provenance, one.comparison.digest())


def test_all_nine_tasks_come_back(tmp_path: Path) -> None:
    made = list(samples(World(prompts=1), "test"))
    assert write_samples(iter(made), tmp_path) == len(made) == 27
    assert [seen(one) for one in back(tmp_path)] == [seen(one) for one in made]
    assert {one.task for one in made} == set(Task) - {Task.TI2TI, Task.TA2A}


def test_what_was_read_is_written_as_it_stands(tmp_path: Path) -> None:
    write_samples(samples(World(prompts=1), "test"), tmp_path / "first")
    write_samples(back(tmp_path / "first"), tmp_path / "second")
    assert (tmp_path / "first" / FILE).read_bytes() == (tmp_path / "second" / FILE).read_bytes()


def test_any_text_comes_back(tmp_path: Path) -> None:
    one = sample((Text(HOSTILE),), id=HOSTILE, cluster=HOSTILE, groups=(HOSTILE,), provenance={HOSTILE: HOSTILE})
    write_samples([one], tmp_path)
    assert back(tmp_path) == [one]


def test_frames_stay_apart_from_a_single_file(tmp_path: Path) -> None:
    """A video of one frame is not a video file, so its digest differs."""
    for source in ((b"\x89PNG one",), (b"\x89PNG one", b"\x89PNG two"), b"\x00\x00\x00 ftyp"):
        one = sample((Media("video", source),), task=Task.T2V)
        write_samples([one], tmp_path)
        assert seen(back(tmp_path)[0]) == seen(one)


def test_a_mesh_takes_its_materials_along(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    mesh = tmp_path / "a" / "cube.obj"
    mesh.write_text("mtllib my material.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n")
    (tmp_path / "a" / "my material.mtl").write_text("newmtl m\nmap_Kd paint.png\n")
    (tmp_path / "a" / "paint.png").write_bytes(b"\x89PNG")
    one = sample((Media("mesh", mesh),), task=Task.T23D)
    write_samples([one], tmp_path / "out")
    (found,) = back(tmp_path / "out")
    assert seen(found) == seen(one)
    (media,) = found.comparison.response_a
    assert isinstance(media, Media)
    assert isinstance(media.source, Path)
    assert sorted(path.name for path in media.source.parent.iterdir()) == ["cube.obj", "my material.mtl", "paint.png"]


def test_a_medium_is_kept_once_however_often_and_from_wherever_it_comes(tmp_path: Path) -> None:
    (tmp_path / "x.jpeg").write_bytes(b"\x89PNG same")  # the name lies
    store = MediaStore(tmp_path / "out")
    names = [store.keep(Media("image", source)) for source in (tmp_path / "x.jpeg", b"\x89PNG same") * 2]
    assert names[0][0].endswith(".png")
    assert names == [names[0]] * 4
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == [tmp_path / "out" / names[0][0]]


def test_a_file_is_linked_and_outlives_its_source(tmp_path: Path) -> None:
    source = tmp_path / "x.png"
    source.write_bytes(b"\x89PNG")
    (tmp_path / "link.png").symlink_to(source)
    (name,) = MediaStore(tmp_path / "out").keep(Media("image", tmp_path / "link.png"))
    kept = tmp_path / "out" / name
    assert kept.samefile(source)
    source.unlink()
    assert kept.read_bytes() == b"\x89PNG"
    assert not kept.is_symlink()


def test_a_file_system_without_links_gets_a_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError

    monkeypatch.setattr(os, "link", refused)
    source = tmp_path / "x.png"
    source.write_bytes(b"\x89PNG")
    (name,) = MediaStore(tmp_path / "out").keep(Media("image", source))
    assert (tmp_path / "out" / name).read_bytes() == b"\x89PNG"
    assert not (tmp_path / "out" / name).samefile(source)


def test_a_file_that_did_not_end_well_is_not_there(tmp_path: Path) -> None:
    def torn() -> Iterator[Sample]:
        yield sample(id="two")
        raise RuntimeError("enough")

    write_samples([sample()], tmp_path)
    with pytest.raises(RuntimeError, match="enough"):
        write_samples(torn(), tmp_path)
    assert [one.id for one in back(tmp_path)] == ["one"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE]


def test_parquet_with_bytes_inside_is_read_as_well(tmp_path: Path) -> None:
    made = [one for one in samples(World(prompts=1), "test") if one.task is not Task.T23D]
    (tmp_path / "data").mkdir()
    (tmp_path / "made").mkdir()

    def embedded(media: Media) -> list[dict[str, object]]:
        return [
            {"bytes": piece if isinstance(piece, bytes) else piece.read_bytes(), "path": None}
            for piece in media.pieces()
        ]

    table = pa.Table.from_pylist(
        [{**to_row(one, embedded), "provenance": list(one.provenance.items())} for one in made],
        schema=_schema(),
    )
    pq.write_table(table, tmp_path / "data" / "train-00000-of-00001.parquet")
    assert [seen(one) for one in back(tmp_path)] == [seen(one) for one in made]


def _schema() -> pa.Schema:
    piece = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    parts = pa.list_(
        pa.struct([("kind", pa.string()), ("text", pa.string()), ("media", pa.list_(piece)), ("frames", pa.bool_())])
    )
    words = ["id", "task", "criterion", "preference", "cluster"]
    return pa.schema(
        [
            *((name, pa.string()) for name in words),
            ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", parts)]))),
            ("response_a", parts),
            ("response_b", parts),
            ("groups", pa.list_(pa.string())),
            ("provenance", pa.map_(pa.string(), pa.string())),
        ]
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", 3),
        ("task", "T2X"),
        ("preference", "c"),
        ("prompt", None),
        ("prompt", "hello"),
        ("prompt", ""),
        ("prompt", []),
        ("prompt", [{"role": "user", "content": []}]),
        ("prompt", [{"role": "robot", "content": []}]),
        ("prompt", ["hello"]),
        ("response_a", [{"kind": "smell"}]),
        ("response_a", ["hello"]),
        ("response_a", 0),
        ("response_a", []),
        ("response_a", [{"kind": "image", "media": [], "frames": True}]),
        ("response_a", [{"kind": "text", "text": None}]),
        ("response_a", [{"kind": "text", "text": "\ud800"}]),
        ("response_b", [{"kind": "image", "media": ["media/../../etc/passwd"]}]),
        ("response_b", [{"kind": "image", "media": ["/etc/passwd"]}]),
        ("response_b", [{"kind": "image", "media": ["media/none.png"]}]),
        ("response_b", [{"kind": "image", "media": []}]),
        ("response_b", [{"kind": "image", "media": None}]),
        ("groups", "all"),
        ("groups", 0),
        ("provenance", {"a": 1}),
        ("provenance", ["ab"]),
        ("provenance", "x"),
        ("cluster", None),
    ],
)
def test_rows_that_are_refused_name_their_field(tmp_path: Path, field: str, value: object) -> None:
    row = to_row(sample(), lambda _: [])
    (tmp_path / FILE).write_text(json.dumps({**row, field: value}) + "\n")
    with pytest.raises(BadRowError, match=rf"{field}"):
        back(tmp_path)
    bad_rows = BadRows(skip=True)
    assert list(read_samples(str(tmp_path), bad_rows)) == []
    assert [error.field for error in bad_rows.errors] == [field]


def test_a_response_that_is_not_of_the_task_is_refused(tmp_path: Path) -> None:
    """Or a row would count under a task that it is not of."""
    (tmp_path / FILE).write_text(json.dumps({**to_row(sample(), lambda _: []), "task": "T2I"}) + "\n")
    with pytest.raises(BadRowError, match=r"'response_a': holds text; a response of T2I is image"):
        back(tmp_path)


def test_a_file_of_samples_may_be_given_itself(tmp_path: Path) -> None:
    write_samples([sample()], tmp_path)
    assert list(read_samples(str(tmp_path / FILE), BadRows())) == back(tmp_path) == [sample()]


def test_folder_without_samples(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no samples"):
        back(tmp_path)
