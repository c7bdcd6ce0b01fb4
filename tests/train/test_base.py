"""The base that trainings are compared from: whole or not there, the same for the same settings, without a head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from omnireward.errors import RecipeError
from omnireward.reward_model import RewardModel
from omnireward.train import base
from omnireward.train.base import make_base
from omnireward.train.config import TrainConfig

DATA = {"miniature:prompts=2,tasks=T2T": 1.0}


def config(**more: Any) -> TrainConfig:
    values: dict[str, Any] = {"out": Path("nowhere"), "model": "tiny:text", "datasets": DATA}
    return TrainConfig(**(values | more))


def test_it_is_a_chat_models_folder_that_gets_a_new_head(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_base(config(), tmp_path / name)
    assert (tmp_path / "one" / "model.safetensors").read_bytes() == (
        tmp_path / "two" / "model.safetensors"
    ).read_bytes()
    assert not (tmp_path / "one" / "value_head.safetensors").exists()
    models = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        models.append(RewardModel.load_or_new_head(tmp_path / "one"))
    assert torch.equal(models[0].head.weight, models[1].head.weight)
    assert not torch.equal(models[0].head.weight, models[2].head.weight)


def test_its_tokenizer_is_learned_of_all_the_data(tmp_path: Path) -> None:
    """Another task's texts make another tokenizer, so arms of one task must not learn their own."""
    make_base(config(), tmp_path / "text")
    make_base(config(datasets={"miniature:prompts=2,tasks=T2T+T2I": 1.0}), tmp_path / "both")
    assert (tmp_path / "text" / "tokenizer.json").read_bytes() != (tmp_path / "both" / "tokenizer.json").read_bytes()


def test_it_is_there_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(base, "teach", interrupted)
        patched.setattr(base, "lessons", lambda _: [])
        with pytest.raises(KeyboardInterrupt):
            make_base(config(teach_language=1), tmp_path / "base")
    (tmp_path / "base.saving").mkdir()
    (tmp_path / "base.saving" / "left_over").touch()
    assert not (tmp_path / "base").exists()
    make_base(config(), tmp_path / "base")
    assert not (tmp_path / "base.saving").exists()
    assert not (tmp_path / "base" / "left_over").exists()


def test_a_model_that_is_there_needs_no_making(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="a base is made of --model tiny"):
        make_base(config(model="some/folder"), tmp_path / "base")
