"""huggingface_hub's own client of text-embeddings-inference and like servers. Runs in this project's environment."""

from __future__ import annotations

import asyncio
import os
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "0"  # else it asks nobody, not even this machine

from huggingface_hub import AsyncInferenceClient, InferenceClient
from perf._clients_asked import Asked, asked


def score(reply: Any) -> float:
    """The one class that text-embeddings-inference sends for a text; with other servers the client returns a list."""
    return float(reply.score)


async def awaited(asked: Asked) -> list[float]:
    async with AsyncInferenceClient(f"{asked.url}/predict") as client:
        return [score(await client.text_classification(each)) for each in asked.whole]


def main() -> None:
    ours = asked()
    client = InferenceClient(f"{ours.url}/predict")
    rewards = [score(client.text_classification(each)) for each in ours.whole]
    ours.got("InferenceClient.text_classification", "/predict", rewards)
    ours.got("AsyncInferenceClient.text_classification", "/predict", asyncio.run(awaited(ours)))
    ours.tell()


if __name__ == "__main__":
    main()
