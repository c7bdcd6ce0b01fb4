"""How each trainer is started: the paper's settings for R1, and EasyR1's defaults for what it does not give.

From the paper (arXiv 2510.23451): Qwen2.5-VL-7B-Instruct with its vision tower frozen, 6 answers a question, learning
rate 1e-6, weight decay 1e-2, 2 epochs, 4 GPUs. From EasyR1 (examples/config.yaml at `EASYR1`): the rest, with the KL
term (coefficient 1e-2, low_var_kl). verl is given the same, by the names it had in version `VERL`.

What depends on the data: how long a question may be, how many pictures it may have, and batches that are not larger
than the data, because both trainers drop a last batch that is not full.
"""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from typing import Any

import yaml

from omnireward.questions.rows import FILE
from omnireward.questions.showing import Shown

EASYR1 = "hiyouga/EasyR1 at commit c5f3f628b68e6bcb4dd2c45e5875a8f1abb586db"
VERL = "0.9.1"
MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"
ANSWERS, EPOCHS, GPUS = 6, 2, 4  # paper
RESPONSE = 2048  # tokens
_LEAST_PIXELS, _MOST_PIXELS = 262_144, 4_194_304
_BATCH, _STEP = 512, 128  # questions
_PATCH = 28 * 28  # pixels a token of Qwen2.5-VL
_BYTES = 2  # of text a token, at least; English has about 4
_ROUND = 1024


@dataclass(slots=True)
class Sizes:
    """What of the rows the settings depend on."""

    rows: int = 0
    tokens: int = 0
    pictures: int = 0

    def add(self, shown: Shown) -> None:
        """Take one row into account."""
        pixels = (min(max(w * h, _LEAST_PIXELS), _MOST_PIXELS) for w, h in (one.size for one in shown.pictures))
        text = sum(len(text.encode()) for _, text in shown.turns)
        tokens = math.ceil(text / _BYTES) + sum(math.ceil(each / _PATCH) + 2 for each in pixels)
        self.rows += 1
        self.tokens = max(self.tokens, tokens)
        self.pictures = max(self.pictures, len(shown.pictures))

    @property
    def prompt(self) -> int:
        """Tokens of the longest question, at most, in whole thousands of 1024."""
        return max(2, math.ceil(self.tokens / _ROUND)) * _ROUND

    @property
    def batch(self) -> int:
        """Questions of which answers are drawn together: a power of two."""
        return min(_BATCH, 1 << max(0, self.rows.bit_length() - 1))


def easyr1_config(sizes: Sizes) -> str:
    """``config.yaml``."""
    offloaded = {"offload_params": True, "offload_optimizer": True}
    sharded = {"enable_full_shard": True, "enable_rank0_init": True}
    values: dict[str, Any] = {
        "data": {
            "train_files": FILE,
            "val_files": FILE,
            "prompt_key": "problem",
            "answer_key": "answer",
            "image_key": "images",
            "image_dir": ".",
            "max_prompt_length": sizes.prompt,
            "max_response_length": RESPONSE,
            "rollout_batch_size": sizes.batch,
            "val_batch_size": 1024,
            "format_prompt": None,
            "shuffle": True,
            "seed": 1,
            "min_pixels": _LEAST_PIXELS,
            "max_pixels": _MOST_PIXELS,
            "filter_overlong_prompts": True,
        },
        "algorithm": {
            "adv_estimator": "grpo",
            "disable_kl": False,
            "use_kl_loss": True,
            "kl_penalty": "low_var_kl",
            "kl_coef": 1.0e-2,
        },
        "worker": {
            "actor": {
                "global_batch_size": min(_STEP, sizes.batch),
                "micro_batch_size_per_device_for_update": 1,
                "micro_batch_size_per_device_for_experience": 2,
                "max_grad_norm": 1.0,
                "padding_free": True,
                "dynamic_batching": True,
                "ulysses_size": 1,
                "model": {
                    "model_path": MODEL,
                    "enable_gradient_checkpointing": True,
                    "trust_remote_code": False,
                    "freeze_vision_tower": True,
                },
                "optim": {"lr": 1.0e-6, "weight_decay": 1.0e-2, "strategy": "adamw", "lr_warmup_ratio": 0.0},
                "fsdp": {**sharded, "enable_cpu_offload": False},
                "offload": offloaded,
            },
            "rollout": {
                "n": ANSWERS,
                "temperature": 1.0,
                "top_p": 1.0,
                "limit_images": sizes.pictures,
                "gpu_memory_utilization": 0.6,
                "enforce_eager": False,
                "enable_chunked_prefill": False,
                "tensor_parallel_size": 1,
                "max_num_batched_tokens": max(8192, sizes.prompt + RESPONSE),
                "val_override_config": {"temperature": 0.6, "top_p": 0.95, "n": 1},
            },
            "ref": {"fsdp": {**sharded, "enable_cpu_offload": True}, "offload": {"offload_params": False}},
            "reward": {
                "reward_function": "reward.py:compute_score",
                "reward_function_kwargs": {"max_response_length": RESPONSE},
            },
        },
        "trainer": {
            "total_epochs": EPOCHS,
            "project_name": "omnireward",
            "experiment_name": "judge",
            "logger": ["console", "file"],
            "nnodes": 1,
            "n_gpus_per_node": GPUS,
            "val_freq": -1,
            "val_before_train": False,
            "save_freq": 5,
            "save_limit": 3,
        },
    }
    return yaml.safe_dump(values, sort_keys=False)


def verl_script(sizes: Sizes) -> str:
    """``run.sh``; what is typed after it is added, and so overrides."""
    settings = {
        "algorithm.adv_estimator": "grpo",
        "algorithm.use_kl_in_reward": False,
        "data.prompt_key": "prompt",
        "data.image_key": "images",
        "data.train_batch_size": sizes.batch,
        "data.max_prompt_length": sizes.prompt,
        "data.max_response_length": RESPONSE,
        "data.filter_overlong_prompts": True,
        "data.truncation": "error",
        "data.seed": 1,
        "actor_rollout_ref.model.path": MODEL,
        "actor_rollout_ref.model.enable_gradient_checkpointing": True,
        "actor_rollout_ref.actor.freeze_vision_tower": True,
        "actor_rollout_ref.actor.optim.lr": 1e-6,
        "actor_rollout_ref.actor.optim.weight_decay": 0.01,
        "actor_rollout_ref.actor.ppo_mini_batch_size": min(_STEP, sizes.batch),
        "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu": 1,
        "actor_rollout_ref.actor.clip_ratio_low": 0.2,
        "actor_rollout_ref.actor.clip_ratio_high": 0.3,
        "actor_rollout_ref.actor.entropy_coeff": 0,
        "actor_rollout_ref.actor.use_kl_loss": True,
        "actor_rollout_ref.actor.kl_loss_coef": 0.01,
        "actor_rollout_ref.actor.kl_loss_type": "low_var_kl",
        "actor_rollout_ref.rollout.name": "vllm",
        "actor_rollout_ref.rollout.n": ANSWERS,
        "actor_rollout_ref.rollout.temperature": 1.0,
        "actor_rollout_ref.rollout.top_p": 1.0,
        "actor_rollout_ref.rollout.tensor_model_parallel_size": 1,
        "actor_rollout_ref.rollout.gpu_memory_utilization": 0.6,
        "actor_rollout_ref.rollout.max_num_batched_tokens": max(8192, sizes.prompt + RESPONSE),
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu": 2,
        "actor_rollout_ref.ref.log_prob_micro_batch_size_per_gpu": 2,
        "reward.custom_reward_function.name": "compute_score",
        "trainer.project_name": "omnireward",
        "trainer.experiment_name": "judge",
        "trainer.logger": "[console]",
        "trainer.nnodes": 1,
        "trainer.n_gpus_per_node": GPUS,
        "trainer.total_epochs": EPOCHS,
        "trainer.val_before_train": False,
        "trainer.test_freq": -1,
        "trainer.save_freq": 5,
    }
    lines = [
        'data.train_files="$PWD/train.parquet"',
        'data.val_files="$PWD/train.parquet"',
        'reward.custom_reward_function.path="$PWD/reward.py"',
        *(shlex.quote(f"{name}={value}") for name, value in settings.items()),
        *[f"+actor_rollout_ref.rollout.limit_images={sizes.pictures}"] * bool(sizes.pictures),
        '"$@"',
    ]
    command = " \\\n  ".join(["python3 -m verl.trainer.main_ppo", *lines])
    return f'#!/usr/bin/env bash\nset -euo pipefail\ncd "$(dirname "$0")"\n{command}\n'
