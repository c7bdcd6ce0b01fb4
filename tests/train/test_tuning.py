"""What a run trains: whole or by adapters, by part, with a rate for each, and with layers computed again."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from omnireward import lora, plugins
from omnireward.backbones import BackboneFamily
from omnireward.encoded import Encoded
from omnireward.errors import BadRowError, MissingExtraError, RecipeError, UnknownNameError
from omnireward.miniature.world import World, samples
from omnireward.on_base import quantised_layers
from omnireward.parts import Parts
from omnireward.reward_model import RewardModel
from omnireward.train import bradley_terry
from omnireward.train.config import TrainConfig
from omnireward.train.tuning import checkpoint_layers, groups, parts_of, tune
from omnireward.types import PAPER_TASKS, Comparison, Sample, Task, Text

Places = dict[str, list[Sample | BadRowError]]
MakeSample = Callable[..., Sample]
WORDS = ["What is in the picture?", "The answer should be polite.", "A red circle on the left. Thank you for asking."]


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny backbone in a folder, without a head, as a chat model would be."""
    folder = tmp_path_factory.mktemp("chat")
    cast(BackboneFamily, plugins.load("backbones", "minicpm_o")).tiny(WORDS * 20, 0).save(folder)
    return folder


@pytest.fixture
def config(tmp_path: Path, chat: Path, places: Places, make_sample: MakeSample) -> TrainConfig:
    """Two steps on one pair of texts."""
    places["texts"] = [make_sample("tea", "b", a="a cup of rain", b="leaves in water", criterion="It should be true.")]
    return TrainConfig(
        out=tmp_path / "run",
        model=str(chat),
        datasets={"texts": 1.0},
        steps=2,
        epochs=99.0,
        accumulation=1,
        learning_rate=1e-3,
        log_every=1,
    )


def _model(config: TrainConfig) -> RewardModel:
    torch.manual_seed(0)
    model = RewardModel.load_or_new_head(config.model)
    tune(model, config)
    return model


def _learning(model: RewardModel) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def _of(model: RewardModel, *prefixes: str) -> set[str]:
    return {name for name, _ in model.named_parameters() if name.startswith(tuple(f"backbone.{p}" for p in prefixes))}


HEAD = {"head.weight", "head.bias"}


@pytest.mark.parametrize(
    ("freeze", "thaw", "prefixes"),
    [
        (("vision", "audio"), (), ("llm.",)),
        ((), (), ("",)),
        (("vision", "audio", "llm"), (), ("nothing",)),
        (("vision", "audio"), ("projectors",), ("llm.", "resampler.", "audio_projection_layer.")),
        (("vision", "audio", "llm"), ("projectors",), ("resampler.", "audio_projection_layer.")),
        (("projectors",), (), ("llm.", "vpm.", "apm.")),
        (("vision",), (), ("llm.", "apm.", "audio_projection_layer.")),
    ],
)
def test_parts_are_frozen_and_thawed_by_name_and_the_head_never(
    config: TrainConfig, freeze: tuple[str, ...], thaw: tuple[str, ...], prefixes: tuple[str, ...]
) -> None:
    """By the names of the published weights."""
    model = _model(replace(config, freeze=freeze, thaw=thaw))
    assert _learning(model) == _of(model, *prefixes) | HEAD


def test_what_is_frozen_stays_in_training_and_the_rest_moves(config: TrainConfig, chat: Path) -> None:
    """Text alone, so that no tower has a gradient, frozen or not."""
    config = replace(config, weight_decay=0.0)  # which moves weights without a gradient too
    bradley_terry.train(replace(config, thaw=("projectors",), learning_rates={"head": 1e-2}))
    before, after = load_file(chat / "model.safetensors"), load_file(config.out / "model.safetensors")
    moved = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert moved
    assert all(name.startswith("llm.") for name in moved)
    assert "llm.model.layers.0.self_attn.q_proj.weight" in moved


def test_groups_have_the_rates_of_their_parts_and_no_decay_on_norms_and_biases(config: TrainConfig) -> None:
    rates = {"llm": 3e-6, "projectors": 2e-4, "vision": 5e-6, "head": 7e-3}
    config = replace(config, freeze=(), learning_rates=rates, weight_decay=0.1)
    model = _model(config)
    decayed = [name for name, parameter in model.named_parameters() if parameter.ndim > 1]
    found = groups(model, config, decayed)
    rate = {id(p): (group["lr"], group["weight_decay"]) for group in found for p in group["params"]}
    assert len(rate) == sum(len(group["params"]) for group in found) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        inside = name.removeprefix("backbone.")
        if inside.startswith(("resampler.", "audio_projection_layer.")):
            wanted = 2e-4  # the narrower part's
        elif inside.startswith("vpm."):
            wanted = 5e-6
        elif inside.startswith("apm."):
            wanted = 1e-3  # nothing was said of audio
        else:
            wanted = 7e-3 if name in HEAD else 3e-6
        assert rate[id(parameter)] == (wanted, 0.1 if parameter.ndim > 1 else 0.0), name
    assert found[0]["lr"] == 3e-6  # which is what the log shows


def test_rates_reach_the_optimizer_and_its_schedule(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of two steps is half-way down the cosine: half of each peak (cos(pi / 2) = 0)."""
    seen: dict[str, Any] = {}
    made = bradley_terry.BradleyTerryTrainer.create_optimizer

    def remember(self: Any, model: Any = None) -> Any:
        seen["optimizer"] = made(self, model)
        seen["peaks"] = [(group["lr"], group["weight_decay"]) for group in seen["optimizer"].param_groups]
        return seen["optimizer"]

    monkeypatch.setattr(bradley_terry.BradleyTerryTrainer, "create_optimizer", remember)
    bradley_terry.train(replace(config, learning_rates={"head": 1e-2}, weight_decay=0.1, warmup=0.0))
    assert seen["peaks"] == [(1e-3, 0.1), (1e-3, 0.0), (1e-2, 0.1), (1e-2, 0.0)]
    log = [json.loads(line) for line in (config.out / "log.jsonl").read_text().splitlines()]
    assert [line["learning_rate"] for line in log if "loss" in line] == pytest.approx([1e-3, 5e-4])


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"freeze": ("visoin",)}, UnknownNameError, "freeze: there is no part 'visoin'. Did you mean vision"),
        ({"thaw": ("eyes",)}, UnknownNameError, "thaw: there is no part 'eyes'"),
        ({"thaw": ("llm",)}, RecipeError, "thaw names llm, of which nothing is frozen; frozen: vision, audio"),
        ({"learning_rates": {"heads": 1.0}}, UnknownNameError, "no part 'heads'. Did you mean head"),
        ({"lora_rank": 2, "lora_targets": ("q_prj",)}, UnknownNameError, "no part 'q_prj'. Did you mean q_proj"),
        ({"lora_rank": 2, "lora_targets": ("vision",)}, RecipeError, "freeze keeps as it is. Leave vision out of one"),
    ],
)
def test_names_of_nothing_and_contradictions_are_refused(
    config: TrainConfig, change: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error) as raised:
        _model(replace(config, **change))
    assert message in str(raised.value)


def test_a_rate_that_nothing_has_is_refused(config: TrainConfig) -> None:
    config = replace(config, learning_rates={"vision": 1e-5})
    with pytest.raises(RecipeError, match=r"names vision, whose rate nothing has\. Trained: head, llm"):
        groups(_model(config), config, [])


def test_a_joint_learns_whole_where_only_the_other_towers_joint_has_adapters(config: TrainConfig) -> None:
    thawed = replace(config, freeze=("audio",), thaw=("projectors",), lora_rank=2, lora_targets=("llm", "vision"))
    learning = {name.removeprefix("backbone.") for name, p in _model(thawed).named_parameters() if p.requires_grad}
    assert {name for name in learning if name.startswith("audio_projection_layer.")}
    assert not {name for name in learning if name.startswith("apm.")}
    assert all(lora.is_adapter(name) for name in learning if name.startswith("vpm."))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rates": {"llm": 0.0}}, "above 0; llm has 0.0. Freeze what is to stay"),
        ({"learning_rates": {"llm": float("nan")}}, "above 0"),
        ({"quantize": "4bit"}, "quantize is about adapters, and there are none"),
        ({"lora_alpha": 3.0}, "lora_alpha is about adapters"),
        ({"lora_dropout": 0.1}, "lora_dropout is about adapters"),
        ({"lora_rank": 2, "lora_dropout": 1.0}, "must be below 1"),
        ({"lora_rank": 2, "lora_targets": ()}, "lora_targets is empty"),
        ({"lora_rank": -1}, "lora_rank must be at least 0"),
        ({"lora_rank": 2, "lora_alpha": 0.0}, "lora_alpha must be above 0"),
        ({"lora_targets": ("q_proj",)}, "lora_targets is about adapters"),
        ({"head_dropout": 2.0}, "head_dropout is a share and must be below 1"),
        ({"warmup": 100.0}, "warmup is a share"),
        ({"max_grad_norm": -1.0}, "max_grad_norm must be at least 0"),
        ({"steps": None, "epochs": 0.0}, "epochs must be above 0"),
        ({"steps": None, "epochs": float("inf")}, "epochs must be above 0 and finite"),
    ],
)
def test_settings_that_mean_nothing_are_refused_before_anything_is_read(
    config: TrainConfig, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        replace(config, **change)


def test_trained_weights_are_fp32_and_frozen_ones_as_told(config: TrainConfig) -> None:
    """A tower with a trained joint is fp32 as a whole; buffers are never cast."""
    model = _model(replace(config, freeze=("vision", "audio", "llm"), thaw=("projectors",), frozen_weights="bf16"))
    kinds = {name: parameter.dtype for name, parameter in model.named_parameters()}
    assert {kinds[name] for name in _of(model, "llm.")} == {torch.bfloat16}
    assert {kinds[name] for name in (_of(model, "vpm.", "apm.", "resampler.") | HEAD)} == {torch.float32}
    assert {buffer.dtype for _, buffer in model.named_buffers() if buffer.is_floating_point()} == {torch.float32}
    model = _model(replace(config, lora_rank=2, frozen_weights="bf16"))
    for name, parameter in model.named_parameters():
        learns = lora.is_adapter(name) or name in HEAD
        assert parameter.dtype == (torch.float32 if learns else torch.bfloat16), name
        assert parameter.requires_grad == learns, name


def test_weights_stored_in_bfloat16_are_trained_in_fp32(config: TrainConfig, tmp_path: Path) -> None:
    half = RewardModel.load_or_new_head(config.model)
    half.backbone.to(torch.bfloat16).save(tmp_path / "half")
    model = _model(replace(config, model=str(tmp_path / "half"), frozen_weights="bf16"))
    assert {parameter.dtype for parameter in model.parameters() if parameter.requires_grad} == {torch.float32}
    assert {model.get_parameter(name).dtype for name in _of(model, "vpm.")} == {torch.bfloat16}


@pytest.fixture(scope="module")
def picture() -> Comparison:
    return next(sample.comparison for sample in samples(World(prompts=1), "train") if sample.task is Task.T2I)


@pytest.fixture(scope="module")
def encoded(chat: Path) -> list[Encoded]:
    """One response of each of three tasks: text, a picture, a sound."""
    model = RewardModel.load_or_new_head(chat)
    model.requires_grad_(True)
    first = {sample.task: sample.comparison for sample in reversed(list(samples(World(prompts=1), "train")))}
    return [model.encode(first[PAPER_TASKS[n]], "a") for n in (0, 1, 3)]


def _step(model: RewardModel, encoded: Sequence[Encoded], side: str | None) -> tuple[Tensor, dict[str, Tensor], int]:
    """The rewards, the gradients, and how many bytes of activations were kept for them."""
    model.zero_grad()
    kept: dict[int, int] = {}
    weights = {parameter.untyped_storage().data_ptr() for parameter in model.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    torch.manual_seed(0)  # of the dropout
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        rewards = model.train()(encoded, side)
    torch.autograd.backward((rewards * torch.tensor([1.0, -2.0, 0.5])).sum())
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    return rewards.detach(), gradients, sum(kept.values())


@pytest.mark.parametrize(("side", "rank"), [(None, 0), (None, 2), ("left", 2)])
def test_layers_computed_again_give_the_same_and_keep_less(
    config: TrainConfig, encoded: list[Encoded], side: str | None, rank: int
) -> None:
    """Towers and language model learn; tolerance: float32 sums in another order, if any. Less than half is kept."""
    config = replace(config, freeze=(), lora_rank=rank, lora_dropout=0.1 if rank else 0.0)
    found = [_step(_model(replace(config, gradient_checkpointing=again)), encoded, side) for again in (False, True)]
    (rewards, gradients, kept), (rewards_again, gradients_again, kept_again) = found
    torch.testing.assert_close(rewards_again, rewards, rtol=0, atol=1e-6)
    assert gradients.keys() == gradients_again.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradients_again[name], gradient, rtol=0, atol=1e-6, msg=name)
    assert kept_again < kept / 2


def test_nothing_is_computed_again_when_nothing_is_trained(chat: Path, encoded: list[Encoded]) -> None:
    model = RewardModel.load_or_new_head(chat)
    checkpoint_layers(model.backbone)
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    cast(Any, model.backbone).decoder.layers[0].mlp.register_forward_hook(count)
    model.score(encoded)
    assert calls == 1


@pytest.mark.parametrize("name", plugins.names("backbones"))
def test_every_family_names_its_parts_and_has_layers_for_adapters(name: str) -> None:
    family = cast(BackboneFamily, plugins.load("backbones", name))
    parts, backbone = Parts.of_family(family), family.tiny(WORDS * 20, 0)
    names = [name for name, _ in backbone.named_parameters()]
    towers = tuple(prefix for prefixes in family.towers.values() for prefix in prefixes)
    assert all(any(name.startswith(prefix) for name in names) for prefix in family.projectors)
    assert all(name.startswith(towers) for name in names if name.startswith(family.projectors))
    assert bool(family.projectors) == bool(towers)
    assert {part for name in names for part in parts.of(name)} == set(parts.names)
    linear = quantised_layers(backbone, parts)
    # Query, key, value and output of each layer at least.
    assert len(linear) >= 4 * len(cast(Any, backbone).decoder.layers)
    assert not any(name.startswith(towers) for name in linear)


@pytest.mark.parametrize("name", plugins.names("backbones"))
def test_every_family_computes_its_layers_again_towers_too(name: str, picture: Comparison) -> None:
    """All of it learns, in training mode; a family that sees nothing reads the criterion alone."""
    family = cast(BackboneFamily, plugins.load("backbones", name))
    torch.manual_seed(0)
    model = RewardModel(family.tiny(WORDS * 20, 0), name, "natural")
    asked = picture if "image" in family.kinds else replace(picture, response_a=(Text("a circle"),))
    encoded = [model.encode(asked, "a")] * 3
    for side in (None, "right"):
        model.backbone.apply(lambda module: setattr(module, "gradient_checkpointing", False))
        _, gradients, kept = _step(model, encoded, side)
        checkpoint_layers(model.backbone)
        _, gradients_again, kept_again = _step(model, encoded, side)
        assert gradients.keys() == gradients_again.keys()
        for parameter, gradient in gradients.items():
            torch.testing.assert_close(gradients_again[parameter], gradient, rtol=1e-5, atol=1e-6, msg=parameter)
        assert kept_again < 0.75 * kept


def test_only_the_language_model_is_kept_in_4_bits(chat: Path) -> None:
    """By hand: three layers, four projections in attention and three in the MLP; no embedding, norm, tower or head."""
    model = RewardModel.load_or_new_head(chat)
    found = quantised_layers(model.backbone, parts_of(model))
    assert len(found) == 3 * 7
    assert all(name.startswith("llm.model.layers.") and name.endswith("_proj") for name in found)


def test_4_bits_without_the_library_say_what_to_install(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(cast(Any, sys.modules), "bitsandbytes", None)
    with pytest.raises(MissingExtraError, match=r"omnireward\[qlora\]"):
        _model(replace(config, lora_rank=2, quantize="4bit"))


@pytest.mark.skipif(find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed: the extra `qlora`")
def test_adapters_over_4_bits_learn_are_saved_and_merge(config: TrainConfig, places: Places, tmp_path: Path) -> None:
    """The base is 4 bits again when loaded; merged, the rewards are those of what the 4 bits stand for."""
    bradley_terry.train(replace(config, steps=20, lora_rank=4, quantize="4bit", learning_rate=1e-2))
    log = [json.loads(line) for line in (config.out / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in log if "loss" in line]
    assert losses[-1] < losses[0] / 4
    asked = [cast(Sample, places["texts"][0]).comparison]
    model = RewardModel.load(config.out)
    assert model.backbone.get_parameter("llm.model.layers.0.mlp.up_proj.base_layer.weight").dtype == torch.uint8
    rewards = model.rewards(asked)
    model.merge().save(tmp_path / "merged")
    torch.testing.assert_close(RewardModel.load(tmp_path / "merged").rewards(asked), rewards, rtol=0, atol=1e-5)
