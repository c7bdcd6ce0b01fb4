"""A dry run counts what training would do, and needs no weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
import torch

from omnireward.backbones._weights import shapes_only
from omnireward.backbones.minicpm_o import tiny
from omnireward.checkpoint import load_backbone
from omnireward.errors import BadRowError, CheckpointError
from omnireward.train.config import TrainConfig
from omnireward.train.dry_run import dry_run
from omnireward.types import Sample
from omnireward.verbs.train import show

Places = dict[str, list[Sample | BadRowError]]
MakeSample = Callable[..., Sample]
BITS: tuple[Literal["none", "4bit"], ...] = ("none", "4bit")


@pytest.fixture
def config(tmp_path: Path, places: Places, make_sample: MakeSample) -> TrainConfig:
    """Ten pairs and two ties, which are dropped; four pairs a step."""
    rows = [make_sample(f"topic {n}", "tie" if n > 9 else "ab"[n % 2], criterion=f"It be {n}.") for n in range(12)]
    places["texts"] = list(rows)
    return TrainConfig(out=tmp_path / "run", datasets={"texts": 1.0}, batch_size=2, accumulation=2, ties="drop")


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder with config and tokenizer, without weights."""
    folder = tmp_path / "base"
    tiny(["Write about topic 1."], 0).save(folder)
    (folder / "model.safetensors").unlink()
    return folder


def test_it_counts_pairs_steps_tokens_and_parameters(config: TrainConfig, capsys: pytest.CaptureFixture[str]) -> None:
    """By hand: ten pairs, four a step, are three steps an epoch, six in two; nothing is written."""
    found = dry_run(config)
    assert (found.pairs_per_step, found.steps_per_epoch, found.steps) == (4, 3, 6)
    assert (found.mixture.ties, found.sampled, found.unusable, len(found.tokens)) == (2, 10, 0, 20)
    assert [part.name for part in found.parts] == ["vision", "audio", "projectors", "llm", "head"]
    assert [part.trained for part in found.parts[:3]] == [0, 0, 0]
    assert found.parts[-1].trained == found.parts[-1].numbers == 129
    assert found.memory is not None
    assert found.memory.weights == sum(part.numbers for part in found.parts) * 4
    assert not config.out.exists()
    show(found)
    said = capsys.readouterr().out
    assert "6 (3 an epoch)" in said
    assert "estimated peak" in said
    assert "Nothing was trained." in said


def test_ties_that_are_learned_are_counted_with_their_head(
    config: TrainConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    """At most half of twelve: both. The tie head has as many numbers as the head."""
    found = dry_run(replace(config, ties="rao_kupper", tie_share=0.5))
    assert (found.mixture.ties, found.sampled) == (0, 12)
    assert found.parts[-1].trained == found.parts[-1].numbers == 2 * 129
    show(found)
    assert ["ties", "2"] in [line.split() for line in capsys.readouterr().out.splitlines()]


def test_a_folder_needs_its_weights_for_nothing(config: TrainConfig, bare: Path) -> None:
    """Adapters of rank 4 on all linear layers of 3 layers of 128, 2 x 64 and 256, counted by hand."""
    given = replace(config, model=str(bare), lora_rank=4, gradient_checkpointing=True, frozen_weights="bf16")
    found = dry_run(given)
    trained = {part.name: part.trained for part in found.parts if part.trained}
    # in + out of each: q 128+128, k and v 128+64, o 128+128, gate and up 128+256, down 256+128
    assert trained == {"adapters": 3 * 4 * (256 + 2 * 192 + 256 + 3 * 384), "head": 129}
    assert found.memory is not None
    assert found.memory.gradients == sum(trained.values()) * 4
    assert list(given.out.parent.iterdir()) == [bare]
    whole, small = (
        dry_run(replace(config, model=str(bare), lora_rank=4, quantize=quantize)).memory for quantize in BITS
    )
    assert whole is not None
    assert small is not None
    # q and o, k and v, gate, up and down, each with 0.5 + 1/64 + 4/(64 x 256) bytes a number
    packed = 3 * (2 * 128 * 128 + 2 * 128 * 64 + 3 * 128 * 256)
    assert whole.weights - small.weights == pytest.approx(packed * (4 - 0.515869), rel=1e-4)


def test_several_processes_share_a_step(config: TrainConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = dry_run(config)
    monkeypatch.setenv("WORLD_SIZE", "2")
    found = dry_run(replace(config, sharding="zero2"))
    assert found.pairs_per_step == alone.pairs_per_step
    assert alone.memory is not None
    assert found.memory is not None
    assert found.memory.moments == alone.memory.moments // 2


def test_pairs_that_are_too_long_are_counted(config: TrainConfig) -> None:
    found = dry_run(replace(config, max_tokens=3))
    assert (found.unusable, found.memory) == (10, None)
    show(found)


def test_shapes_without_weights_are_those_of_the_weights(bare: Path) -> None:
    with shapes_only():
        _, backbone = load_backbone(bare)
    assert {tensor.device.type for tensor in backbone.parameters()} == {"meta"}
    expected = tiny(["Write about topic 1."], 0).state_dict()
    assert {k: v.shape for k, v in backbone.state_dict().items()} == {k: v.shape for k, v in expected.items()}
    (bare / "config.json").write_text((bare / "config.json").read_text().replace("{", '{"dtype": "bfloat16",', 1))
    with shapes_only():
        assert next(load_backbone(bare)[1].parameters()).dtype == torch.bfloat16
    with pytest.raises(CheckpointError, match=r"model\.safetensors"):
        load_backbone(bare)
