"""verl's own reward loop: its discriminative reward model, and `omnireward.adapters.verl` as a custom reward function.

Runs in verl's own environment; see `real_clients`. The configuration is verl's, with what a command line would change.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import torch
from perf._clients_asked import Asked, asked

hydra: Any = importlib.import_module("hydra")  # these are not in this project's environment
transformers: Any = importlib.import_module("transformers")
verl: Any = importlib.import_module("verl")
loop: Any = importlib.import_module("verl.experimental.reward_loop")

PADDED = 96  # tokens of a row of responses


def rows(asked: Asked, tokenizer: Any) -> Any:
    """What a rollout hands over."""
    responses, masks = [], []
    for response in asked.responses:
        ids = tokenizer(response + tokenizer.eos_token, add_special_tokens=False)["input_ids"]
        responses.append(ids + [tokenizer.pad_token_id] * (PADDED - len(ids)))
        masks.append([1] * (1 + len(ids)) + [0] * (PADDED - len(ids)))
    tensors = {
        "prompts": torch.zeros(len(responses), 1, dtype=torch.long),
        "responses": torch.tensor(responses),
        "attention_mask": torch.tensor(masks),
    }
    others: dict[str, list[Any]] = {
        "raw_prompt": [[{"role": "user", "content": prompt}] for prompt in asked.prompts],
        "data_source": ["made_up"] * len(responses),
        "reward_model": [{"ground_truth": ""} for _ in responses],
        "extra_info": [{"question": prompt} for prompt in asked.prompts],
    }
    columns: dict[str, Any] = {}
    for name, values in others.items():
        columns[name] = np.empty(len(values), object)
        columns[name][:] = values
    return verl.DataProto.from_dict(tensors=tensors, non_tensors=columns)


def worker(asked: Asked, words: list[str], router: str | None = None) -> Any:
    """Its worker, configured as by a command line, older spellings included."""
    with hydra.initialize_config_module("verl.trainer.config", version_base=None):
        given = [f"actor_rollout_ref.model.path={asked.tokenizer}", *words]
        config = loop.migrate_legacy_reward_impl(hydra.compose("ppo_trainer", given))
    return loop.RewardLoopWorker(config, router)


def scored(worker: Any, data: Any) -> list[float]:
    found = worker.loop.run_until_complete(worker.compute_score_batch(data))
    return [one["reward_score"] for one in found]


def main() -> None:
    ours = asked()
    tokenizer = transformers.AutoTokenizer.from_pretrained(ours.tokenizer)
    asyncio.set_event_loop(asyncio.new_event_loop())
    data = rows(ours, tokenizer)
    router = urlsplit(ours.url).netloc
    for engine, path in (("vllm", "/classify"), ("sglang", "/v1/embeddings")):
        model = "reward.reward_model"
        words = [f"{model}.enable=true", f"{model}.model_path={ours.tokenizer}", f"{model}.rollout.name={engine}"]
        rewards = scored(worker(ours, words, router), data)
        ours.got(f"RewardLoopWorker.compute_score_disrm, {engine}", path, rewards)
    for name in ("compute_score", "compute_score_async"):
        for place in ("reward.custom_reward_function", "custom_reward_function"):
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "my_reward.py"
                file.write_text(f"from omnireward.adapters.verl import {name}\n")
                words = [f"{place}.path={file}", f"{place}.name={name}", f"+{place}.reward_kwargs.where={ours.url}"]
                rewards = scored(worker(ours, words), data)
            ours.got(f"{place}={name}", "adapter", rewards)
    ours.tell()
    os._exit(0)  # its threads do not end by themselves


if __name__ == "__main__":
    main()
