"""LLaMA-Factory's own PPO trainer with `reward_model_type: api`. Runs in its own environment; see `real_clients`."""

from __future__ import annotations

import importlib
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from perf._clients_asked import asked

# Imported where sounds are read, which is never here. The wheel on the index is built for CUDA and fails to load.
_NONE = ModuleType("torchaudio")
_NONE.__spec__ = ModuleSpec("torchaudio", None)
sys.modules.setdefault("torchaudio", _NONE)
ppo: Any = importlib.import_module("llamafactory.train.ppo.trainer")  # not in this project's environment
transformers: Any = importlib.import_module("transformers")


def main() -> None:
    ours = asked()
    path = "/v1/score/evaluation"
    tokenizer = transformers.AutoTokenizer.from_pretrained(ours.tokenizer)
    queries: list[Any] = []
    responses: list[Any] = []
    for prompt, response in ours.pairs:
        chat = [{"role": "user", "content": prompt}]
        text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        for found, words in ((queries, text), (responses, response + tokenizer.eos_token)):
            found.append(torch.tensor(tokenizer(words, add_special_tokens=False)["input_ids"]))
    # What its method reads of a trainer: no policy is needed to ask for rewards.
    trainer = SimpleNamespace(
        finetuning_args=SimpleNamespace(reward_model_type="api"), tokenizer=tokenizer, reward_model=ours.url + path
    )
    rewards = ppo.CustomPPOTrainer.get_rewards(trainer, queries, responses)
    ours.got("CustomPPOTrainer.get_rewards", path, rewards)
    ours.tell()


if __name__ == "__main__":
    main()
