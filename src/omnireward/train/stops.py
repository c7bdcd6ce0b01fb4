"""What stops a run before its end: a signal, or a loss that nothing good can come of.

A signal lets the step finish and a checkpoint be written. A loss or gradient that is not finite, or a loss that has
exploded, ends the run before the next optimizer step, with the ids of the samples, and nothing is saved from there.
All processes decide alike, from the mean loss over all of them, or some would wait for the others for ever.
"""

from __future__ import annotations

import math
import os
import signal
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from types import FrameType, TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from omnireward.errors import TrainingError
from omnireward.train.together import agree_to_go_on, tell

# A loss has exploded when it is over TIMES the median of the last WINDOW steps and over FLOOR, IN_A_ROW steps long,
# once there are ENOUGH steps to take a median of. A model that knows nothing has log 2 = 0.69, and a loss of 5 puts
# the preferred response 5 below the other, so healthy runs come nowhere near; one odd batch is not yet an explosion.
WINDOW, ENOUGH, TIMES, FLOOR, IN_A_ROW = 50, 10, 10.0, 5.0, 3


class Watch:
    """The losses of the last steps, and whether they can be trusted."""

    def __init__(self) -> None:
        self._recent: deque[float] = deque(maxlen=WINDOW)
        self._high: list[str] = []
        self._losses: list[Tensor] = []
        self._ids: list[str] = []

    @property
    def suspect(self) -> bool:
        """Whether the last step's loss was too high. It may be an explosion's beginning, so nothing is saved then."""
        return bool(self._high)

    def saw(self, loss: Tensor, ids: Iterable[str]) -> None:
        """Note a part of the optimizer step at hand: its share of the loss, and the samples in it."""
        self._losses.append(loss)
        self._ids += ids

    def step(self, number: int, norm: float | None) -> None:
        """Judge the step at hand, after its gradients and before its weights.

        Args:
            number: optimizer steps done before this one.
            norm: of the gradients, before they are scaled down; None where it is not known.

        Raises:
            TrainingError: loss or norm are not finite, or the loss has exploded.
        """
        if not self._losses:
            return
        loss, ids = float(tell([float(torch.stack(self._losses).sum())]).mean()), self._ids
        self._losses, self._ids = [], []
        if not math.isfinite(loss):
            raise TrainingError(f"the loss is {loss} at step {number} on the samples {ids}. {_ADVICE}")
        if norm is not None and not math.isfinite(norm):
            raise TrainingError(f"the norm of the gradients is {norm} at step {number} on the samples {ids}. {_ADVICE}")
        usual = median(self._recent) if len(self._recent) >= ENOUGH else math.inf
        self._recent.append(loss)
        if loss <= max(FLOOR, TIMES * usual):
            self._high.clear()
            return
        self._high.append(f"{loss:.3g} at step {number} on the samples {ids}")
        if len(self._high) >= IN_A_ROW:
            raise TrainingError(
                f"the loss has exploded: for {IN_A_ROW} steps it was over {TIMES:g} times the median of the last "
                f"{WINDOW} steps ({usual:.3g}) and over {FLOOR:g}: {'; '.join(self._high)}. {_ADVICE}"
            )

    def state(self) -> list[float]:
        """What a checkpoint keeps of it."""
        return list(self._recent)

    def resume(self, state: Sequence[float]) -> None:
        """Take up what a checkpoint kept."""
        self._recent.extend(state)


_ADVICE = (
    "Nothing was saved from this step; the last checkpoint stays as it is. A lower learning rate or a check of these "
    "samples are the first things to try."
)


def check_weights(model: nn.Module, step: int) -> None:
    """Raise TrainingError, in all processes, where a weight is not finite: what is saved would be good for nothing."""
    here = ((name, weight.detach()) for name, weight in model.named_parameters())
    parts = ((name, weight.to_local() if isinstance(weight, DTensor) else weight) for name, weight in here)
    broken = [name for name, weight in parts if not bool(weight.isfinite().all())]
    names = f"{', '.join(broken[:3])} ({len(broken)} in all)"
    agree_to_go_on(
        TrainingError(f"after step {step}, weights are NaN or infinite: {names}. {_ADVICE}") if broken else None
    )


class Stops(TrainerCallback):
    """A context manager in which SIGTERM and SIGINT end the run after the step at hand, with a checkpoint.

    A second SIGINT interrupts at once. Signals reach the main thread only; in another, nothing is listened to.

    Attributes:
        asked: some process was told to stop, and all know it.
    """

    def __init__(self) -> None:
        self.asked = False
        self._told = False
        self._before: Mapping[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {one: signal.signal(one, self._tell) for one in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for one, before in self._before.items():
            signal.signal(one, before)

    def _tell(self, number: int, _frame: FrameType | None) -> None:
        if self._told and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._told = True
        # Not through sys.stderr: the signal may have come while it is being written to.
        os.write(2, f"{signal.Signals(number).name}: the run stops after this step.\n".encode())

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Ask for a checkpoint and the end, in all processes if one was told."""
        if tell([self._told]).any():
            self.asked = control.should_save = control.should_training_stop = True
