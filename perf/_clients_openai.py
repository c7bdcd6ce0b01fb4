"""openai's own client. Runs in this project's environment."""

from __future__ import annotations

import asyncio

import openai
from perf._clients_asked import Asked, asked


async def awaited(asked: Asked) -> list[float]:
    async with openai.AsyncOpenAI(base_url=f"{asked.url}/v1", api_key="none") as client:
        reply = await client.embeddings.create(model="m", input=list(asked.whole))
    return [one.embedding[0] for one in reply.data]


def main() -> None:
    ours = asked()
    with openai.OpenAI(base_url=f"{ours.url}/v1", api_key="none") as client:
        reply = client.embeddings.create(model="m", input=list(ours.whole))
        ours.got("OpenAI.embeddings.create", "/v1/embeddings", [one.embedding[0] for one in reply.data])
        plain = client.embeddings.create(model="m", input=list(ours.whole), encoding_format="float")
        ours.got("the same, floats", "/v1/embeddings", [one.embedding[0] for one in plain.data])
    ours.got("AsyncOpenAI.embeddings.create", "/v1/embeddings", asyncio.run(awaited(ours)))
    ours.tell()


if __name__ == "__main__":
    main()
