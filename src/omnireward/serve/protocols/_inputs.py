"""What vLLM's and sglang's classifiers read: ``input``, one or more texts, or ``messages``; and what they answer."""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from omnireward.serve.asking import Ask, Inline, RequestError, Reward, Served
from omnireward.serve.protocols import _fields as fields
from omnireward.serve.protocols._numbers import numbers, sigmoid, squeezed
from omnireward.serve.protocols._parts import chat
from omnireward.serve.protocols._words import exchange

KEYS = frozenset({"input", "messages"})
NOT_COUNTED = {"prompt_tokens": 0, "total_tokens": 0}
"""Under `usage`, where clients insist on whole numbers. Tokens are not counted."""


def read(body: Mapping[str, Any], inline: Inline) -> list[Ask]:
    """The texts under ``input``, each a whole exchange, or the chat under ``messages``."""
    if "messages" in body and "input" in body:
        raise RequestError("cannot be sent together; send one of them.", field="input and messages")
    if "messages" in body:
        return [chat(body["messages"], fields.criteria(body, 1)[0], inline)]
    whole = fields.one_or_more(fields.required(body, "input"), "input")
    return exchanges(whole, body)


def exchanges(whole: Sequence[str], body: Mapping[str, Any]) -> list[Ask]:
    """Texts, each a whole exchange, under the body's criteria."""
    return [
        exchange(each).ask(criterion) for each, criterion in zip(whole, fields.criteria(body, len(whole)), strict=True)
    ]


def activated(body: Mapping[str, Any], rewards: Sequence[Sequence[Reward]]) -> list[float]:
    """The numbers that the client asks for: raw, unless ``use_activation`` or its older name ``activation`` is true."""
    values = numbers(rewards)
    return [sigmoid(value) for value in values] if squeezed(body, "use_activation", "activation") else values


def coded(body: Mapping[str, Any], value: float) -> list[float] | str:
    """A list of one number, or its float32 as base64 where ``encoding_format`` asks for it: openai's client does.

    >>> coded({"encoding_format": "base64"}, 0.5)
    'AAAAPw=='
    """
    wanted = body.get("encoding_format")
    if wanted == "base64":
        return base64.b64encode(struct.pack("<f", value)).decode()
    if wanted in (None, "float"):
        return [value]
    raise RequestError(f"is {wanted!r}; known are float and base64.", field="encoding_format")


def answer(body: Mapping[str, Any], data: list[dict[str, Any]], served: Served, prefix: str) -> dict[str, Any]:
    """The envelope around the data. `raw` says that no sigmoid ran."""
    return {
        "id": f"{prefix}-{served.request}",
        "object": "list",
        "created": served.created,
        "model": served.model,
        "data": data,
        "usage": NOT_COUNTED,
        "raw": not squeezed(body, "use_activation", "activation"),
    }


def classified(body: Mapping[str, Any], rewards: Sequence[Sequence[Reward]], served: Served) -> dict[str, Any]:
    """A reply of ``/classify`` with one class, whose `probs` hold the reward."""
    data = [
        {"index": index, "label": "LABEL_0", "probs": [value], "num_classes": 1}
        for index, value in enumerate(activated(body, rewards))
    ]
    return answer(body, data, served, "classify")
