"""Adapters: what is saved of them, what is loaded, what is refused, and what they are once merged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import nn

from omnireward import lora, plugins
from omnireward.backbones import BackboneFamily
from omnireward.errors import CheckpointError, RecipeError
from omnireward.judges import JudgeKind, JudgeOptions
from omnireward.lora import Lora, linear_layers, pattern
from omnireward.miniature.world import World, samples
from omnireward.on_base import PLACE, TRAINED, quantised_layers
from omnireward.parts import Parts
from omnireward.reward_model import RECORD, RewardModel
from omnireward.train import bradley_terry
from omnireward.train.config import TrainConfig
from omnireward.train.tuning import tune
from omnireward.types import PAPER_TASKS, Comparison, Side, Text, Turn

WORDS = ["What is in the picture?", "The answer should be polite.", "A red circle on the left. Thank you for asking."]
SIDES: tuple[Side, ...] = ("a", "b")
ADAPTER, HEAD = "adapter_model.safetensors", "value_head.safetensors"
PLAIN = Comparison((Turn("user", (Text("a circle"),)),), (Text("red, thanks"),), (Text("left"),), "polite")


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny backbone in a folder, without a head, as a chat model would be."""
    folder = tmp_path_factory.mktemp("chat")
    cast(BackboneFamily, plugins.load("backbones", "minicpm_o")).tiny(WORDS * 20, 0).save(folder)
    return folder


@pytest.fixture
def config(tmp_path: Path, chat: Path) -> TrainConfig:
    return TrainConfig(out=tmp_path / "run", model=str(chat), lora_rank=2)


def _disturb(model: RewardModel) -> RewardModel:
    """As if it had been trained: fresh adapters change nothing."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.05)
    return model.eval()


def _model(config: TrainConfig) -> RewardModel:
    torch.manual_seed(0)
    model = RewardModel.load_or_new_head(config.model)
    tune(model, config)
    return _disturb(model)


@pytest.fixture(scope="module")
def kept(chat: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[RewardModel, Path]:
    """A model with adapters of rank 2 in the language model and trained joints, and its folder."""
    folder = tmp_path_factory.mktemp("adapters")
    model = _model(TrainConfig(out=folder, model=str(chat), lora_rank=2, thaw=("projectors",)))
    model.save(folder)
    return model, folder


@pytest.fixture
def saved(kept: tuple[RewardModel, Path], config: TrainConfig) -> tuple[RewardModel, Path]:
    """The same model, not to be changed, and a folder of it to break."""
    return kept[0], shutil.copytree(kept[1], config.out)


def test_adapters_learn_the_base_stays_and_the_head_is_saved(tmp_path: Path, chat: Path) -> None:
    """A picture and words, preferred by two criteria: from about log 2 to a tenth, in a folder of peft's layout."""
    before = {path.name: path.read_bytes() for path in chat.iterdir()}
    config = TrainConfig(
        out=tmp_path / "run",
        model=str(chat),
        datasets={"miniature:prompts=1": 1.0},
        tasks=("TI2T",),
        limit=3,
        batch_size=3,
        steps=30,
        epochs=99.0,
        accumulation=1,
        lora_rank=4,
        learning_rate=1e-2,
        log_every=1,
    )
    bradley_terry.train(config)
    losses = [json.loads(line).get("loss") for line in (config.out / "log.jsonl").read_text().splitlines()]
    assert losses[0] > 0.3
    assert losses[-2] < losses[0] / 10  # the last line tells how long it took
    assert {path.name: path.read_bytes() for path in chat.iterdir()} == before
    names = {path.name for path in config.out.iterdir()}
    assert names == {
        ".lock", "README.md", "adapter_config.json", ADAPTER, "config.yaml", "data.json", "log.jsonl", RECORD, HEAD,
    }  # fmt: skip
    matrices = load_file(config.out / ADAPTER)
    assert matrices.keys() == {
        f"base_model.model.{layer}.lora_{side}.weight" for layer in (*_attention(3), *_mlp(3)) for side in "AB"
    }
    assert all(bool(value.any()) for value in matrices.values())  # B begins as 0
    told = json.loads((config.out / "adapter_config.json").read_text())
    assert (told["peft_type"], told["r"], told["lora_alpha"]) == ("LORA", 4, 8.0)
    assert told["base_model_name_or_path"] == str(chat.resolve())
    torch.manual_seed(config.seed)
    fresh = RewardModel.load_or_new_head(chat).head.weight
    assert not torch.equal(load_file(config.out / HEAD)["v_head.summary.weight"], fresh)


def _attention(layers: int) -> list[str]:
    return [f"llm.model.layers.{n}.self_attn.{each}_proj" for n in range(layers) for each in "qkvo"]


def _mlp(layers: int) -> list[str]:
    return [f"llm.model.layers.{n}.mlp.{each}_proj" for n in range(layers) for each in ("gate", "up", "down")]


def test_saved_and_loaded_is_the_same_to_the_last_bit(saved: tuple[RewardModel, Path], tmp_path: Path) -> None:
    model, folder = saved
    loaded = RewardModel.load(folder)
    wanted = model.state_dict()
    assert loaded.state_dict().keys() == wanted.keys()
    assert all(torch.equal(value, wanted[name]) for name, value in loaded.state_dict().items())
    assert torch.equal(loaded.rewards([PLAIN]), model.rewards([PLAIN]))
    loaded.save(tmp_path / "again")
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert files == {path.name: path.read_bytes() for path in (tmp_path / "again").iterdir()}
    assert load_file(folder / TRAINED).keys() == {
        name for name in model.backbone.state_dict() if name.startswith(("resampler.", "audio_projection_layer."))
    }


def test_adapters_change_rewards_in_both_ways_of_computing_alike(config: TrainConfig) -> None:
    model = _model(config)
    encoded = [model.encode(comparison, side) for comparison in _comparisons() for side in SIDES]
    plain = RewardModel.load_or_new_head(config.model).eval()
    plain.head.load_state_dict(model.head.state_dict())
    with torch.no_grad():
        packed = model(encoded)
        for side in ("left", "right"):
            torch.testing.assert_close(model(encoded, side), packed, rtol=0, atol=1e-5)
        assert (plain(encoded[:2]) - packed[:2]).abs().min() > 1e-3


def _comparisons() -> list[Comparison]:
    """Words, a picture, a sound."""
    first = {sample.task: sample.comparison for sample in reversed(list(samples(World(prompts=1), "train")))}
    return [first[PAPER_TASKS[n]] for n in (0, 1, 3)]


@pytest.mark.parametrize("targets", [("llm", "vision", "audio"), ("q_proj", "projectors")])
def test_merged_is_a_plain_model_with_the_same_rewards(
    config: TrainConfig, targets: tuple[str, ...], tmp_path: Path, chat: Path
) -> None:
    model = _model(replace(config, lora_targets=targets, freeze=()))
    asked = _comparisons()
    rewards = model.rewards(asked)
    assert model.merge() is model
    torch.testing.assert_close(model.rewards(asked), rewards, rtol=0, atol=1e-5)
    model.save(tmp_path / "whole")
    before, after = load_file(chat / "model.safetensors"), load_file(tmp_path / "whole" / "model.safetensors")
    assert {name: value.shape for name, value in after.items()} == {name: v.shape for name, v in before.items()}
    assert not (tmp_path / "whole" / ADAPTER).exists()
    torch.testing.assert_close(RewardModel.load(tmp_path / "whole").rewards(asked), rewards, rtol=0, atol=1e-5)


def test_a_whole_model_saved_over_adapters_is_read_as_one(saved: tuple[RewardModel, Path]) -> None:
    model, folder = saved
    rewards = model.rewards([PLAIN])
    RewardModel.load(folder).merge().save(folder)
    assert RewardModel.load(folder).on_base is None
    torch.testing.assert_close(RewardModel.load(folder).rewards([PLAIN]), rewards, rtol=0, atol=1e-5)


def test_frozen_weights_in_bfloat16_are_so_again_when_loaded(config: TrainConfig) -> None:
    model = _model(replace(config, frozen_weights="bf16"))
    model.save(config.out)
    loaded = RewardModel.load(config.out)
    assert {p.dtype for name, p in loaded.backbone.named_parameters() if not lora.is_adapter(name)} == {torch.bfloat16}
    assert torch.equal(loaded.rewards([PLAIN]), model.rewards([PLAIN]))


def test_a_judge_is_made_of_adapters(saved: tuple[RewardModel, Path]) -> None:
    model, folder = saved
    judge = cast(JudgeKind, plugins.load("judges", "reward")).open(str(folder), JudgeOptions())
    (judgement,) = judge([PLAIN])
    assert judgement.rewards == tuple(model.rewards([PLAIN])[0].tolist())


def test_peft_reads_the_same_adapters(config: TrainConfig, chat: Path) -> None:
    """The loader of peft, on the base, finds all of them and gives the same states: a second implementation."""
    model = _model(config)
    model.save(config.out)
    theirs = PeftModel.from_pretrained(cast(Any, RewardModel.load_or_new_head(chat).backbone), str(config.out))
    rows = [model.encode(PLAIN, side).row for side in SIDES]
    with torch.no_grad():
        assert torch.equal(theirs.eval().base_model(rows, [[], []]), model.backbone(rows, [[], []]))


def _changed(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, metadata={"format": "pt"})


def _told(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


KEY = "base_model.model.llm.model.layers.1.mlp.up_proj.lora_A.weight"
Breaks = Callable[[Path], object]
BREAKS: dict[str, tuple[Breaks, str]] = {
    "no head": (lambda f: (f / HEAD).unlink(), "has no value_head.safetensors"),
    "no adapters": (lambda f: (f / ADAPTER).unlink(), "has no adapter_model.safetensors"),
    "no config": (lambda f: (f / "adapter_config.json").unlink(), "has no adapter_config.json"),
    "no trained parts": (lambda f: (f / TRAINED).unlink(), "has no trained.safetensors"),
    "no record": (lambda f: (f / RECORD).unlink(), "has no omnireward.json"),
    "a missing key": (lambda f: _changed(f / ADAPTER, lambda t: t.pop(KEY)), f"Missing: {KEY}. Left over: none"),
    "a key left over": (
        lambda f: _changed(f / ADAPTER, lambda t: t.update({"more": torch.zeros(1)})),
        "Missing: none. Left over: more",
    ),
    "another rank": (lambda f: _told(f / "adapter_config.json", lambda d: d.update(r=3)), "is (2, 128), and should be"),
    "not finite": (lambda f: _changed(f / ADAPTER, lambda t: t[KEY].fill_(float("nan"))), "not finite"),
    "a trained part missing": (
        lambda f: _changed(f / TRAINED, lambda t: t.pop("resampler.query")),
        "Missing: resampler.query",
    ),
    "damaged": (lambda f: (f / ADAPTER).write_bytes(b"\xff" * 99), "cannot be read as safetensors"),
    "a rate for some layers": (
        lambda f: _told(f / "adapter_config.json", lambda d: d.update(alpha_pattern={"q_proj": 3})),
        "not plain LoRA: {'alpha_pattern': {'q_proj': 3}}",
    ),
    "rank no number": (lambda f: _told(f / "adapter_config.json", lambda d: d.update(r="2")), "as numbers"),
    "layers of nothing": (
        lambda f: _told(f / RECORD, lambda d: d["adapts"]["layers"].append("llm.eyes")),
        "names layers with adapters that",
    ),
    "no base recorded": (lambda f: _told(f / RECORD, lambda d: d.pop("adapts")), "does not record which base"),
    "a strange record": (lambda f: _told(f / RECORD, lambda d: d["adapts"].update(frozen="int3")), "as omnireward"),
    "a base of its own that is gone": (
        lambda f: _told(f / RECORD, lambda d: d["adapts"].update(place="base")),
        "/base and is not there. Set OMNIREWARD_BASE",
    ),
    "a base that is gone": (
        lambda f: _told(f / RECORD, lambda d: d["adapts"].update(place="/gone")),
        "needs its base, which was at /gone and is not there. Set OMNIREWARD_BASE",
    ),
}


@pytest.mark.parametrize("what", BREAKS)
def test_what_is_not_whole_is_refused(saved: tuple[RewardModel, Path], what: str) -> None:
    breaks, message = BREAKS[what]
    breaks(saved[1])
    with pytest.raises(CheckpointError) as raised:
        RewardModel.load(saved[1])
    assert message in str(raised.value)


def test_adapters_as_a_base_are_refused(saved: tuple[RewardModel, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PLACE, str(saved[1]))
    with pytest.raises(CheckpointError, match="holds adapters itself, so it cannot be the base of"):
        RewardModel.load(saved[1])


@pytest.mark.parametrize("what", ["one number", "tokenizer"])
def test_another_base_is_refused_and_one_that_moved_is_found(
    saved: tuple[RewardModel, Path], what: str, chat: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, folder = saved
    moved = shutil.copytree(chat, tmp_path / "moved")
    monkeypatch.setenv(PLACE, str(moved))
    assert torch.equal(RewardModel.load(folder).rewards([PLAIN]), model.rewards([PLAIN]))
    if what == "one number":  # the least that it can change by, in a number that no sample holds
        weights = load_file(moved / "model.safetensors")
        number = weights["llm.model.embed_tokens.weight"][3, 1:2]
        number.copy_(torch.nextafter(number, torch.tensor(9.0)))
        save_file(weights, moved / "model.safetensors", metadata={"format": "pt"})
    else:
        (moved / "tokenizer.json").write_text((moved / "tokenizer.json").read_text() + "\n")
    differs = "weights" if what == "one number" else "tokenizer.json"
    with pytest.raises(CheckpointError, match=f"another base than .*moved: {differs} differ"):
        RewardModel.load(folder)


@pytest.fixture
def run(tmp_path: Path) -> TrainConfig:
    """On a model that the run makes itself."""
    return TrainConfig(
        out=tmp_path / "run",
        datasets={"miniature:prompts=1": 1.0},
        tasks=("TI2T",),
        steps=4,
        batch_size=2,
        accumulation=1,
        lora_rank=2,
        lora_dropout=0.1,
        learning_rate=1e-3,
        learning_rates={"head": 1e-2},
        save_every=2,
        log_every=1,
    )


def test_a_run_on_a_model_of_its_own_keeps_it_resumes_to_the_bit_moves_and_goes_on_elsewhere(
    run: TrainConfig, tmp_path: Path
) -> None:
    bradley_terry.train(run)
    stopped = tmp_path / "stopped"
    for name in ("base", "checkpoint-2"):
        shutil.copytree(run.out / name, stopped / name)
    bradley_terry.train(replace(run, out=stopped, resume=True))
    for name in (ADAPTER, HEAD, RECORD, "adapter_config.json"):
        assert (stopped / name).read_bytes() == (run.out / name).read_bytes(), name
    rewards = RewardModel.load(run.out).rewards([PLAIN])
    moved = run.out.rename(tmp_path / "elsewhere")
    assert torch.equal(RewardModel.load(moved).rewards([PLAIN]), rewards)
    on = replace(
        run, out=tmp_path / "on", model=str(moved), steps=1, save_every=0, learning_rate=0.0, learning_rates={}
    )
    bradley_terry.train(replace(on, weight_decay=0.0))
    assert torch.equal(RewardModel.load(on.out).rewards([PLAIN]), rewards)
    assert RewardModel.load(on.out).on_base == replace(
        cast(Any, RewardModel.load(moved).on_base), place=str(moved / "base")
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lora_rank": 0}, "is an adapter of rank 2. Train it on with --lora-rank 2, or make it a whole model first"),
        ({"lora_rank": 3}, "its rank is not what the config wants: 2, not 3"),
        ({"lora_alpha": 3.0}, "its alpha is not what the config wants: 4.0, not 3.0"),
        ({"lora_targets": ("q_proj",)}, "its layers with adapters is not what the config wants: 21 of them, not 3"),
        ({"frozen_weights": "bf16"}, "its frozen_weights is not what the config wants: fp32, not bf16"),
        ({"thaw": ()}, "its parameters trained beside the adapters is not"),
    ],
)
def test_adapters_are_trained_on_only_as_they_are(
    config: TrainConfig, saved: tuple[RewardModel, Path], change: dict[str, Any], message: str
) -> None:
    config = replace(config, model=str(saved[1]), thaw=("projectors",))
    tune(RewardModel.load(saved[1]), config)
    with pytest.raises(RecipeError) as raised:
        tune(RewardModel.load(saved[1]), replace(config, **change))
    assert message in str(raised.value)


def test_a_pattern_names_exactly_the_layers() -> None:
    """Short where all numbered layers are alike; each by name where one of them is left out."""
    model = nn.ModuleDict({"layers": nn.ModuleList([nn.ModuleDict({"up": nn.Linear(1, 1)}) for _ in range(12)])})
    assert pattern(model, tuple(linear_layers(model))) == r"layers\.\d+\.up"
    assert pattern(model, ("layers.1.up", "layers.11.up")) == r"layers\.1\.up|layers\.11\.up"


@pytest.mark.parametrize("name", plugins.names("backbones"))
def test_adapters_reach_every_layer_of_every_family_and_merge(name: str) -> None:
    """Each matrix gets a gradient, packed and padded, so no layer is passed by; merged, the states are the same."""
    family = cast(BackboneFamily, plugins.load("backbones", name))
    torch.manual_seed(0)
    model = RewardModel(family.tiny(WORDS * 20, 0), name, "natural").requires_grad_(False)
    layers = tuple(quantised_layers(model.backbone, Parts.of_family(family)))
    Lora(2, 4.0, 0.0, layers).inject(model.backbone)
    encoded = [model.encode(PLAIN, side) for side in SIDES]
    _disturb(model)
    for side in (None, "left", "right"):
        model.zero_grad()
        rewards = model(encoded, side)
        torch.autograd.backward(rewards.diff().sum())
        without = [key for key, p in lora.parameters(model.backbone).items() if p.grad is None or not p.grad.any()]
        assert not without
    lora.merge(model.backbone)
    torch.testing.assert_close(model(encoded), rewards, rtol=0, atol=1e-5)
