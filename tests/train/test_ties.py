"""Training with ties: the loss, what is learned, what is kept, and what is refused."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file

from omnireward import plugins
from omnireward.backbones import BackboneFamily
from omnireward.errors import BadRowError, RecipeError
from omnireward.metrics import PairProbabilities
from omnireward.reward_model import RewardModel
from omnireward.sources import BadRows
from omnireward.tie_head import FILE, TieHead
from omnireward.train import bradley_terry
from omnireward.train.config import TrainConfig
from omnireward.train.losses import with_ties
from omnireward.train.mixing import mix
from omnireward.types import Sample

Places = dict[str, list[Sample | BadRowError]]
MakeSample = Callable[..., Sample]


@pytest.fixture
def config(tmp_path: Path, places: Places, make_sample: MakeSample) -> TrainConfig:
    """Tea beats rain where warmth is asked for; where colour is, neither does."""
    places["texts"] = [
        *(make_sample(f"{n}", "a", "tea", "rain", "It should be warm.") for n in range(3)),
        *(make_sample(f"{n}", "tie", "tea", "rain", "It should be red.") for n in range(3, 6)),
    ]
    return TrainConfig(
        out=tmp_path / "run",
        datasets={"texts": 1.0},
        steps=40,
        epochs=100.0,
        batch_size=6,
        accumulation=1,
        learning_rate=2e-3,
        tie_share=0.5,
        log_every=10,
    )


def _probabilities(folder: Path, sample: Sample) -> PairProbabilities:
    model = RewardModel.load(folder)
    assert model.ties is not None
    rewards, leeways = model.score_both([model.encode(sample.comparison, side) for side in ("a", "b")])
    assert leeways is not None
    return model.ties.probabilities(float(rewards[0] - rewards[1]), *leeways.tolist())


def test_the_loss_by_hand() -> None:
    """Rao and Kupper with d = log 5: a win at a margin of 0 has 1/6, a tie 4/6; (log 6 - log(4 / 6)) / 2 = 1.0986."""
    head = TieHead(4, "rao_kupper")
    said = head.log_probabilities(torch.zeros(2), torch.full((2,), math.log(4)))
    assert said[0].exp().tolist() == pytest.approx([1 / 6, 4 / 6, 1 / 6])
    loss = with_ties(said, torch.tensor([False, True]))
    assert loss.item() == pytest.approx((math.log(6) - math.log(4 / 6)) / 2, rel=1e-6)


@pytest.mark.parametrize("kind", ["rao_kupper", "davidson"])
def test_ties_are_learned_where_the_criterion_makes_them(config: TrainConfig, places: Places, kind: str) -> None:
    """One pair of responses is a tie under one criterion and none under another."""
    bradley_terry.train(replace(config, ties=kind))  # type: ignore[arg-type]
    won, tied = (cast(Sample, places["texts"][n]) for n in (0, 3))
    assert _probabilities(config.out, won)[0] > 0.9
    assert _probabilities(config.out, tied)[1] > 0.9
    told = json.loads((config.out / "data.json").read_text())
    assert (told["pairs"], told["ties"], told["ties_left_out"]) == (6, 3, 0)


def test_one_threshold_for_all_is_one_number(config: TrainConfig) -> None:
    bradley_terry.train(replace(config, tie_threshold="one", steps=3))
    found = load_file(config.out / FILE)
    assert not found["tie_head.weight"].any()
    # Three steps in a hundred of which the pace is the rate: it moved, and by far more than AdamW moves a number.
    assert abs(found["tie_head.bias"].item() - math.log(math.expm1(0.5))) > 0.05


def test_videoaligns_threshold_stays_where_it_is(config: TrainConfig) -> None:
    """softplus(log 4) = log 5: theta is 5."""
    bradley_terry.train(replace(config, ties="videoalign", steps=3))
    found = load_file(config.out / FILE)
    assert not found["tie_head.weight"].any()
    assert found["tie_head.bias"].item() == pytest.approx(math.log(4), rel=1e-6)


@pytest.mark.parametrize(
    ("optimizer", "rates"),
    [("adamw", {}), ("adamw", {"head": 1e-3}), ("muon", {})],
    ids=["adamw", "the head's own rate", "muon"],
)
def test_every_optimizer_trains_it(config: TrainConfig, optimizer: str, rates: dict[str, float]) -> None:
    bradley_terry.train(replace(config, optimizer=optimizer, learning_rates=rates, steps=2))  # type: ignore[arg-type]
    found = load_file(config.out / FILE)
    assert found["tie_head.weight"].any()


def test_dropped_ties_are_counted_and_leave_no_head(config: TrainConfig) -> None:
    bradley_terry.train(replace(config, ties="drop", steps=1))
    assert not (config.out / FILE).exists()
    told = json.loads((config.out / "data.json").read_text())
    assert (told["pairs"], told["ties"], told["ties_left_out"]) == (3, 0, 3)


def test_data_without_ties_are_trained_on_as_if_there_were_none(config: TrainConfig, places: Places) -> None:
    """The same weights to the last bit, and no head that nothing taught."""
    places["texts"] = places["texts"][:3]
    for ties, out in (("rao_kupper", config.out), ("drop", config.out.with_name("dropped"))):
        bradley_terry.train(replace(config, ties=ties, out=out, steps=3))  # type: ignore[arg-type]
    assert not (config.out / FILE).exists()
    first, second = (load_file(out / "model.safetensors") for out in (config.out, config.out.with_name("dropped")))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_share_of_ties_is_kept(config: TrainConfig) -> None:
    """At most a quarter of four samples: one of the three ties."""
    bradley_terry.train(replace(config, tie_share=0.25, steps=1))
    told = json.loads((config.out / "data.json").read_text())
    assert (told["pairs"], told["ties"], told["ties_left_out"]) == (4, 1, 2)


@pytest.mark.parametrize("budget", [1, 30, 10**6])
def test_passes_change_nothing(config: TrainConfig, budget: int) -> None:
    """Loss and gradients of a step are those of the mean over all its pairs, whichever pass each is in."""
    mixture = mix(config.datasets, BadRows(), ties=True)
    config.out.mkdir()
    torch.manual_seed(0)
    family = cast(BackboneFamily, plugins.load("backbones", "text"))
    model = RewardModel(family.tiny(["It should be warm.", "Write about tea."] * 9, 0), "text", "natural")
    model.ties = ties = TieHead(model.backbone.hidden_size, "rao_kupper")
    chosen, rejected = (
        model([model.encode(sample.comparison, side) for sample in mixture.samples], leeways=True)
        for side in ("a", "b")
    )
    tied = torch.tensor([sample.preference == "tie" for sample in mixture.samples])
    said = ties.log_probabilities(chosen[:, 0] - rejected[:, 0], (chosen[:, 1] + rejected[:, 1]) / 2)
    expected = with_ties(said, tied)
    wanted = torch.autograd.grad(expected, [ties.weight, ties.pace, model.head.weight])
    trainer = bradley_terry.BradleyTerryTrainer(model, replace(config, tokens_per_pass=budget), mixture, BadRows(), {})
    model.zero_grad()
    found = trainer.training_step(model, trainer.begin_step(mixture.samples))
    torch.testing.assert_close(found, expected.detach())
    for parameter, gradient in zip((ties.weight, ties.pace, model.head.weight), wanted, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-6)
    trainer.bar.close()
    trainer.ahead.close()


@pytest.fixture
def on(config: TrainConfig) -> TrainConfig:
    """Three steps more, from a model that has learned ties."""
    bradley_terry.train(replace(config, steps=3))
    return replace(config, model=str(config.out), out=config.out.with_name("on"), steps=3)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ties": "davidson"}, "it learned ties with rao_kupper, and --ties davidson is another"),
        ({"ties": "videoalign"}, "a threshold of its own there, and --ties videoalign"),
        ({"tie_threshold": "one"}, "a threshold of its own there"),
    ],
    ids=["kind", "fixed", "one"],
)
def test_a_model_with_ties_is_trained_on_with_the_same_kind_only(
    on: TrainConfig, change: dict[str, Any], said: str
) -> None:
    with pytest.raises(RecipeError, match=said):
        bradley_terry.train(replace(on, **change))


def test_data_without_ties_would_teach_a_tie_head_that_there_are_none(
    on: TrainConfig, places: Places, make_sample: MakeSample
) -> None:
    places["texts"] = [make_sample(f"{n}") for n in range(6)]
    with pytest.raises(RecipeError, match=r"the data have no ties.*take the head away with --ties drop"):
        bradley_terry.train(on)


def test_dropping_ties_takes_the_head_away(on: TrainConfig) -> None:
    bradley_terry.train(replace(on, ties="drop"))
    assert not (on.out / FILE).exists()
    assert RewardModel.load(on.out).ties is None


def test_it_learns_on(on: TrainConfig) -> None:
    bradley_terry.train(on)
    before, after = (load_file(Path(folder) / FILE) for folder in (on.model, on.out))
    assert not torch.equal(before["tie_head.weight"], after["tie_head.weight"])
    torch.testing.assert_close(before["tie_head.bias"], after["tie_head.bias"], rtol=0, atol=0.5)
