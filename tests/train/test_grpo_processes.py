"""Two processes take the steps of GRPO that one takes, whatever one of them cannot use, and go on from a checkpoint."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.train import scripted

pytestmark = pytest.mark.slow
# Answers are a script's, by question and seed. Two updates on each round of four questions, one by one, so the last
# part of a step may be of a question that one process cannot use: some are too long. An epoch has two rounds.
RUN: dict[str, Any] = {
    "verb": "grpo",
    "datasets": {"miniature:prompts=1": 1.0},
    "tasks": ["T2T"],
    "limit": 8,
    "steps": 7,
    "epochs": 99.0,
    "batch_size": 1,
    "accumulation": 2,
    "updates": 2,
    "rollouts": 4,
    "kl": 0.1,
    "learning_rate": 1e-4,
    "max_answer": 16,
    "log_groups": 99,
    "save_every": 5,
    "skip_bad_rows": True,
    "max_tokens": 630,
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs")
    run = RUN | {"model": str(scripted.judge(out / "judge"))}
    first = [
        {"processes": 1, "runs": [{**run, "out": "one"}]},
        {"processes": 2, "runs": [{**run, "out": "two"}]},
    ]
    resumed = {**run, "resume": True, "out": "resumed", "start": "two/checkpoint-5"}
    second = [{"processes": 2, "runs": [resumed]}]
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("processes.py")), str(out), json.dumps([first, second])],
        env=os.environ | {"PYTHONWARNINGS": "ignore", "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return out


def test_figures_of_two_processes_are_those_of_one(runs: Path) -> None:
    one, two = (scripted.log(runs / name) for name in ("one", "two"))
    assert [line["step"] for line in one] == [line["step"] for line in two] == list(range(1, 8))
    for here, there in zip(one, two, strict=True):
        assert here.keys() == there.keys()
        for name in set(here) - {"entropy", "clip_low", "clip_high", "kl"}:  # those are means over parts of a step
            assert here[name] == pytest.approx(there[name], rel=2e-3, abs=1e-5), (here["step"], name)
    assert one[1]["grad_norm"] > 0.1
    bad = {name: json.loads((runs / name / "data.json").read_text())["bad_rows"] for name in ("one", "two")}
    assert bad["one"] == bad["two"] > 0


def test_rollouts_of_the_first_process_are_those_of_one(runs: Path) -> None:
    """It has half of each step's questions. They, what is drawn, and advantages are the same."""
    one, two = (scripted.groups(runs / name) for name in ("one", "two"))
    assert len(one) == 2 * len(two) == 16
    first = [group for number, group in enumerate(one) if number % 2 == 0]
    assert [group["id"] for group in first] == [group["id"] for group in two]
    for here, there in zip(first, two, strict=True):
        assert [answer["text"] for answer in here["answers"]] == [answer["text"] for answer in there["answers"]]
        advantages = ([answer["advantage"] for answer in group["answers"]] for group in (here, there))
        assert next(advantages) == pytest.approx(next(advantages), abs=1e-5)


def test_resumed_within_a_round_and_an_epoch_two_processes_take_the_same_steps(runs: Path) -> None:
    assert scripted.log(runs / "resumed") == scripted.log(runs / "two")[5:]
    assert (runs / "resumed" / "model.safetensors").read_bytes() == (runs / "two" / "model.safetensors").read_bytes()
