"""Where a start begins: anew, from a checkpoint of the same run, or not at all."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from omnireward.errors import BadRowError, RecipeError, TrainingError
from omnireward.sources import BadRows
from omnireward.train import bradley_terry, checkpoints, resuming, surviving
from omnireward.train.config import TrainConfig
from omnireward.train.mixing import mix
from omnireward.types import Sample

Places = dict[str, list[Sample | BadRowError]]
MakeSample = Callable[..., Sample]


@pytest.fixture
def config(tmp_path: Path, places: Places, make_sample: MakeSample) -> TrainConfig:
    places["texts"] = [make_sample(f"topic {n}") for n in range(4)]
    return TrainConfig(out=tmp_path / "run", datasets={"texts": 1.0}, batch_size=2, accumulation=1, save_every=1)


def _identity(config: TrainConfig) -> resuming.Identity:
    mixture = mix(config.datasets, BadRows())
    return resuming.identity(config, mixture.samples, mixture.order(config.seed, 0))


def _checkpoint(config: TrainConfig) -> Path:
    fresh = checkpoints.staging(config.out) / "checkpoint-3"
    fresh.mkdir(parents=True)
    resuming.write(fresh, _identity(config))
    return checkpoints.publish(fresh, config.out)


def test_the_newest_checkpoint_of_the_same_run_is_taken(config: TrainConfig) -> None:
    folder = _checkpoint(config)
    again = replace(config, resume=True)
    assert resuming.begin(again)
    assert resuming.checkpoint(again, _identity(again)) == folder


@pytest.mark.parametrize(
    ("field", "value", "before"),
    [
        ("learning_rate", 0.5, "2e-06"),
        ("batch_size", 3, "2"),
        ("seed", 1, "0"),
        ("freeze", ("vision",), r"\['vision', 'audio'\]"),
        ("steps", 9, "None"),
        ("head_dropout", 0.1, "0.0"),
    ],
)
def test_another_config_is_refused_by_the_field(config: TrainConfig, field: str, value: Any, before: str) -> None:
    _checkpoint(config)
    other = replace(config, resume=True, **{field: value})
    with pytest.raises(RecipeError, match=rf"{field} is .*, and .*checkpoint-3 was trained with {before}\. Resume"):
        resuming.checkpoint(other, _identity(other))


def test_a_run_of_before_ties_were_learned_dropped_them(config: TrainConfig) -> None:
    folder = _checkpoint(replace(config, ties="drop"))
    kept = json.loads((folder / "run.json").read_bytes())
    del kept["config"]["ties"]
    (folder / "run.json").write_text(json.dumps(kept))
    resuming.check(folder, _identity(replace(config, ties="drop")), TrainConfig)
    with pytest.raises(RecipeError, match=r"ties is 'rao_kupper', and .* was trained with 'drop'"):
        resuming.check(folder, _identity(config), TrainConfig)


def test_what_changes_nothing_that_is_learned_may_change(config: TrainConfig) -> None:
    folder = _checkpoint(config)
    other = replace(
        config, resume=True, save_every=7, log_every=3, report_to="wandb", tokens_per_pass=99, skip_bad_rows=True
    )
    assert resuming.checkpoint(other, _identity(other)) == folder


def test_a_run_may_be_moved_with_what_is_beside_it(config: TrainConfig, tmp_path: Path) -> None:
    _checkpoint(config)
    moved = replace(config, resume=True, out=tmp_path / "elsewhere" / "run")
    moved.out.parent.mkdir()
    config.out.rename(moved.out)
    assert resuming.checkpoint(moved, _identity(moved)) == moved.out / "checkpoint-3"


@pytest.mark.parametrize("change", ["fewer", "another id", "another text"])
def test_other_data_are_refused(config: TrainConfig, places: Places, make_sample: MakeSample, change: str) -> None:
    _checkpoint(config)
    first = make_sample("topic 0")
    places["texts"] = {
        "fewer": places["texts"][1:],
        "another id": [replace(first, id="topic 9"), *places["texts"][1:]],
        "another text": [make_sample("topic 0", b="worse"), *places["texts"][1:]],
    }[change]
    again = replace(config, resume=True)
    with pytest.raises(RecipeError, match=r"the data are not those that .*checkpoint-3 was trained on"):
        resuming.checkpoint(again, _identity(again))


def test_another_number_of_processes_is_told(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _checkpoint(config)
    monkeypatch.setenv("WORLD_SIZE", "2")
    again = replace(config, resume=True)
    assert resuming.checkpoint(again, _identity(again))
    assert "2 processes go on with what 1 began" in capsys.readouterr().err


def test_with_no_checkpoint_yet_a_resumed_run_begins_from_the_start(
    config: TrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    again = replace(config, resume=True)
    assert resuming.begin(again)
    assert resuming.checkpoint(again, _identity(again)) is None
    assert "the run begins from the start" in capsys.readouterr().err


def test_a_setting_that_is_newer_than_a_checkpoint_had_its_default(config: TrainConfig) -> None:
    folder = _checkpoint(config)
    kept = json.loads((folder / resuming.RUN).read_text())
    del kept["config"]["lora_rank"]
    (folder / resuming.RUN).write_text(json.dumps(kept))
    resuming.check(folder, _identity(config), TrainConfig)
    with pytest.raises(RecipeError, match=r"lora_rank is 4, and .*checkpoint-3 was trained with 0\."):
        resuming.check(folder, _identity(replace(config, lora_rank=4)), TrainConfig)


def test_another_run_in_the_same_folder_is_refused_and_leaves_it_alone(config: TrainConfig) -> None:
    saving = checkpoints.staging(config.out)
    with resuming.alone(config.out):
        saving.mkdir()
        for resume in (False, True):
            with pytest.raises(RecipeError, match=r"another run trains into .* at this moment"):
                bradley_terry.train(replace(config, resume=resume))
        assert saving.is_dir()
    bradley_terry.train(replace(config, steps=1, save_every=0))
    assert not saving.exists()


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ([[1, 3], [1, 2]], "at step 3, at step 2"),
        ([[1, 3], [1, -1]], "at step 3, from the start"),
        ([[1, -1], [0, -1]], ""),
    ],
    ids=["another step", "no checkpoint", "another folder"],
)
def test_processes_that_see_different_folders_stop_before_the_first_step(
    config: TrainConfig, monkeypatch: pytest.MonkeyPatch, told: list[list[float]], says: str
) -> None:
    """`told` is what two processes say: whether they see what the first one wrote, and the checkpoint's step."""
    monkeypatch.setattr(resuming, "tell", lambda _: torch.tensor(told))
    with pytest.raises(TrainingError, match=f"do not see the same files .*{says}.*one file system"):
        resuming.meet(config.out, None)


@pytest.mark.parametrize(("before", "now"), [(1, 1), (2, 2), (1, 2), (2, 1), (3, 2), (2, 5)])
def test_what_was_not_logged_is_taken_up_once_by_any_number_of_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: int, now: int
) -> None:
    """The logged loss is the mean over processes; the losses that are watched are the same for all."""

    class Gathering(surviving.SurvivingTrainer):
        def __init__(self) -> None:
            self.taken: list[int] = []

        def take_up(self, unlogged: Mapping[str, Any]) -> None:
            self.taken.append(unlogged["of"])

    for number in range(before):
        kept = {"loss": 1.0 + number, "last_logged": 8, "losses": [0.7], "of": number}
        (tmp_path / surviving.UNLOGGED.format(rank=number)).write_text(json.dumps(kept))
    monkeypatch.setattr(surviving, "world", lambda: now)
    shares, taken = [], []
    for number in range(now):
        monkeypatch.setattr(surviving, "rank", lambda number=number: number)
        trainer = Gathering()
        found = trainer._take_up(tmp_path)
        assert (found["last_logged"], found["losses"]) == (8, [0.7])
        shares.append(found["loss"])
        taken += trainer.taken
    assert sum(shares) / now == pytest.approx((1 + before) / 2)  # the mean of 1, 2, ...
    assert sorted(taken) == list(range(before))


def test_without_resume_the_checkpoints_of_a_stopped_run_are_not_touched(config: TrainConfig) -> None:
    folder = _checkpoint(config)
    with pytest.raises(RecipeError, match="holds checkpoints of a run that was stopped; go on with --resume"):
        bradley_terry.train(replace(config, seed=1))
    assert checkpoints.fault(folder) is None
    assert not (config.out / "config.yaml").exists()


def test_a_finished_run_is_finished(config: TrainConfig, capsys: pytest.CaptureFixture[str]) -> None:
    bradley_terry.train(replace(config, steps=1, save_every=0))
    before = {path: path.stat().st_mtime_ns for path in config.out.rglob("*")}
    assert bradley_terry.train(replace(config, steps=1, save_every=0, resume=True)) == config.out
    assert {path: path.stat().st_mtime_ns for path in config.out.rglob("*")} == before
    assert "holds the finished model: nothing to resume" in capsys.readouterr().err


def test_the_saved_config_is_that_of_the_run_not_of_this_start(config: TrainConfig) -> None:
    bradley_terry.train(replace(config, steps=1, save_every=0, resume=True))
    assert "resume: false" in (config.out / "config.yaml").read_text()
