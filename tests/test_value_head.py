"""Heads from elsewhere: where projects put theirs, and what is refused. Our own files are in test_reward_model."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from omnireward.backbones.text import BACKBONE
from omnireward.errors import CheckpointError
from omnireward.reward_model import RewardModel
from omnireward.types import Comparison, Text, Turn
from omnireward.value_head import read_head

HEAD, WEIGHTS = "value_head.safetensors", "model.safetensors"
HIDDEN = 128  # of the tiny text model
ASKED = Comparison((Turn("user", (Text("Tell me about tea."),)),), (Text("It is hot."),), (Text("It is cold."),))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint whose head has a bias; no test changes it."""
    folder = tmp_path_factory.mktemp("saved")
    torch.manual_seed(0)
    model = RewardModel(BACKBONE.tiny(["Tell me about tea.", "It is hot and cold."], 0), "text", "natural")
    torch.nn.init.constant_(model.head.bias, 0.25)
    model.save(folder)
    return folder


@pytest.fixture
def bare(saved: Path, tmp_path: Path) -> Path:
    """The same without head and record, as another project would write it."""
    for path in saved.iterdir():
        if path.name not in (HEAD, "omnireward.json", "README.md"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def _head(saved: Path) -> dict[str, Tensor]:
    return {key.rpartition(".")[2]: value for key, value in load_file(saved / HEAD).items()}


def _add(folder: Path, tensors: dict[str, Tensor], **settings: Any) -> None:
    """Put tensors among the weights, and settings into config.json."""
    save_file(load_file(folder / WEIGHTS) | tensors, folder / WEIGHTS)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | settings))


@pytest.mark.parametrize(
    ("names", "settings"),
    [
        ({"score.weight": "weight"}, {"architectures": ["Qwen2ForSequenceClassification"]}),
        ({"score.weight": "weight"}, {"value_head_prefix": "score"}),
        ({"value_head.weight": "weight", "value_head.bias": "bias"}, {}),
        ({"reward_out.weight": "weight"}, {"value_head_prefix": "reward_out"}),
        ({"v_head.summary.weight": "weight", "v_head.summary.bias": "bias"}, {}),
    ],
    ids=["classification", "OpenRLHF", "OpenRLHF of old", "OpenRLHF, named", "TRL of old"],
)
def test_a_head_among_the_weights_gives_the_rewards_of_our_own(
    saved: Path, bare: Path, names: dict[str, str], settings: dict[str, Any]
) -> None:
    """Where there is no bias it is 0, so rewards lie 0.25 lower and margins are the same."""
    _add(bare, {name: _head(saved)[part] for name, part in names.items()}, **settings)
    lower = 0.0 if "bias" in names.values() else 0.25
    expected = RewardModel.load(saved).rewards([ASKED])
    torch.testing.assert_close(RewardModel.load(bare).rewards([ASKED]), expected - lower, rtol=0, atol=1e-6)
    assert torch.equal(RewardModel.load_or_new_head(bare).head.weight, _head(saved)["weight"])


def test_what_is_trained_from_one_is_saved_with_one_head(saved: Path, bare: Path, tmp_path: Path) -> None:
    head = _head(saved)
    _add(
        bare,
        {"reward_out.weight": head["weight"]},
        value_head_prefix="reward_out",
        mean=1.0,
        std=2.0,
        normalize_reward=True,
    )
    model = RewardModel.load(bare)
    model.save(tmp_path / "again")
    assert torch.equal(RewardModel.load(tmp_path / "again").rewards([ASKED]), model.rewards([ASKED]))
    config = json.loads((tmp_path / "again" / "config.json").read_text())
    assert not {"value_head_prefix", "mean", "std", "normalize_reward"} & config.keys()


def test_normalised_rewards_are_normalised_as_the_config_says(saved: Path, bare: Path) -> None:
    """OpenRLHF gives (reward - mean) / std; without its switch, the reward."""
    _add(bare, {"score.weight": _head(saved)["weight"]}, mean=0.5, std=4.0, normalize_reward=False)
    plain = RewardModel.load(bare).rewards([ASKED])
    _add(bare, {}, normalize_reward=True)
    torch.testing.assert_close(RewardModel.load(bare).rewards([ASKED]), (plain - 0.5) / 4.0)


@pytest.mark.parametrize("wrong", [{"std": 0.0}, {"std": -1}, {"std": "wide"}, {"mean": None}, {"mean": True}])
def test_a_norm_that_is_none_is_refused(saved: Path, bare: Path, wrong: dict[str, Any]) -> None:
    _add(bare, {"score.weight": _head(saved)["weight"]}, **{"mean": 0.0, "std": 1.0, "normalize_reward": True} | wrong)
    with pytest.raises(CheckpointError, match="asks for normalised rewards, but gives mean"):
        RewardModel.load(bare)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"score.weight": torch.ones(3, HIDDEN)}, r"classifies into 3 labels .*num_labels = 1"),
        ({"score.weight": torch.ones(1, HIDDEN - 8)}, r"does not fit a backbone of hidden size 128.*\(1, 120\)"),
        ({"score.weight": torch.ones(HIDDEN)}, "does not fit a backbone of hidden size 128"),
        ({"score.weight": torch.full((1, HIDDEN), torch.nan)}, "NaN or infinity"),
        ({"score.weight": torch.ones(1, HIDDEN, dtype=torch.int64)}, "only floating point"),
        ({"score.bias": torch.ones(1)}, r"\['score\.bias'\]; one linear layer is read"),
        ({"v_head.summary.weight": torch.ones(1, HIDDEN)}, r"one linear layer is read, .*v_head\.summary\.bias"),
        ({"score.0.weight": torch.ones(8, HIDDEN), "score.2.weight": torch.ones(1, 8)}, "A head of several layers"),
        ({"regression_layer.weight": torch.ones(19, HIDDEN)}, r"Left over: regression_layer\.weight"),
        ({"score.weight": torch.ones(1, HIDDEN), "v_head.summary.bias": torch.ones(1)}, "has 2 heads: score, v_head"),
        ({}, r"no head among its weights.*gives random numbers"),
    ],
)
def test_other_heads_are_refused_with_the_reason(bare: Path, tensors: dict[str, Tensor], message: str) -> None:
    _add(bare, tensors)
    with pytest.raises(CheckpointError, match=message):
        RewardModel.load(bare)


def test_two_heads_are_refused(saved: Path, bare: Path) -> None:
    (bare / HEAD).write_bytes((saved / HEAD).read_bytes())
    torch.save(load_file(saved / HEAD), bare / "value_head.bin")
    with pytest.raises(CheckpointError, match=r"has 2 heads: value_head\.safetensors, value_head\.bin\. Keep"):
        RewardModel.load(bare)
    (bare / "value_head.bin").unlink()
    _add(bare, {"score.weight": torch.ones(1, HIDDEN)})
    with pytest.raises(CheckpointError, match=r"has 2 heads: value_head\.safetensors, score"):
        RewardModel.load(bare)


def test_a_model_saved_into_the_folder_that_it_came_from_is_read_again(saved: Path, bare: Path) -> None:
    """What the folder had besides is gone: a head of another format, adapters, files about words not written again."""
    torch.save(load_file(saved / HEAD), bare / "value_head.bin")
    (bare / "adapter_config.json").write_text("{}")
    (bare / "notes.txt").write_text("mine")
    settings = json.loads((bare / "tokenizer_config.json").read_text())
    settings["chat_template"] = (bare / "chat_template.jinja").read_text()
    (bare / "tokenizer_config.json").write_text(json.dumps(settings))
    (bare / "chat_template.jinja").unlink()
    model = RewardModel.load(bare)
    (bare / "chat_template.jinja").write_text("another's, which this model did not read")
    model.save(bare)
    assert torch.equal(RewardModel.load(bare).rewards([ASKED]), model.rewards([ASKED]))
    there = {path.name for path in bare.iterdir()}
    assert not there & {"value_head.bin", "adapter_config.json", "chat_template.jinja"}
    assert "notes.txt" in there


@pytest.mark.parametrize(
    "claim", [{"architectures": ["Qwen2ForSequenceClassification"]}, {"value_head_prefix": "score"}], ids=str
)
def test_a_reward_model_that_lost_its_head_gets_no_new_one(bare: Path, claim: dict[str, Any]) -> None:
    _add(bare, {}, **claim)
    with pytest.raises(CheckpointError, match="no head among its weights"):
        RewardModel.load_or_new_head(bare)


def test_a_folder_that_claims_nothing_gets_a_new_head(bare: Path) -> None:
    assert RewardModel.load_or_new_head(bare).head.weight.shape == (1, HIDDEN)


@pytest.mark.parametrize(
    "change", [lambda p: p.write_bytes(p.read_bytes()[:-4]), lambda p: p.write_bytes(b"\x08" * 40)]
)
def test_damaged_weights_around_a_head_are_refused(bare: Path, change: Callable[[Path], object]) -> None:
    _add(bare, {"score.weight": torch.ones(1, HIDDEN)})
    change(bare / WEIGHTS)
    with pytest.raises(CheckpointError, match=re.escape(f"{WEIGHTS} cannot be read as safetensors")):
        read_head(bare, HIDDEN)
