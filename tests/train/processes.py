"""Runs of training in one and in several processes, which meet on loopback: forked from one that has imported torch.

    python processes.py OUT JOBS

JOBS is JSON: a list of stages, each of which begins when the one before is over; a stage is a list of groups that work
at the same time, each with its number of `processes` and the configs of its `runs`, one after the other. A run's
`start` is a checkpoint of another run to resume from. Its `verb` is `train`, or `grpo` with scripted answers.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sys
import time
import traceback
from pathlib import Path
from typing import Any

LIMIT = 400.0  # seconds: a group that waits for ever fails


def main(out: Path, stages: list[list[dict[str, Any]]]) -> int:
    """Do all jobs; returns the exit code."""
    import omnireward.train.bradley_terry  # noqa: F401  # once, before forking

    end = time.monotonic() + LIMIT
    for stage in stages:
        children = [child for group in stage for child in _begin(out, group)]
        if not _wait(children, end):
            return 1
    return 0


def _begin(out: Path, group: dict[str, Any]) -> list[int]:
    for run in group["runs"]:
        if start := run.pop("start", None):
            shutil.copytree(out / start, out / run["out"] / Path(start).name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    children = []
    for rank in range(group["processes"]):
        child = os.fork()
        if child:
            children.append(child)
            continue
        if group["processes"] > 1:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(group["processes"])}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "LOCAL_WORLD_SIZE": "2"}
        code = 1
        try:
            for run in group["runs"]:
                _train(out, run)
            code = 0
        except BaseException:  # noqa: BLE001  # whatever it was, this process ends here, and not as its parent
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    return children


def _train(out: Path, run: dict[str, Any]) -> None:
    verb = run.pop("verb", "train")
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in run.items()}
    values["out"] = out / run["out"]
    if verb == "grpo":
        _grpo(values)
        return
    from omnireward.train.bradley_terry import train
    from omnireward.train.config import TrainConfig

    train(TrainConfig(**values))


def _grpo(values: dict[str, Any]) -> None:
    from tests.train.scripted import BARE_A, LOST, RIGHT_A, RIGHT_B, Script

    from omnireward.train import grpo, grpo_log
    from omnireward.train.grpo_config import GRPOConfig

    said = (RIGHT_A, RIGHT_B, LOST, BARE_A)
    script = Script(lambda _, __, seed: said[seed % 4], values["rollouts"])
    for module, name, value in (
        (grpo, "write_page", _nothing),
        (grpo_log, "write_page", _nothing),
        (grpo, "speak", script),
    ):
        setattr(module, name, value)
    grpo.grpo(GRPOConfig(**values))


def _nothing(*_: object, **__: object) -> None:
    pass


def _wait(children: list[int], end: float) -> bool:
    """Whether all ended well; ends the others as soon as one did not, or the time is over."""
    left, good = set(children), True
    while left:
        for child in list(left):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                left.discard(child)
                good = good and os.waitstatus_to_exitcode(status) == 0
        if left and (not good or time.monotonic() > end):
            sys.stderr.write("a process failed, or waited for ever; the others are ended.\n")
            for child in left:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
            return False
        time.sleep(0.05)
    return good


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), json.loads(sys.argv[2])))
