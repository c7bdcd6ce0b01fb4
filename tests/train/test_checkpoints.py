"""Checkpoints: published whole, checked before they are believed, and a disk that is full spoils none."""

from __future__ import annotations

import json
import resource
import shutil
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch

from omnireward import plugins
from omnireward.backbones import BackboneFamily
from omnireward.errors import BadRowError, CheckpointError, RecipeError, TrainingError
from omnireward.reward_model import RewardModel, holds_model
from omnireward.train import bradley_terry, checkpoints
from omnireward.train.config import TrainConfig
from omnireward.train.surviving import SurvivingTrainer
from omnireward.types import Sample

FILES = ("model.safetensors", "optimizer.pt", "rng_state.pth", "trainer_state.json", "shards/rank_0.distcp")
Usage = namedtuple("Usage", "total used free")


def _publish(out: Path, step: int) -> Path:
    fresh = checkpoints.staging(out) / f"checkpoint-{step}"
    for name in FILES:
        (fresh / name).parent.mkdir(parents=True, exist_ok=True)
        (fresh / name).write_bytes(f"{name} {step} ".encode() * 99)
    return checkpoints.publish(fresh, out)


def _flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_checkpoint_is_published_with_digests_of_all_its_files(tmp_path: Path) -> None:
    folder = _publish(tmp_path, 3)
    assert folder == tmp_path / "checkpoint-3"
    assert set(json.loads((folder / "manifest.json").read_text())["files"]) == set(FILES)
    assert checkpoints.fault(folder) is None
    assert checkpoints.newest(tmp_path) == folder


def test_what_another_process_wrote_elsewhere_is_missed(tmp_path: Path) -> None:
    (tmp_path / "one").touch()
    checkpoints.expect(tmp_path, ["one"])
    with pytest.raises(TrainingError, match=r"is not whole: other processes wrote two, .* one file system"):
        checkpoints.expect(tmp_path, ["one", "two"])


@pytest.mark.parametrize("name", [*FILES, "manifest.json"])
def test_a_flipped_bit_in_any_file_is_found_named_and_passed_over(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    older, damaged = _publish(tmp_path, 3), _publish(tmp_path, 6)
    _flip(damaged / name, (damaged / name).read_bytes().index(b"t"))
    assert checkpoints.newest(tmp_path) == older
    said = capsys.readouterr().err
    assert str(damaged) in said
    assert "damaged and passed over" in said
    assert name == "manifest.json" or f"{name} no longer has the bytes that were written" in said


def _shorten(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("damage", "name", "says"),
    [
        (_shorten, "optimizer.pt", "optimizer.pt has 1,484 bytes, and 1,485 were written"),  # 99 times 15 bytes
        (Path.unlink, "optimizer.pt", "optimizer.pt is missing"),
        (Path.unlink, "manifest.json", "manifest.json is missing, so it was not written to its end"),
        (_shorten, "manifest.json", None),  # its line break alone
        (lambda path: path.write_text("[]"), "manifest.json", "manifest.json cannot be read"),
        (lambda path: path.write_text('{"files": {"a": 1}}'), "manifest.json", "manifest.json cannot be read"),
    ],
)
def test_files_that_are_cut_or_gone_are_found(
    tmp_path: Path, damage: Callable[[Path], None], name: str, says: str | None
) -> None:
    folder = _publish(tmp_path, 3)
    damage(folder / name)
    found = checkpoints.fault(folder)
    assert found is None if says is None else says in (found or "")


def test_the_newest_is_that_of_the_highest_step_not_of_the_last_name(tmp_path: Path) -> None:
    for step in (9, 10):
        _publish(tmp_path, step)
    (tmp_path / "checkpoint-best").mkdir()
    assert checkpoints.newest(tmp_path) == tmp_path / "checkpoint-10"


def test_where_every_checkpoint_is_damaged_nothing_is_resumed(tmp_path: Path) -> None:
    for step in (3, 6):
        (_publish(tmp_path, step) / "optimizer.pt").unlink()
    with pytest.raises(RecipeError, match=r"no checkpoint is whole \(checkpoint-6: optimizer.pt .*; checkpoint-3: "):
        checkpoints.newest(tmp_path)
    assert checkpoints.newest(tmp_path / "none") is None


def test_two_whole_ones_are_kept_and_damaged_ones_do_not_count(tmp_path: Path) -> None:
    for step in (3, 6, 9):
        _publish(tmp_path, step)
    assert sorted(path.name for path in tmp_path.glob("checkpoint-*")) == ["checkpoint-6", "checkpoint-9"]
    (tmp_path / "checkpoint-9" / "optimizer.pt").unlink()
    _publish(tmp_path, 12)
    kept = {path.name for path in tmp_path.glob("checkpoint-*")}
    assert kept == {"checkpoint-6", "checkpoint-9", "checkpoint-12"}  # 9 stays to be looked at


def test_a_damaged_one_gives_way_when_its_step_comes_again(tmp_path: Path) -> None:
    _publish(tmp_path, 3)
    (_publish(tmp_path, 6) / "optimizer.pt").unlink()
    assert checkpoints.fault(_publish(tmp_path, 6)) is None


def test_leftovers_of_interrupted_saves_are_removed_and_nothing_else(tmp_path: Path) -> None:
    whole = _publish(tmp_path, 3)
    (checkpoints.staging(tmp_path) / "checkpoint-6").mkdir(parents=True, exist_ok=True)
    (tmp_path / ".saving-gone-checkpoint-1").mkdir()
    (tmp_path / "log.jsonl").touch()
    checkpoints.clear(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [whole.name, "log.jsonl"]


def test_a_last_whole_checkpoint_is_there_while_the_next_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever of the calls that change the disk is the last one, there is a whole checkpoint afterwards."""
    for step in (3, 6):
        _publish(tmp_path / "start", step)
    calls = 0

    def dying(plain: Any) -> Any:
        def call(*given: Any, **more: Any) -> Any:
            nonlocal calls
            calls -= 1
            if calls == 0:
                raise KeyboardInterrupt
            return plain(*given, **more)

        return call

    for place, name in ((checkpoints, "synced"), (Path, "rename"), (shutil, "rmtree")):
        monkeypatch.setattr(place, name, dying(getattr(place, name)))
    for last in range(1, 99):
        out = tmp_path / f"run {last}"
        shutil.copytree(tmp_path / "start", out)
        calls = last
        try:
            _publish(out, 9)
        except KeyboardInterrupt:
            calls = 0
            assert checkpoints.newest(out) in (out / "checkpoint-6", out / "checkpoint-9")
        else:
            break
    assert 10 < last < 99  # synced: five files, manifest, two folders, out; renamed and removed: one each


@pytest.fixture
def config(
    tmp_path: Path, places: dict[str, list[Sample | BadRowError]], make_sample: Callable[..., Sample]
) -> TrainConfig:
    places["texts"] = [make_sample(f"topic {n}") for n in range(4)]
    return TrainConfig(
        out=tmp_path / "run", datasets={"texts": 1.0}, steps=2, batch_size=2, accumulation=1, save_every=1, log_every=1
    )


@contextmanager
def _files_up_to(size: int) -> Iterator[None]:
    """The system refuses to write more than so many bytes into a file, as it does where a disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("written_by", ["safetensors", "torch"])
def test_a_full_disk_is_a_clear_error_and_the_last_checkpoint_stays_whole(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, written_by: str
) -> None:
    """In the second save, files end at 100 kB. The weights take some MB; torch says nothing of the reason by itself."""
    place, name = (torch, "save") if written_by == "torch" else (SurvivingTrainer, "save_model")
    plain, calls = getattr(place, name), 0

    def save(*given: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls <= (3 if written_by == "torch" else 1):  # optimizer, scheduler and generators of the first save
            return plain(*given, **more)
        with _files_up_to(100_000):
            return plain(*given, **more)

    monkeypatch.setattr(place, name, save)
    with pytest.raises(TrainingError, match=r"checkpoint-2 could not be written.* MB are free in .*checkpoint-1 is wh"):
        bradley_terry.train(config)
    assert checkpoints.newest(config.out) == config.out / "checkpoint-1"
    assert not list(config.out.glob(".saving-*"))
    assert not holds_model(config.out)


def test_a_disk_that_is_too_full_is_seen_before_anything_is_written(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tiny model is fp32 with two moments of what is trained, so a checkpoint takes some MB."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 1_000_000))
    with pytest.raises(TrainingError, match=r"too full\. It needs about \d+\.\d MB, and 1\.0 MB are free"):
        bradley_terry.train(replace(config, steps=1))
    assert not list(config.out.glob("*checkpoint*"))


def test_a_model_is_the_old_one_the_new_one_or_refused_wherever_its_save_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = cast(BackboneFamily, plugins.load("backbones", "minicpm_o"))
    model = RewardModel(family.tiny(["some words"], 0), "minicpm_o", "natural")
    model.head.bias.data.fill_(1.0)
    model.save(tmp_path / "start")
    model.head.bias.data.fill_(2.0)
    plain, left, found = Path.replace, 0, []

    def replaced(self: Path, target: Path) -> Path:
        nonlocal left
        left -= 1
        if left == 0 and self.parent.parent == out:
            raise KeyboardInterrupt
        return plain(self, target)

    monkeypatch.setattr(Path, "replace", replaced)
    for last in range(1, 99):
        out = tmp_path / str(last)
        shutil.copytree(tmp_path / "start", out)
        left = last
        try:
            model.save(out)
        except KeyboardInterrupt:
            left = 0
            assert not holds_model(out)
            with pytest.raises(CheckpointError, match=r"has no value_head\.safetensors"):
                RewardModel.load(out)
            found.append(last)
        else:
            break
    assert len(found) >= 6  # files of a checkpoint
    assert RewardModel.load(out).head.bias.item() == 2.0
