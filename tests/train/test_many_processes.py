"""Two processes train as one does: with the model whole in each (DDP), and with its weights split (FSDP2)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from omnireward.reward_model import RewardModel
from omnireward.sources import BadRows
from omnireward.tie_head import FILE as TIES
from omnireward.train.config import TrainConfig
from omnireward.train.mixing import SeededOrder, Wanted, mix, mixture_of
from omnireward.train.together import Shares
from omnireward.types import Media, Sample

pytestmark = pytest.mark.slow
ENVIRONMENT = os.environ | {"PYTHONWARNINGS": "ignore"}
TASKS = ("T2T", "T2I", "T2A")
# All towers learn. Some samples are too long, so one process has fewer pairs than the other, or none; so it has in an
# epoch's last step.  Passes are small, so processes need different numbers of them.
RUN: dict[str, Any] = {
    "datasets": {"miniature:prompts=1": 1.0},
    "tasks": TASKS,
    "freeze": (),
    "epochs": 99.0,
    "accumulation": 1,
    "learning_rate": 1e-4,
    "log_every": 1,
    "max_tokens": 88,
    "tokens_per_pass": 150,
    "skip_bad_rows": True,
}
CURVE = {**RUN, "batch_size": 6, "steps": 20, "save_every": 10}
MIXED = {**RUN, "batch_size": 2, "steps": 200, "log_every": 100}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every run of this file. A run that waits for ever is ended, and fails."""
    out = tmp_path_factory.mktemp("runs")
    first = [
        {"processes": 1, "runs": [{**CURVE, "out": "one"}]},
        {
            "processes": 2,
            "runs": [
                {**CURVE, "out": "whole"},
                {**CURVE, "out": "split", "sharding": "fsdp"},
                {**MIXED, "out": "mixed", "sharding": "fsdp"},
            ],
        },
    ]
    resumed = {**CURVE, "resume": True}
    second = [
        {"processes": 1, "runs": [{**resumed, "out": "split_to_one", "start": "split/checkpoint-10"}]},
        {
            "processes": 2,
            "runs": [
                {**resumed, "out": "one_to_split", "start": "one/checkpoint-10", "sharding": "fsdp"},
            ],
        },
    ]
    script = Path(__file__).with_name("processes.py")
    done = subprocess.run(
        [sys.executable, str(script), str(out), json.dumps([first, second])],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return out


def _log(folder: Path, name: str) -> list[float]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if "loss" in line]


@pytest.mark.parametrize("other", ["whole", "split"])
def test_losses_of_two_processes_are_those_of_one(runs: Path, other: str) -> None:
    """Twenty steps, of which one is the last of an epoch; measured: within 2e-7."""
    losses, others = (_log(runs / name, "loss") for name in ("one", other))
    assert len(losses) == len(others) == 20
    assert max(abs(one - two) for one, two in zip(losses, others, strict=True)) < 1e-5


@pytest.mark.parametrize("other", ["whole", "split"])
def test_accuracy_and_bad_rows_are_those_of_all_processes(runs: Path, other: str) -> None:
    """Ten samples are longer than 88 tokens, of which each epoch finds some in one process and some in the other."""
    assert _log(runs / other, "accuracy") == _log(runs / "one", "accuracy")
    one, two = (json.loads((runs / name / "data.json").read_text()) for name in ("one", other))
    assert one["bad_rows"] == two["bad_rows"] == 10


@pytest.mark.parametrize("other", ["whole", "split"])
def test_the_model_of_two_processes_is_saved_whole_with_its_head(runs: Path, other: str) -> None:
    """Judged by margins: AdamW moves what the loss does not depend on, such as the head's bias, by rounding's sign."""
    asked = [sample.comparison for sample in mix(RUN["datasets"], BadRows(), 3, Wanted.of(("T2T",), "all")).samples]
    one, two = (RewardModel.load(runs / name).rewards(asked).diff(dim=1) for name in ("one", other))
    torch.testing.assert_close(one, two, rtol=0, atol=1e-5)
    head, early = (
        load_file(folder / "value_head.safetensors") for folder in (runs / other, runs / other / "checkpoint-10")
    )
    assert all((head[key] != early[key]).any() for key in head)  # a split head that was not gathered stays as it was
    ties = [load_file(folder / TIES) for folder in (runs / "one", runs / other, runs / other / "checkpoint-10")]
    assert all((ties[1][key] != ties[2][key]).any() for key in ties[1])
    for key, value in ties[0].items():
        torch.testing.assert_close(value, ties[1][key], rtol=0, atol=1e-4)


@pytest.mark.parametrize("resumed", ["split_to_one", "one_to_split"])
def test_a_run_goes_on_with_another_number_of_processes(runs: Path, resumed: str) -> None:
    """From step 10 on. An optimizer that began anew, without its moments, is off by far more than 1e-5."""
    losses, others = _log(runs / "one", "loss")[10:], _log(runs / resumed, "loss")
    assert len(others) == 10
    assert max(abs(one - two) for one, two in zip(losses, others, strict=True)) < 1e-5


def test_a_split_checkpoint_keeps_what_each_process_has_of_the_optimizer(runs: Path) -> None:
    shards = runs / "split" / "checkpoint-10" / "optimizer_shards"
    assert sorted(path.name for path in shards.iterdir()) == ["00000.safetensors", "00001.safetensors", "groups.json"]


def test_200_steps_of_mixed_media_end(runs: Path) -> None:
    """One pair for each process in a step. In how many they see other media, or one text alone, is counted here."""
    assert _log(runs / "mixed", "step") == [100, 200]
    values = {n: value for n, value in MIXED.items() if n in ("datasets", "tasks", "batch_size", "accumulation")}
    config = TrainConfig(out=runs, **values)
    mixture = mixture_of(config, BadRows())
    steps = uneven = texts = 0
    for epoch in range(20):
        order = SeededOrder(mixture, config.seed)
        order.set_epoch(epoch)
        for shares in zip(*(Shares(order, config.per_step, rank, 2) for rank in range(2)), strict=True):
            one, other = ({kind for index in share for kind in _kinds(mixture.samples[index])} for share in shares)
            steps += 1
            uneven += steps <= 200 and one != other
            texts += steps <= 200 and bool(one) != bool(other)
    assert uneven > 20
    assert texts > 10


def _kinds(sample: Sample) -> set[str]:
    prompt = [part for turn in sample.comparison.prompt for part in turn.content]
    parts = (*prompt, *sample.comparison.response_a, *sample.comparison.response_b)
    return {part.kind for part in parts if isinstance(part, Media)}


def test_the_command_under_torchrun(tmp_path: Path) -> None:
    """As it is typed, with frozen towers, which are not split."""
    out = tmp_path / "run"
    typed = "train --datasets miniature:prompts=1 1 --tasks T2T T2I --steps 2 --accumulation 4 --log-every 1"
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node",
        "2",
        "-m",
        "omnireward",
    ]
    done = subprocess.run(
        [*launch, *typed.split(), "--sharding", "fsdp", "--out", str(out)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert done.stdout.count("The reward model is in") == 1
    assert len(_log(out, "loss")) == 2
    RewardModel.load(out)
