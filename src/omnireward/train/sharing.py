"""A `SurvivingTrainer` for any number of processes: a step means the same, and so does its loss.

One process, or several with whole weights (DDP), spread their share of a step over passes as they like, and speak of
gradients after the last one. Where weights or gradients are split, every pass is a matter of all: they run as many as
the one with the most, those with fewer on a text of a few tokens that counts nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any, cast

import torch
from accelerate.data_loader import prepare_data_loader  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader
from transformers import TrainingArguments
from transformers.trainer import OPTIMIZER_NAME, SCHEDULER_NAME

from omnireward.conversation_model import ConversationModel
from omnireward.errors import OmniRewardError, RecipeError
from omnireward.train import optimizer_shards, sharding
from omnireward.train.arguments import arguments
from omnireward.train.learning import Learning
from omnireward.train.mixing import SeededOrder
from omnireward.train.resuming import Identity
from omnireward.train.surviving import SurvivingTrainer
from omnireward.train.together import Shares, agree, rank, world


class SharingTrainer(SurvivingTrainer):
    """Gives each process its share of a step's samples, and makes their gradients one.

    Args:
        model: whole; it is split here, where the config says so.
        config: the run's.
        order: of all samples.
        run: see `SurvivingTrainer`.
        more: of `transformers.Trainer`.
    """

    def __init__(
        self, model: ConversationModel, config: Learning, order: SeededOrder, run: Identity, **more: Any
    ) -> None:
        self.config, self.order = config, order
        if config.sharding == "zero2" and not model.features.frozen:
            raise RecipeError(
                "--sharding zero2 trains with frozen towers only: gradients of towers came out wrong in DeepSpeed. "
                "Use --sharding fsdp, or keep --freeze vision audio."
            )
        args = arguments(config)  # the processes meet here
        if config.sharding == "fsdp":
            sharding.shard(model, args.device)
            # accelerate would make a DDP of it.
            model._is_accelerate_prepared = True  # type: ignore[assignment]
        super().__init__(config.out, run, model=model, args=args, **more)
        torch.manual_seed(config.seed + rank())  # dropout is each process's own

    def get_train_dataloader(self) -> DataLoader[Any]:
        """The share of each step. accelerate only looks a step ahead here: its own split would repeat samples."""
        shares = Shares(self.order, self.config.per_step, rank(), world())
        loader = DataLoader(cast(Any, self.train_dataset), batch_sampler=shares, collate_fn=self.data_collator)
        return cast("DataLoader[Any]", prepare_data_loader(loader, num_processes=1, process_index=0))

    def get_total_train_batch_size(self, args: TrainingArguments) -> int:
        """Pairs of a step."""
        return self.config.per_step

    def gradients(self, model: nn.Module, passes: Sequence[dict[str, Any]], error: OmniRewardError | None) -> Tensor:
        """Gradients of a step's mean loss over what all processes count, such as pairs, pass by pass.

        Args:
            model: as the Trainer wrapped it.
            passes: of this process, each with what `compute_loss` takes, and `count`: of what its loss is the mean.
            error: stops all processes.

        Returns:
            The share of the loss, (): its mean over processes is that of the step.
        """
        agreed = agree(sum(one["count"] for one in passes), len(passes), error)
        least = 1 if self.config.sharding == "none" else max(1, agreed.passes)
        padded = [*passes, *[self.nothing()] * (least - len(passes))]
        model.train()
        total = torch.zeros((), device=self.args.device)
        for number, one in enumerate(padded, 1):
            last = number == len(padded)
            self.accelerator.gradient_state._set_sync_gradients(last)  # DeepSpeed takes its step with the last pass
            with nullcontext() if last else self.accelerator.no_sync(model):
                with torch.autocast(self.args.device.type, torch.bfloat16, enabled=self.config.bf16):
                    loss = cast(Tensor, self.compute_loss(model, one)) * (
                        one["count"] * world() / max(1, agreed.counted)
                    )
                self.accelerator.backward(loss)
            total += loss.detach()
        return total

    def nothing(self) -> dict[str, Any]:
        """A pass in which nothing is counted: gradients of 0."""
        raise NotImplementedError

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        if isinstance(grad_norm, DTensor):  # only this process's part of it
            grad_norm = grad_norm.full_tensor()
        return super()._get_grad_norm(model, grad_norm)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        with sharding.gathered(self._whole_model()):
            if self.args.should_save:
                self._whole_model().save(Path(output_dir or str(self.args.output_dir)))

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """The weights were read when the model was opened from the checkpoint; the rest is the Trainer's."""

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        if self.config.sharding != "fsdp":
            super()._save_optimizer_and_scheduler(output_dir)
            return
        optimizer_shards.write(self._whole_model(), self._plain_optimizer(), Path(output_dir) / sharding.SHARDS)
        if self.args.should_save:
            torch.save(cast(LRScheduler, self.lr_scheduler).state_dict(), Path(output_dir) / SCHEDULER_NAME)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        folder = Path(checkpoint or "")
        zero2 = any(folder.glob("global_step*")) if checkpoint is not None else self.config.sharding == "zero2"
        if zero2 != (self.config.sharding == "zero2"):
            raise RecipeError(
                f"what {folder} keeps of the optimizer was {'' if zero2 else 'not '}written by DeepSpeed, and can be "
                f"read with --sharding {'zero2' if zero2 else 'none or fsdp'} only."
            )
        if checkpoint is not None and (folder / sharding.SHARDS).is_dir():
            optimizer_shards.read(self._whole_model(), self._plain_optimizer(), folder / sharding.SHARDS)
        elif checkpoint is not None and self.config.sharding == "fsdp":
            kept = torch.load(folder / OPTIMIZER_NAME, map_location="cpu", weights_only=True)
            sharding.split_optimizer(self._plain_optimizer(), kept)
        else:
            super()._load_optimizer_and_scheduler(checkpoint)
            return
        cast(LRScheduler, self.lr_scheduler).load_state_dict(torch.load(folder / SCHEDULER_NAME, weights_only=True))

    def _whole_model(self) -> ConversationModel:
        """The model without what the Trainer wrapped it in."""
        return cast(ConversationModel, self.model)

    def _plain_optimizer(self) -> torch.optim.Optimizer:
        """Without accelerate's wrapper."""
        return cast(torch.optim.Optimizer, getattr(self.optimizer, "optimizer", self.optimizer))
