"""What several processes of a run agree on, as far as one process can show it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import cast

import pytest
import torch

from omnireward import plugins
from omnireward.backbones import BackboneFamily
from omnireward.errors import BadRowError, MissingExtraError, RecipeError, TrainingError
from omnireward.reward_model import RewardModel
from omnireward.sources import BadRows
from omnireward.train import together
from omnireward.train.arguments import arguments, check, zero2
from omnireward.train.config import TrainConfig
from omnireward.train.mixing import SeededOrder, mix
from omnireward.types import Sample

Places = dict[str, list[Sample | BadRowError]]
MakeSamples = Callable[[Sequence[str]], list[Sample | BadRowError]]


@pytest.fixture
def order(places: Places, make_samples: MakeSamples) -> SeededOrder:
    """Eleven samples."""
    places["texts"] = make_samples([f"topic {number}" for number in range(11)])
    return SeededOrder(mix({"texts": 1.0}, BadRows()), seed=3)


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_shares_of_all_processes_are_the_steps_of_one(order: SeededOrder, world: int) -> None:
    """Eleven samples in steps of four: three steps, the last of three. Each sample once, in runs, evenly."""
    shares = [list(together.Shares(order, 4, rank, world)) for rank in range(world)]
    steps = [[*chain.from_iterable(step)] for step in zip(*shares, strict=True)]
    everything = list(order)
    assert steps == [everything[:4], everything[4:8], everything[8:]]
    for step in zip(*shares, strict=True):
        lengths = [len(share) for share in step]
        assert max(lengths) - min(lengths) <= 1
    assert all(len(together.Shares(order, 4, rank, world)) == 3 for rank in range(world))


def test_shares_follow_the_epoch(order: SeededOrder) -> None:
    shares = together.Shares(order, 4, 1, 2)
    first = list(shares)
    shares.sampler.set_epoch(1)
    assert list(shares) != first


def test_alone_a_process_agrees_with_itself() -> None:
    assert together.agree(3, 2, None) == together.Agreed(counted=3, passes=2)
    assert together.tell([1.0, 2.5]).tolist() == [[1.0, 2.5]]
    assert together.union({4, 2}) == {2, 4}


def test_its_own_error_is_raised_as_it_is() -> None:
    error = BadRowError("file", 1, "id", "broken")
    with pytest.raises(BadRowError) as raised:
        together.agree(0, 0, error)
    assert raised.value is error


def test_another_process_is_named_when_it_had_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    told = torch.tensor([[3.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    monkeypatch.setattr(together, "tell", lambda _: told)
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(TrainingError, match="process 1 of 2 had to stop"):
        together.agree(3, 1, None)


def test_pairs_are_counted_over_all_and_passes_are_the_most(monkeypatch: pytest.MonkeyPatch) -> None:
    told = torch.tensor([[3.0, 1.0, 0.0], [0.0, 0.0, 0.0], [4.0, 5.0, 0.0]], dtype=torch.float64)
    monkeypatch.setattr(together, "tell", lambda _: told)
    assert together.agree(3, 1, None) == together.Agreed(counted=7, passes=5)


CONFIG = TrainConfig(out=Path("out"), batch_size=2, accumulation=3)


def test_a_step_has_the_pairs_that_the_config_says_however_many_share_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """By hand: 2 x 3."""
    assert CONFIG.per_step == 6
    monkeypatch.setenv("WORLD_SIZE", "4")
    check(CONFIG)
    monkeypatch.delenv("WORLD_SIZE")
    assert arguments(CONFIG).per_device_train_batch_size == 6


def test_more_processes_than_pairs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "7")
    with pytest.raises(RecipeError, match="too small for 7 processes"):
        check(CONFIG)


def test_sharding_of_one_process_is_refused() -> None:
    with pytest.raises(RecipeError, match="several processes: torchrun"):
        check(replace(CONFIG, sharding="fsdp"))


@pytest.mark.parametrize(("name", "instead"), [("ACCELERATE_USE_FSDP", "fsdp"), ("ACCELERATE_USE_DEEPSPEED", "zero2")])
def test_sharding_by_the_launcher_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, instead: str) -> None:
    monkeypatch.setenv(name, "true")
    with pytest.raises(RecipeError, match=rf"{name}.*--sharding {instead}"):
        check(CONFIG)
    with pytest.raises(RecipeError, match=name):  # accelerate would split it once more
        check(replace(CONFIG, sharding="fsdp"))


@pytest.mark.parametrize(
    ("name", "says"),
    [("tensorbord", "names 'tensorbord'; known: none, .*tensorboard"), ("wandb", "is not installed here")],
)
def test_a_tracker_that_is_not_there_is_refused_before_anything_is_read(
    monkeypatch: pytest.MonkeyPatch, name: str, says: str
) -> None:
    monkeypatch.setattr("omnireward.train.arguments.get_available_reporting_integrations", list)
    check(CONFIG)
    with pytest.raises(RecipeError, match=says):
        check(replace(CONFIG, report_to=name))


def test_zero_without_deepspeed_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnireward.train.arguments.find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r"omnireward\[deepspeed\]"):
        check(replace(CONFIG, sharding="zero2"))


def test_bfloat16_under_zero_is_autocast_and_no_weight_is_rounded() -> None:
    settings = zero2(replace(CONFIG, sharding="zero2", bf16=True))
    assert settings["torch_autocast"] == {"enabled": True, "dtype": "bfloat16"}
    assert settings["bf16"] == {"enabled": False}


@pytest.mark.parametrize("learning", [True, False], ids=["learning", "frozen"])
def test_a_tower_that_a_batch_does_not_call_has_gradients_of_nothing_while_it_learns(
    order: SeededOrder, learning: bool
) -> None:
    """A text alone. With none, processes whose batch calls the tower would wait for this one's share."""
    backbone = cast(BackboneFamily, plugins.load("backbones", "minicpm_o")).tiny(["Write about topic."], 0)
    model = RewardModel(backbone, "minicpm_o", "natural").train()
    if not learning:
        model.freeze(model.towers)
    comparison = order.mixture.samples[0].comparison
    model([model.encode(comparison, "a")]).sum().backward()
    towers = model.tower_parameters()
    assert len(towers) > 10
    if learning:
        assert all(weight.grad is not None and not weight.grad.any() for weight in towers)
    else:
        assert all(weight.grad is None for weight in towers)
