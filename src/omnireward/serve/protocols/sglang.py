"""sglang's server of embeddings: ``/classify``, ``/v1/classify``, and ``/v1/embeddings``, which verl asks.

Each text is a whole exchange. sglang gives a reward as an embedding of one number, always raw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omnireward.serve.asking import Ask, Inline, Reward, Route, Served, Shape
from omnireward.serve.protocols import _fields as fields
from omnireward.serve.protocols import _inputs as inputs
from omnireward.serve.protocols._numbers import numbers
from omnireward.serve.protocols._words import WHOLE


def _read(body: Mapping[str, Any], _inline: Inline) -> list[Ask]:
    whole = fields.one_or_more(fields.required(body, "text"), "text")
    return inputs.exchanges(whole, body)


def _write(body: Mapping[str, Any], rewards: Sequence[Sequence[Reward]], served: Served) -> Any:
    """One object for one text, a list for a list."""
    found = [
        {"embedding": [value], "meta_info": {"id": f"{served.request}-{index}"}}
        for index, value in enumerate(numbers(rewards))
    ]
    return found[0] if isinstance(body["text"], str) else found


def _write_embeddings(body: Mapping[str, Any], rewards: Sequence[Sequence[Reward]], served: Served) -> dict[str, Any]:
    data = [
        {"index": index, "object": "embedding", "embedding": inputs.coded(body, value)}
        for index, value in enumerate(numbers(rewards))
    ]
    return {"object": "list", "model": served.model, "data": data, "usage": inputs.NOT_COUNTED, "raw": True}


PROTOCOL = Shape(
    summary="sglang's embedding server: /classify, /v1/classify and /v1/embeddings",
    routes=(
        Route("/classify", _read, _write, keys=frozenset({"text"})),
        Route("/v1/classify", inputs.read, inputs.classified),
        Route("/v1/embeddings", inputs.read, _write_embeddings),
    ),
    example={
        "/classify": {"model": "reward", "text": [WHOLE]},
        "/v1/classify": {"model": "reward", "input": [WHOLE]},
        "/v1/embeddings": {"model": "reward", "input": WHOLE},
    },
    on_problem="whole request fails",
)
