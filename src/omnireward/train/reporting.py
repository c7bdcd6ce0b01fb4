"""What a run says while it trains: lines in log.jsonl, and a progress bar."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from omnireward import atomic
from omnireward.progress import Progress


class LogLines(TrainerCallback):
    """One JSON object for each log event in log.jsonl: step, epoch, loss, accuracy, margin, learning rate, norm."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Drop what an earlier run wrote of steps that come now: after its last checkpoint, or everything."""
        if state.is_world_process_zero and self.path.is_file():
            lines = self.path.read_bytes().splitlines(keepends=True)
            kept = takewhile(lambda line: _step(line) <= state.global_step, lines)
            atomic.write_text(self.path, b"".join(kept).decode())

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **_: Any
    ) -> None:
        """Append one line."""
        if state.is_world_process_zero:
            with self.path.open("a") as file:
                file.write(json.dumps({"step": state.global_step, **(logs or {})}) + "\n")


def _step(line: bytes) -> float:
    """Of a line; infinite where it is torn by a kill, or holds what a disk makes of bytes that it never had."""
    try:
        return float(json.loads(line)["step"]) if line.endswith(b"\n") else math.inf
    except ValueError:
        return math.inf


class ProgressBar(TrainerCallback):
    """Steps done, with the newest figures.

    Args:
        title: what is done.
        shown: names of figures of the log.
    """

    def __init__(self, title: str, shown: Sequence[str] = ("loss", "accuracy")) -> None:
        self._title, self._shown = title, shown
        self.bar: Progress | None = None
        self.note = ""

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start at the step that the run starts at."""
        if not state.is_world_process_zero:
            return
        self.bar = Progress(self._title, state.max_steps, state.global_step).__enter__()

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, logs: Any = None, **_: Any
    ) -> None:
        """Remember the newest figures."""
        if logs and "loss" in logs:
            told = {name: logs.get(name) for name in self._shown}
            self.note = ", ".join(f"{name} {math.nan if value is None else value:.3f}" for name, value in told.items())

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """One step on."""
        if self.bar:
            self.bar.advance(self.note)

    def close(self) -> None:
        """Give the terminal back; also after an error, of which the Trainer tells no callback."""
        if self.bar:
            self.bar.__exit__(None, None, None)
