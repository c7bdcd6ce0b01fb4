"""LLaMA-Factory's API of a reward model: ``/v1/score/evaluation``.

``messages`` are texts to which the client has applied its template, each a whole exchange; see `_words`. Scores are not
rounded, and ``max_length`` is not read: the limits of the server hold.
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
    whole = fields.texts(fields.required(body, "messages"), "messages")
    return inputs.exchanges(whole, body)


def _write(_body: Mapping[str, Any], rewards: Sequence[Sequence[Reward]], served: Served) -> dict[str, Any]:
    return {
        "id": f"scoreval-{served.request}",
        "object": "score.evaluation",
        "model": served.model,
        "scores": numbers(rewards),
        "raw": True,
    }


PROTOCOL = Shape(
    summary="LLaMA-Factory's API of a reward model: /v1/score/evaluation",
    routes=(Route("/v1/score/evaluation", _read, _write),),
    example={
        "/v1/score/evaluation": {
            "model": "reward",
            "messages": [WHOLE],
        }
    },
    on_problem="whole request fails",
)
