"""OpenRLHF's own rollout with a remote reward model. Runs in an environment with its wheel; see `real_clients`.

Only the engine that writes responses is made up: it answers with the words that it was given.
"""

from __future__ import annotations

import asyncio
import importlib
from types import SimpleNamespace
from typing import Any

from perf._clients_asked import Asked, asked

agent: Any = importlib.import_module("openrlhf.utils.agent")  # not in this project's environment
transformers: Any = importlib.import_module("transformers")


class Engine:
    """Answers with these tokens."""

    def __init__(self, tokens: list[int]) -> None:
        self._tokens = tokens

    async def generate(self, *_args: Any, **_more: Any) -> Any:
        return SimpleNamespace(outputs=[SimpleNamespace(token_ids=self._tokens, finish_reason="stop", logprobs=None)])


async def rolled_out(asked: Asked, tokenizer: Any, urls: str | list[str]) -> list[float]:
    executor = agent.SingleTurnAgentExecutor(urls)
    sampling = SimpleNamespace(max_tokens=64, logprobs=None)
    found = []
    for prompt, response in asked.pairs:
        chat = [{"role": "user", "content": prompt}]
        text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
        tokens = tokenizer(response + tokenizer.eos_token, add_special_tokens=False)["input_ids"]
        done = await executor.execute(text, "", sampling, 4096, tokenizer, Engine(tokens))
        assert done["scores"] == done["reward"], done
        (reward,) = done["reward"]
        found.append(reward)
    return found


def main() -> None:
    ours = asked()
    tokenizer = transformers.AutoTokenizer.from_pretrained(ours.tokenizer)
    url = f"{ours.url}/get_reward"
    for urls, way in ((url, "one --reward.remote_url"), ([url, url], "two of them")):
        rewards = asyncio.run(rolled_out(ours, tokenizer, urls))
        ours.got(f"SingleTurnAgentExecutor.execute, {way}", "/get_reward", rewards)
    ours.tell()


if __name__ == "__main__":
    main()
