"""vLLM's pooling server: ``/classify``, ``/score``, ``/rerank`` and ``/pooling``, with media parts.

Rewards are raw unless ``use_activation`` is true, and the reply's key ``raw`` says which: vLLM's own default is a
sigmoid for some checkpoints and none for others. ``activation``, the older name that verl still sends, is read too.

In ``/score`` and ``/rerank`` the query is the prompt and the documents are responses, or the rest of what the prompt
begins. Several documents to one query share its computation. Their ``instruction`` is the criterion, where there is no
key ``criterion``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omnireward.serve.asking import Ask, Inline, RequestError, Reward, Route, Served, Shape
from omnireward.serve.protocols import _fields as fields
from omnireward.serve.protocols import _inputs as inputs
from omnireward.serve.protocols._parts import content
from omnireward.serve.protocols._words import WHOLE, asked
from omnireward.types import Part, Text, Turn

_QUERIES = ("queries", "text_1", "data_1")
_DOCUMENTS = ("documents", "items", "text_2", "data_2")
_RANKED = ("documents",)


def _read_score(body: Mapping[str, Any], inline: Inline) -> list[Ask]:
    queries = _operands(body, _QUERIES, inline)
    documents = _operands(body, _DOCUMENTS, inline)
    if len(queries) == 1:
        return [_ask(queries[0], documents, _criteria(body, 1)[0])]
    if len(queries) != len(documents):
        raise RequestError(
            f"{len(queries)} queries and {len(documents)} documents; there must be one query, or as many as documents."
        )
    criteria = _criteria(body, len(queries))
    return [
        _ask(query, [document], criterion)
        for query, document, criterion in zip(queries, documents, criteria, strict=True)
    ]


def _read_rerank(body: Mapping[str, Any], inline: Inline) -> list[Ask]:
    query = _operand(fields.required(body, "query"), inline, "query")
    documents = _operands(body, _RANKED, inline)
    _best(body, len(documents))
    return [_ask(query, documents, _criteria(body, 1)[0])]


def _criteria(body: Mapping[str, Any], count: int) -> list[str]:
    instruction = body.get("instruction")
    if instruction is None or body.get("criterion") is not None:
        return fields.criteria(body, count)
    return [fields.text(instruction, "instruction")] * count


def _best(body: Mapping[str, Any], count: int) -> int:
    """How many of the documents are wanted; 0 or nothing asks for all."""
    wanted = body.get("top_n")
    if wanted is None:
        return count
    if isinstance(wanted, bool) or not isinstance(wanted, int) or wanted < 0:
        raise fields.refused("top_n", "a whole number, 0 or more", wanted)
    return min(wanted, count) or count


def _ask(query: tuple[Part, ...], documents: Sequence[tuple[Part, ...]], criterion: str) -> Ask:
    if len(query) == 1 and isinstance(query[0], Text):
        return asked(query[0].text, documents, criterion)
    return Ask((Turn("user", query),), tuple(documents), criterion)


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


def _write_rerank(body: Mapping[str, Any], rewards: Sequence[Sequence[Reward]], served: Served) -> dict[str, Any]:
    """Best first. Media are not sent back, texts are."""
    values = inputs.activated(body, rewards)
    given = body["documents"]
    documents = given if isinstance(given, list) else [given]
    best_first = sorted(range(len(values)), key=lambda index: -values[index])[: _best(body, len(values))]
    results = [
        {
            "index": index,
            "document": {"text": documents[index] if isinstance(documents[index], str) else None},
            "relevance_score": values[index],
        }
        for index in best_first
    ]
    answer = inputs.answer(body, [], served, "rerank")
    return {key: answer[key] for key in ("id", "model", "usage", "raw")} | {"results": results}


def _write_pooling(body: Mapping[str, Any], rewards: Sequence[Sequence[Reward]], served: Served) -> dict[str, Any]:
    values = inputs.activated(body, rewards)
    data = [
        {"index": index, "object": "pooling", "data": inputs.coded(body, value)} for index, value in enumerate(values)
    ]
    return inputs.answer(body, data, served, "pool")


_SCORED = frozenset((*_QUERIES, *_DOCUMENTS))
_RERANK = ("/rerank", "/v1/rerank", "/v2/rerank")
_SCORE_EXAMPLE = {"model": "reward", "queries": "Name a colour.", "documents": ["Red.", "A table."]}
_RERANK_EXAMPLE = {"model": "reward", "query": "Name a colour.", "documents": ["Red.", "A table."]}

PROTOCOL = Shape(
    summary="vLLM's pooling server: /classify, /score, /rerank and /pooling",
    routes=(
        Route("/classify", inputs.read, inputs.classified, keys=inputs.KEYS),
        Route("/score", _read_score, _write_score, keys=_SCORED),
        Route("/v1/score", _read_score, _write_score, keys=_SCORED),
        *(Route(path, _read_rerank, _write_rerank, keys=frozenset(_RANKED)) for path in _RERANK),
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
        "/score": _SCORE_EXAMPLE,
        "/v1/score": _SCORE_EXAMPLE,
        **dict.fromkeys(_RERANK, _RERANK_EXAMPLE),
        "/pooling": {
            "model": "reward",
            "input": [WHOLE],
            "task": "classify",
            "use_activation": False,
        },
    },
    on_problem="whole request fails",
)
