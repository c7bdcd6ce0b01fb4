"""vLLM's pooling server: ``/classify``, ``/score`` and ``/pooling``, with media parts.

Rewards are raw unless ``use_activation`` is true, and the reply's key ``raw`` says which: vLLM's own default is a
sigmoid for some checkpoints and none for others. ``activation``, the older name that verl still sends, is read too.

In ``/score`` the query is the prompt and the documents are responses. Several documents to one query share its
computation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omnireward.serve.asking import Ask, Inline, RequestError, Reward, Route, Served, Shape
from omnireward.serve.protocols import _fields as fields
from omnireward.serve.protocols import _inputs as inputs
from omnireward.serve.protocols._parts import content
from omnireward.serve.protocols._words import answered
from omnireward.types import Part, Text, Turn

_QUERIES = ("queries", "text_1", "data_1")
_DOCUMENTS = ("documents", "items", "text_2", "data_2")


def _read_score(body: Mapping[str, Any], inline: Inline) -> list[Ask]:
    queries = _operands(body, _QUERIES, inline)
    documents = _operands(body, _DOCUMENTS, inline)
    if len(queries) == 1:
        criterion = fields.criteria(body, 1)[0]
        return [Ask(_prompt(queries[0]), tuple(documents), criterion)]
    if len(queries) != len(documents):
        raise RequestError(
            f"{len(queries)} queries and {len(documents)} documents; there must be one query, or as many as documents."
        )
    criteria = fields.criteria(body, len(queries))
    return [
        Ask(_prompt(query), (document,), criterion)
        for query, document, criterion in zip(queries, documents, criteria, strict=True)
    ]


def _prompt(query: tuple[Part, ...]) -> tuple[Turn, ...]:
    if len(query) == 1 and isinstance(query[0], Text):
        return answered(query[0].text, "").prompt
    return (Turn("user", query),)


def _operands(body: Mapping[str, Any], keys: Sequence[str], inline: Inline) -> list[tuple[Part, ...]]:
    given = [key for key in keys if key in body]
    if len(given) != 1:
        raise RequestError(f"send exactly one of {', '.join(keys)}; {len(given)} of them were sent.")
    field, value = given[0], body[given[0]]
    if not isinstance(value, list):
        return [_operand(value, inline, field)]
    return [_operand(each, inline, f"{field}[{index}]") for index, each in enumerate(fields.items(value, field))]


def _operand(value: object, inline: Inline, field: str) -> tuple[Part, ...]:
    if isinstance(value, str):
        return (Text(value),)
    parts = fields.required(fields.mapping(value, field), "content", f"{field}.")
    return content(parts, inline, f"{field}.content")


def _write_score(body: Mapping[str, Any], rewards: Sequence[Sequence[Reward]], served: Served) -> dict[str, Any]:
    values = inputs.activated(body, rewards)
    data = [{"index": index, "object": "score", "score": value} for index, value in enumerate(values)]
    return inputs.answer(body, data, served, "score")


def _write_pooling(body: Mapping[str, Any], rewards: Sequence[Sequence[Reward]], served: Served) -> dict[str, Any]:
    values = inputs.activated(body, rewards)
    data = [{"index": index, "object": "pooling", "data": [value]} for index, value in enumerate(values)]
    return inputs.answer(body, data, served, "pool")


PROTOCOL = Shape(
    summary="vLLM's pooling server: /classify, /score and /pooling",
    routes=(
        Route("/classify", inputs.read, inputs.classified, keys=inputs.KEYS),
        Route("/score", _read_score, _write_score, keys=frozenset((*_QUERIES, *_DOCUMENTS))),
        Route("/pooling", inputs.read, _write_pooling),
    ),
    example={
        "/classify": {
            "model": "reward",
            "messages": [
                {"role": "user", "content": [{"type": "text", "text": "Name a colour."}]},
                {"role": "assistant", "content": "Red."},
            ],
            "use_activation": False,
        },
        "/score": {"model": "reward", "queries": "Name a colour.", "documents": ["Red.", "A table."]},
        "/pooling": {
            "model": "reward",
            "input": ["<|im_start|>user\nName a colour.<|im_end|>\n<|im_start|>assistant\nRed.<|im_end|>\n"],
            "task": "classify",
            "use_activation": False,
        },
    },
    on_problem="whole request fails",
)
