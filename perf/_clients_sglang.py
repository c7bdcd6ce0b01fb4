"""sglang's own classes of requests and replies, sent with requests. Runs in an environment with its wheel."""

from __future__ import annotations

import importlib
from typing import Any

import requests
from perf._clients_asked import asked

protocol: Any = importlib.import_module("sglang.srt.entrypoints.openai.protocol")  # not in this project's environment


def main() -> None:
    ours = asked()

    def posted(path: str, request: Any) -> Any:
        response = requests.post(ours.url + path, json=request.model_dump(exclude_none=True), timeout=60)
        assert response.ok, response.text
        return response.json()

    reply = protocol.ClassifyResponse(**posted("/v1/classify", protocol.ClassifyRequest(input=ours.whole)))
    ours.got("ClassifyRequest", "/v1/classify", [one.probs[0] for one in reply.data])
    reply = protocol.EmbeddingResponse(**posted("/v1/embeddings", protocol.EmbeddingRequest(input=ours.whole)))
    ours.got("EmbeddingRequest", "/v1/embeddings", [one.embedding[0] for one in reply.data])
    ours.tell()


if __name__ == "__main__":
    main()
