"""A `transformers.Trainer` whose checkpoints are published whole, and whose runs go on to the same bytes.

The Trainer keeps weights, optimizer, scheduler, its own state and the generators of Python, numpy and torch, and finds
its place in an epoch again. Added here is what it forgets: the losses since the last line of the log, and what the
watch over the loss has seen. Nothing else is drawn while training: frames are sampled at fixed places and media are
never altered at random, so a sample is the same in every epoch and after every start. Whoever adds such a choice must
draw it from (seed, epoch, sample id), not from a generator that a resumed run would find elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from transformers import Trainer
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import TrainerState

from omnireward.atomic import synced
from omnireward.train import checkpoints, resuming
from omnireward.train.reporting import LogLines
from omnireward.train.resuming import Identity
from omnireward.train.stops import Watch, check_weights
from omnireward.train.together import rank, world

UNLOGGED = "unlogged-{rank}.json"


class SurvivingTrainer(Trainer):
    """Writes every checkpoint beside its place, and publishes it when all processes have written.

    Args:
        out: the run's folder, on a file system that all processes share.
        run: kept in each checkpoint; see `resuming`.
        more: of `transformers.Trainer`.
    """

    def __init__(self, out: Path, run: Identity, **more: Any) -> None:
        self.out, self.run, self.watch = out, run, Watch()
        self._staging: Path | None = None
        super().__init__(**more)

    def unlogged(self) -> Mapping[str, Any]:
        """What a subclass has gathered that is not in the log or the weights, as JSON."""
        return {}

    def take_up(self, unlogged: Mapping[str, Any]) -> None:
        """Add what `unlogged` gave, after a resume: in this process, or in one that is gone."""

    def needed(self) -> int:
        """Bytes of a checkpoint, about."""
        states = self.optimizer.state.values() if self.optimizer is not None else ()
        kept = [value for state in states for value in state.values() if torch.is_tensor(value)]
        return size_of(cast(nn.Module, self.model)) + sum(value.nbytes for value in kept)

    def train_from(self, checkpoint: Path | None) -> None:
        """Train to the end, from a checkpoint if there is one.

        Raises:
            TrainingError: processes see other folders, or another checkpoint each.
        """
        resuming.meet(self.out, checkpoint)
        if checkpoint is not None:
            state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
            if state.global_step >= state.max_steps:  # the Trainer would take one more step
                self.state = state
                self._take_up(checkpoint)
                for callback in self.callback_handler.callbacks:
                    if isinstance(callback, LogLines):  # the last line may be torn
                        callback.on_train_begin(self.args, state, self.control)
                return
        self.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    def save_final(self) -> None:
        """Write the model to the run's folder; only a whole one is a model there (see `RewardModel.save`)."""
        model = cast(nn.Module, self.model)
        check_weights(model, self.state.global_step)
        with checkpoints.saving("the model", self.out, size_of(model) if self.is_world_process_zero() else 0):
            self.save_model(str(self.out), _internal_call=True)

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._staging) if self._staging else str(super()._get_output_dir(trial))

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        if self.watch.suspect:
            return
        name = f"{checkpoints.CHECKPOINT}{self.state.global_step}"
        check_weights(model, self.state.global_step)
        with checkpoints.saving(name, self.out, self.needed() if self.is_world_process_zero() else 0):
            self._staging = checkpoints.staging(self.out)
            if self.is_world_process_zero():
                checkpoints.clear(self.out)
                (self._staging / name).mkdir(parents=True)
            self.accelerator.wait_for_everyone()
            try:
                super()._save_checkpoint(model, trial)
            finally:
                fresh, self._staging = self._staging / name, None
            self.accelerator.wait_for_everyone()  # all have written
            if self.is_world_process_zero():
                resuming.write(fresh, self.run)
                checkpoints.expect(fresh, (UNLOGGED.format(rank=number) for number in range(world())))
                for log in self.out.glob("*.jsonl"):  # a resumed run adds to its lines
                    synced(log)
                checkpoints.publish(fresh, self.out)
                checkpoints.clear(self.out)
        self.accelerator.wait_for_everyone()  # nobody goes on, or ends, before it is published

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        kept = {
            "loss": self._tr_loss.item(),
            "last_logged": self._globalstep_last_logged,
            "losses": self.watch.state(),
            **self.unlogged(),
        }
        (Path(output_dir) / UNLOGGED.format(rank=self.args.process_index)).write_text(json.dumps(kept))

    def _load_rng_state(self, checkpoint: str | None) -> None:
        """Called once, after the loop has set its counts to nothing and before the first step."""
        super()._load_rng_state(checkpoint)
        # How often to log and save is told by this start, not by the one before, whose numbers the state holds.
        cast(Any, self.state).compute_steps(self.args, self.state.max_steps)
        if checkpoint is not None:
            kept = self._take_up(Path(checkpoint))
            self._tr_loss += kept["loss"]
            self._globalstep_last_logged = kept["last_logged"]
            self.watch.resume(kept["losses"])

    def _take_up(self, checkpoint: Path) -> dict[str, Any]:
        """Take up what was not logged: of one process by each, or, where their number is another, in turns.

        Returns:
            What all processes need alike, and the share of the loss: its mean over processes is what it was.
        """
        before = len(list(checkpoint.glob(UNLOGGED.format(rank="*"))))
        files = [checkpoint / UNLOGGED.format(rank=number) for number in range(before)]
        kept: list[dict[str, Any]] = [json.loads(file.read_bytes()) for file in files]
        mine = kept[rank() :: world()]
        for one in mine:
            self.take_up(one)
        return kept[0] | {"loss": sum(one["loss"] for one in mine) * (world() / before)}

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        norm = cast(Any, super())._get_grad_norm(model, grad_norm)
        self.watch.step(self.state.global_step, None if norm is None else float(norm))
        return norm


def size_of(model: nn.Module) -> int:
    """Bytes of the parameters that a model saves; beside adapters, that is what is trained."""
    all_of_it = getattr(model, "on_base", None) is None
    return sum(weight.nbytes for weight in model.parameters() if all_of_it or weight.requires_grad)
