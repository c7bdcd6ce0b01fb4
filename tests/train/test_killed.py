"""Runs that are killed and go on end with the bytes of the run that was left alone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from omnireward.train import bradley_terry
from omnireward.train.config import TrainConfig

RUNS, INSIDE = 25, 8


@pytest.mark.slow
def test_killed_at_25_random_moments_a_resumed_run_ends_with_the_same_bytes(tmp_path: Path) -> None:
    """Weights, head, tokenizer, lines of the log, counts and names of files; some runs are killed twice.

    A run was inside a save where it left a folder `.saving-*`, of a checkpoint or of the final model.
    """
    command = [sys.executable, str(Path(__file__).with_name("killed_runs.py")), str(tmp_path), "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    _, *runs = (json.loads(line) for line in done.stdout.splitlines())
    assert len(runs) == RUNS
    assert [run for run in runs if run["ends"][0] != -signal.SIGKILL] == []
    assert [run for run in runs if run["ends"][-1] != 0 or run["other"]] == []
    assert sum(any(name.startswith(".saving-") for name in run["left"]) for run in runs) >= INSIDE


def _train(config: TrainConfig, *more: str) -> subprocess.Popen[str]:
    flags = ["--out", str(config.out), "--model", "tiny", "--datasets", *(str(x) for x in (*config.datasets, 1.0))]
    for name in ("steps", "epochs", "batch_size", "accumulation", "learning_rate", "save_every", "log_every"):
        flags += [f"--{name.replace('_', '-')}", str(getattr(config, name))]
    program = "from omnireward.cli import main; raise SystemExit(main())"
    words = [sys.executable, "-c", program, "train", *flags, *more]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _at(step: int, out: Path, process: subprocess.Popen[str], number: int) -> tuple[str, str]:
    """Send a signal when the run has made a checkpoint of this step or a later one; what it said until it ended."""
    while process.poll() is None and not any(
        int(path.name.removeprefix("checkpoint-")) >= step for path in out.glob("checkpoint-*")
    ):
        time.sleep(0.005)
    process.send_signal(number)
    return process.communicate(timeout=300)


@pytest.mark.slow
def test_the_command_itself_survives_kills_and_saves_when_it_is_told_to_stop(tmp_path: Path) -> None:
    """Killed while it trains, then told to stop with SIGTERM: exit code 0, and the way to go on."""
    pairs = tmp_path / "pairs"
    pairs.mkdir()
    rows = [
        {
            "conversations": [{"from": "human", "value": f"Name river {n}."}],
            "chosen": {"from": "gpt", "value": "The Rhine."},
            "rejected": {"from": "gpt", "value": "No."},
        }
        for n in range(9)
    ]
    (pairs / "rows.json").write_text(json.dumps(rows))
    config = TrainConfig(
        out=tmp_path / "run",
        datasets={str(pairs): 1.0},
        steps=60,
        epochs=999.0,
        batch_size=2,
        accumulation=1,
        learning_rate=1e-4,
        save_every=5,
        log_every=7,
    )
    process = _train(config)
    _at(5, config.out, process, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    process = _train(config, "--resume")
    said, told = _at(15, config.out, process, signal.SIGTERM)
    assert process.returncode == 0, told
    assert "SIGTERM: the run stops after this step." in told
    assert f"The last checkpoint: {config.out}/checkpoint-" in said
    assert f"cd {tmp_path} && omnireward train " in said
    assert "--resume" in said
    assert not (config.out / "value_head.safetensors").exists()
    resumed = replace(config, resume=True)
    straight = replace(config, out=tmp_path / "straight")
    for each in (resumed, straight):
        bradley_terry.train(each)
    for name in ("model.safetensors", "value_head.safetensors"):
        assert (config.out / name).read_bytes() == (straight.out / name).read_bytes()
    names, wanted = ({path.name for path in folder.iterdir()} for folder in (config.out, straight.out))
    assert names == wanted
