"""vLLM's own classes of pooling requests and replies, sent with requests, as its documents do.

Runs in an environment with its wheel for CPUs; see `real_clients`. A reply that its class refuses is an error.
"""

from __future__ import annotations

import importlib
from typing import Any

import requests
from perf._clients_asked import asked

POOLING = "vllm.entrypoints.pooling"  # not in this project's environment
classify: Any = importlib.import_module(f"{POOLING}.classify.protocol")
pooling: Any = importlib.import_module(f"{POOLING}.pooling.protocol")
scoring: Any = importlib.import_module(f"{POOLING}.scoring.protocol")


def main() -> None:
    ours = asked()

    def posted(path: str, request: Any, reply: Any) -> Any:
        """A reply, read by its class. What is None is not sent, as in its own examples."""
        response = requests.post(ours.url + path, json=request.model_dump(exclude_none=True), timeout=60)
        assert response.ok, response.text
        return reply.model_validate(response.json())

    request = classify.ClassificationCompletionRequest(model="m", input=ours.whole, use_activation=False)
    reply = posted("/classify", request, classify.ClassificationResponse)
    ours.got("ClassificationCompletionRequest", "/classify", [one.probs[0] for one in reply.data])

    chats = [classify.ClassificationChatRequest(model="m", messages=chat, use_activation=False) for chat in ours.chats]
    replies = [posted("/classify", chat, classify.ClassificationResponse) for chat in chats]
    ours.got("ClassificationChatRequest", "/classify", [reply.data[0].probs[0] for reply in replies])

    request = pooling.PoolingCompletionRequest(model="m", input=ours.whole, task="classify", use_activation=False)
    reply = posted("/pooling", request, pooling.PoolingResponse)
    ours.got("PoolingCompletionRequest", "/pooling", [one.data[0] for one in reply.data])

    for path in ("/score", "/v1/score"):
        for kind, first, second in (
            ("ScoreQueriesDocumentsRequest", "queries", "documents"),
            ("ScoreQueriesItemsRequest", "queries", "items"),
            ("ScoreTextRequest", "text_1", "text_2"),
            ("ScoreDataRequest", "data_1", "data_2"),
        ):
            request = getattr(scoring, kind)(model="m", **{first: ours.prompts, second: ours.responses})
            reply = posted(path, request, scoring.ScoreResponse)
            ours.got(kind, path, [one.score for one in reply.data])
    for path in ("/rerank", "/v1/rerank", "/v2/rerank"):
        found = []
        for prompt, response in ours.pairs:
            request = scoring.RerankRequest(model="m", query=prompt, documents=[response])
            (one,) = posted(path, request, scoring.RerankResponse).results
            assert one.document.text == response
            found.append(one.relevance_score)
        ours.got("RerankRequest", path, found)
    ours.tell()


if __name__ == "__main__":
    main()
