"""A config in the words of `transformers.TrainingArguments`. Making them introduces the processes to one another."""

from __future__ import annotations

import os
from importlib.util import find_spec
from typing import Any

import torch
from transformers import TrainingArguments
from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK, get_available_reporting_integrations

from omnireward.errors import MissingExtraError, RecipeError
from omnireward.train import tiny
from omnireward.train.learning import Learning
from omnireward.train.together import world

# What accelerate's launcher sets where its own flags or its config ask for sharding.
_LAUNCHERS = {"ACCELERATE_USE_FSDP": "fsdp", "ACCELERATE_USE_DEEPSPEED": "zero2"}


def arguments(config: Learning) -> TrainingArguments:
    """The Trainer's arguments."""
    return TrainingArguments(
        output_dir=str(config.out),
        # All samples of a step, whoever takes them: `together.Shares` gives them out, and the Trainer only counts.
        per_device_train_batch_size=config.per_step,
        gradient_accumulation_steps=1,
        num_train_epochs=config.epochs,
        max_steps=config.steps or -1,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        warmup_steps=config.warmup,
        lr_scheduler_type="cosine",
        max_grad_norm=config.max_grad_norm,
        bf16=config.bf16 and config.sharding != "zero2",
        seed=config.seed,
        logging_steps=config.log_every,
        logging_nan_inf_filter=False,
        save_strategy="steps" if config.save_every else "no",
        save_steps=config.save_every or 500,
        report_to=config.report_to.split(","),
        remove_unused_columns=False,
        dataloader_num_workers=0,
        dataloader_pin_memory=False,
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
        # Every trainable parameter has a gradient in every step (see `RewardModel.forward`).
        ddp_find_unused_parameters=False,
        deepspeed=zero2(config) if config.sharding == "zero2" else None,
    )


def check(config: Learning) -> None:
    """Refuse what several processes cannot do, before anything is read.

    Raises:
        RecipeError: more processes than samples of a step, sharding that is asked for in another way, or a tracker that
            is not there.
        MissingExtraError: ZeRO without DeepSpeed.
    """
    tiny.check(config.model)
    if world() > config.per_step:
        raise RecipeError(
            f"a step of {config.per_step} samples (batch_size x accumulation) is too small for {world()} processes: "
            "the samples are shared out among them. Raise --accumulation, or start fewer processes."
        )
    for name, sharding in _LAUNCHERS.items():
        if os.environ.get(name, "false").lower() == "true" and not config.sharding == sharding == "zero2":
            raise RecipeError(
                f"accelerate was told to shard ({name}), but how this model is sharded is for --sharding to say: "
                "batches of mixed media would wait for ever in another split. Launch without that, such as with "
                f"torchrun or accelerate launch --multi_gpu, and add --sharding {sharding}."
            )
    if config.sharding == "fsdp" and world() == 1:
        raise RecipeError(
            "--sharding fsdp needs several processes: torchrun --nproc-per-node 2 -m omnireward train ..."
        )
    if config.sharding == "zero2" and find_spec("deepspeed") is None:
        raise MissingExtraError("--sharding zero2", "deepspeed")
    _check_trackers(config.report_to)


def _check_trackers(report_to: str) -> None:
    """The Trainer would ask for them when the model has been taught and opened."""
    for name in report_to.split(","):
        if name in ("none", "all"):
            continue
        if name not in INTEGRATION_TO_CALLBACK:
            raise RecipeError(f"report_to names {name!r}; known: none, {', '.join(sorted(INTEGRATION_TO_CALLBACK))}.")
        if name not in get_available_reporting_integrations():  # type: ignore[no-untyped-call]
            raise RecipeError(f"report_to names {name}, which is not installed here; install it, or leave it out.")


def zero2(config: Learning) -> dict[str, Any]:
    """DeepSpeed's own settings. What is `auto` the Trainer fills in."""
    return {
        "zero_optimization": {"stage": 2, "contiguous_gradients": True},
        # A step's gradients, scaled to the mean over its pairs, are complete with its last pass.
        "gradient_accumulation_steps": 1,
        "train_micro_batch_size_per_gpu": "auto",
        "gradient_clipping": "auto",
        # DeepSpeed's bfloat16 would round the head's weights too, and a step as small as fine-tuning's is lost there.
        "bf16": {"enabled": False},
        "torch_autocast": {"enabled": config.bf16, "dtype": "bfloat16"},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
    }
