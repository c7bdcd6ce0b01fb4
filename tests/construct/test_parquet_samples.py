"""Parquet gives back what it was given, in bounded row groups, and as the Hub's reader takes it."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import yaml
from tests.construct.mix_samples import asked, drawn, mixed, original, written

from omnireward.construct import parquet_samples
from omnireward.miniature.world import World, samples
from omnireward.types import Comparison, Media, Sample, Task, Text, Turn

OBJ = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"


def content(sample: Sample) -> tuple[Any, ...]:
    comparison = sample.comparison
    return (sample.task, sample.preference, sample.groups, comparison.digest())


def five_kinds(tmp_path: Path) -> list[Sample]:
    """All nine tasks, frames as pictures, a clip of one frame, and meshes from a file and from memory."""
    made = list(samples(World(prompts=1), "test"))
    prompt = (Turn("system", (Text("Be brief."),)), Turn("user", (Text("Show."),)))
    mesh = tmp_path / "plain.obj"
    mesh.write_bytes(OBJ)
    frames = (Media("video", (b"\x89PNG 1", b"\x89PNG 2")), Media("video", (b"\x89PNG 1",)))
    meshes = (Media("mesh", mesh), Media("mesh", OBJ + b"\n"))
    for task, (a, b) in ((Task.T2V, frames), (Task.T23D, meshes)):
        comparison = Comparison(prompt, (a,), (b,), "It should move.")
        made.append(Sample(f"{task.short} apart", task, comparison, "tie", "c", ("g", "h"), {"a": "b"}))
    return made


@pytest.mark.parametrize("form", ["parquet", "parquet-referenced", "samples"])
def test_nothing_is_lost(tmp_path: Path, form: str) -> None:
    made = five_kinds(tmp_path)
    found = mixed(tmp_path, made, form=form, balance=False)
    assert found.samples == len(made)
    back = {original(one): one for one in written(tmp_path / "out")}
    assert {name: content(one) for name, one in back.items()} == {one.id: content(one) for one in made}
    for one in made:
        assert back[one.id].provenance.items() >= one.provenance.items()
    assert (tmp_path / "out" / "media").exists() == (form != "parquet")


def test_a_mesh_of_several_files_is_refused_inside_and_kept_beside(tmp_path: Path) -> None:
    mesh = tmp_path / "cube.obj"
    mesh.write_bytes(b"mtllib cube.mtl\n" + OBJ)
    (tmp_path / "cube.mtl").write_text("newmtl m\nKd 1 0 0\n")
    comparison = Comparison((Turn("user", (Text("A cube."),)),), (Media("mesh", mesh),), (Media("mesh", OBJ),))
    one = Sample("cube", Task.T23D, comparison, "a", "c")
    found = mixed(tmp_path, [one, asked("Q")], form="parquet")
    assert dict(found.reasons()) == {"a mesh that names other files cannot be one cell": 1}
    mixed(tmp_path, [one, asked("Q")], form="parquet-referenced", out="beside", balance=False)
    assert content(one) in [content(back) for back in written(tmp_path / "beside")]


def test_row_groups_and_files_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows of about 20.4 kB: four fit into a group of 100 kB, and the tenth fills a file of 200 kB."""
    monkeypatch.setattr(parquet_samples, "GROUP_BYTES", 100_000)
    monkeypatch.setattr(parquet_samples, "FILE_BYTES", 200_000)
    made = [drawn(f"Draw {n}", (f"{n}" + "x" * 10_000, f"{n}'" + "x" * 10_000), id=str(n)) for n in range(20)]
    found = mixed(tmp_path, made, form="parquet")
    files = [pq.ParquetFile(tmp_path / "out" / name) for name in found.files]
    assert found.files == tuple(f"data/train-{n:05}-of-00002.parquet" for n in range(2))
    groups = [file.metadata.row_group(n).num_rows for file in files for n in range(file.num_row_groups)]
    assert groups == [4, 4, 2, 4, 4, 2]
    assert len(written(tmp_path / "out")) == 20


def test_fewer_files_than_before_leave_none_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_samples, "FILE_BYTES", 1)
    assert len(mixed(tmp_path, [asked(f"Q{n}") for n in range(3)], form="parquet").files) == 3
    assert len(mixed(tmp_path, [asked(f"Q{n}") for n in range(2)], form="parquet").files) == 2
    assert len(list((tmp_path / "out" / "data").iterdir())) == 2


def test_the_hubs_reader_takes_it_and_its_card(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    datasets = pytest.importorskip("datasets")
    made = [replace(one, provenance={"k": "v"}) for one in samples(World(prompts=1), "test")]
    found = mixed(tmp_path, made, form="parquet", splits={"train": 0.7, "test": 0.3})
    front = yaml.safe_load((tmp_path / "out" / "README.md").read_text().split("---")[1])
    monkeypatch.setattr(logging.getLogger("datasets"), "propagate", True)
    read = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert not caplog.records  # it warns of what it cannot use in a card
    sizes = Counter[str]()
    for portion in found.portions:
        sizes[portion.split] += portion.samples
    assert {split: read[split].num_rows for split in read} == sizes
    assert read["train"].features == datasets.Features._from_yaml_list(front["dataset_info"]["features"])
    first = read["train"][0]
    assert first["id"] == written(tmp_path / "out")[0].id
    assert {"name": "k", "value": "v"} in first["provenance"]


def test_very_large_media_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet_samples, "LARGEST", 100)
    samples = [drawn("one", ("x" * 101, "y")), drawn("both", ("x" * 60, "y" * 60)), drawn("none", ("x" * 60, "y"))]
    found = mixed(tmp_path, [*samples, asked("Q")], form="parquet")
    assert dict(found.reasons()) == {"media of over 1 GiB cannot be in one row": 2}
