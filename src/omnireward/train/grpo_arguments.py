"""A GRPO run in the words of TRL, and what TRL wants and does not get to use."""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast
from trl import GRPOConfig as TRLConfig

from omnireward.train.grpo_config import GRPOConfig
from omnireward.train.together import world


def grpo_arguments(config: GRPOConfig) -> TRLConfig:
    """TRL's arguments. The KL term is left out here: TRL would load a second model in its own way for it."""
    here = config.accumulation // world()
    return TRLConfig(
        output_dir=str(config.out),
        per_device_train_batch_size=config.batch_size * config.rollouts,
        gradient_accumulation_steps=here,
        steps_per_generation=here * config.updates,
        num_generations=config.rollouts,
        max_completion_length=config.max_answer,
        temperature=config.temperature,
        beta=0.0,
        # Where another engine writes: a token's weight is at most 2. Of a whole long answer it would be noise.
        vllm_importance_sampling_mode="token_truncate",
        vllm_importance_sampling_clip_max=2.0,
        use_bias_correction_kl=False,  # k3 as it is, as in EasyR1; TRL would weigh it by the ratio, in its gradient too
        epsilon=config.clip_low,
        epsilon_high=config.clip_high,
        loss_type="dapo",  # the mean over tokens, as in EasyR1
        scale_rewards="group",
        num_train_epochs=config.epochs,
        max_steps=config.steps or -1,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        warmup_steps=config.warmup,
        lr_scheduler_type="cosine" if config.schedule == "cosine" else "constant_with_warmup",
        max_grad_norm=config.max_grad_norm,
        bf16=False,  # autocast is ours, in writing too
        activation_checkpointing=False,  # likewise: see `tuning`
        disable_dropout=False,
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
        ddp_find_unused_parameters=False,
    )


def placeholder() -> Any:
    """A tokenizer that knows nothing: TRL asks for one, and words are the backbones' matter."""
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=Tokenizer(models.WordLevel({"?": 0, "": 1}, unk_token="?")), pad_token="", eos_token=""
    )
