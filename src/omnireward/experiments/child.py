"""The work of a child process: make a base, or train one arm with one seed and judge its tests. `python -m` runs it.

What to do is one line of JSON on stdin. It is a process of its own so that arms are trained side by side, one thread
each, and so that one that fails takes no other with it. Where stdin ends, whoever began it is gone, and it stops.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omnireward.errors import OmniRewardError
from omnireward.experiments.plan import parsed
from omnireward.train.config import TrainConfig


def main() -> int:
    """Returns the exit code; an error that can be mended is one line on stderr, the last of the log."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # until training listens to it
    job: dict[str, Any] = json.loads(sys.stdin.readline())
    try:
        threading.Thread(target=_stop_when_alone, daemon=True).start()  # in here, as it may stop us at once
        do(job)
    except (OmniRewardError, OSError) as error:
        sys.stderr.write(f"error: {type(error).__name__}: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("stopped.\n")
        return 130
    return 0


def do(job: Mapping[str, Any]) -> None:
    """Make a base, or one run."""
    {"base": _base, "run": _run}[job["kind"]](job)


def _stop_when_alone() -> None:
    sys.stdin.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _base(job: Mapping[str, Any]) -> None:
    from omnireward.train.base import make_base

    make_base(parsed(job["flags"], job["said"]), Path(job["folder"]))


def _run(job: Mapping[str, Any]) -> None:
    import torch

    from omnireward.evaluate import EvaluateConfig, evaluate
    from omnireward.reward_model import holds_model
    from omnireward.train.bradley_terry import train

    torch.set_num_threads(1)  # two threads on two busy cores are several times slower than one
    folder, config = Path(job["folder"]), parsed(job["flags"], job["said"])
    if not holds_model(folder):
        if job["untrained"]:
            _new_head(config, folder)
        else:
            train(config)
    for name, place in job["tests"].items():
        # A reward model reads one response at a time: there is no order to draw. One seed, so that the folds of a
        # cross-fit are the same for all.
        evaluate(
            EvaluateConfig(judge=f"reward:{folder}", benchmark=place, out=folder / name, seed=0, order="fixed", shown=0)
        )


def _new_head(config: TrainConfig, folder: Path) -> None:
    """The base as a reward model whose head has learned nothing; that of a reward model is not kept."""
    import torch

    from omnireward.hub import find
    from omnireward.reward_model import RECORD, RewardModel
    from omnireward.value_head import expects_head

    torch.manual_seed(config.seed)
    model = RewardModel.load_or_new_head(config.model, config.layout)
    base = find(config.model).folder
    if (base / RECORD).exists() or expects_head(base):
        torch.manual_seed(config.seed)
        fresh = RewardModel(model.backbone, model.family, model.layout)
        model.head, model.ties, model.uncertainty = fresh.head, None, None
    model.save(folder)


if __name__ == "__main__":
    sys.exit(main())
