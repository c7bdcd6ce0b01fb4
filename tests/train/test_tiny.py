"""Every family's tiny model is trained by the real command's function, and judges afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from omnireward import plugins
from omnireward.errors import UnknownNameError
from omnireward.reward_model import RewardModel
from omnireward.train.bradley_terry import train
from omnireward.train.config import TrainConfig

# What each family reads of the miniature world.
TASKS = {"text": ("T2T",), "qwen2_5_vl": ("T2T", "TI2T", "T2V"), "qwen3_vl": ("T2T", "TI2T", "T2V")}


@pytest.mark.parametrize("family", [name for name in plugins.names("backbones") if name != "minicpm_o"])
def test_a_family_learns_what_it_is_shown(tmp_path: Path, family: str) -> None:
    """Ten pairs, thirty times over, at a high rate: the loss falls from log 2 = 0.69 to less than half."""
    config = TrainConfig(
        out=tmp_path / "run",
        model=f"tiny:{family}",
        tasks=TASKS.get(family, ("T2T", "TI2T", "TA2T")),
        limit=10,
        steps=60,
        batch_size=5,
        accumulation=1,
        learning_rate=2e-3,
        warmup=0.1,
        log_every=6,
    )
    lines = [json.loads(line) for line in (train(config) / "log.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    assert min(losses) < 0.35
    assert RewardModel.load(config.out).family == family


def test_an_unknown_family_is_named_with_those_that_there_are(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="qwen3_vl"):
        train(TrainConfig(out=tmp_path / "run", model="tiny:qwen3"))


def test_a_wrong_name_is_told_before_teaching(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Teaching takes minutes; a slip of the finger is not for finding out afterwards."""
    monkeypatch.setattr("omnireward.train.base.teach", pytest.fail)
    config = TrainConfig(
        out=tmp_path / "run", tasks=("T2T",), limit=4, teach_towers=9, lora_rank=2, lora_targets=("q_prj",)
    )
    with pytest.raises(UnknownNameError, match="q_proj"):
        train(config)
