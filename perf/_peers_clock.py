"""What is taken down of a training run, in each trainer's own environment: CPU seconds of its loop, and its losses.

A callback, because all of them are transformers Trainers. The loop is timed from its start to the end of its last step:
batches, passes, gradients and optimizer steps are in it, loading a model and reading a dataset are not.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from transformers import TrainerCallback


class Clock(TrainerCallback):
    """CPU seconds of this process, and the loss of each step; log every step."""

    def __init__(self) -> None:
        self.begun = self.ended = 0.0
        self.losses: list[float] = []

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.begun = time.process_time()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.ended = time.process_time()

    def on_log(self, *_: Any, **given: Any) -> None:
        if "loss" in given["logs"]:
            self.losses.append(float(given["logs"]["loss"]))

    def report(self) -> None:
        """Print what was taken down, as one line of JSON."""
        sys.stdout.write("\n" + json.dumps({"cpu": self.ended - self.begun, "losses": self.losses}) + "\n")
