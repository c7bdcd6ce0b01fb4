"""Hugging Face's text-embeddings-inference: ``/predict`` and ``/rerank``.

A pair under ``inputs`` is a prompt and a response; a text alone is a whole exchange. Its own default squeezes scores by
a sigmoid; here they are raw unless ``raw_scores`` is false, or the ``function_to_apply`` of huggingface_hub's client is
``sigmoid``, because a reward has no bounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omnireward.serve.asking import Ask, Inline, RequestError, Reward, Route, Served, Shape
from omnireward.serve.protocols import _fields as fields
from omnireward.serve.protocols._numbers import numbers, sigmoid
from omnireward.serve.protocols._words import Exchange, answered, asked, exchange
from omnireward.types import Text


def _read_predict(body: Mapping[str, Any], _inline: Inline) -> list[Ask]:
    value = fields.required(body, "inputs")
    _squeezed(body)
    if _is_batch(value):
        exchanges = [_sequence(each, f"inputs[{index}]") for index, each in enumerate(value)]
    else:
        exchanges = [_sequence(value, "inputs")]
    criteria = fields.criteria(body, len(exchanges))
    return [each.ask(criterion) for each, criterion in zip(exchanges, criteria, strict=True)]


def _is_batch(value: object) -> bool:
    """Two strings are a pair, not a batch; a batch is a list of lists."""
    return isinstance(value, list) and bool(value) and isinstance(value[0], list)


def _sequence(value: object, field: str) -> Exchange:
    said = fields.one_or_more(value, field)
    if len(said) > 2:
        raise RequestError(
            f"has {len(said)} strings; one is a whole exchange and two are a prompt and a response. A batch is a list "
            "of lists.",
            field=field,
        )
    return exchange(said[0]) if len(said) == 1 else answered(said[0], said[1])


def _write_predict(body: Mapping[str, Any], rewards: Sequence[Sequence[Reward]], _served: Served) -> list[Any]:
    """A list of classes, of which there is one; for a batch, a list of such lists."""
    found = [[{"score": value, "label": "LABEL_0"}] for value in _scores(body, rewards)]
    return found if _is_batch(body["inputs"]) else found[0]


def _read_rerank(body: Mapping[str, Any], _inline: Inline) -> list[Ask]:
    query = fields.text(fields.required(body, "query"), "query")
    texts = fields.texts(fields.required(body, "texts"), "texts")
    criterion = fields.criteria(body, 1)[0]
    return [asked(query, [(Text(each),) for each in texts], criterion)]


def _write_rerank(body: Mapping[str, Any], rewards: Sequence[Sequence[Reward]], _served: Served) -> list[Any]:
    """Best first; the texts themselves only where asked for."""
    scores = _scores(body, rewards)
    best_first = sorted(range(len(scores)), key=lambda index: -scores[index])
    shown = fields.flag(body, "return_text")
    return [
        {"index": index, **({"text": body["texts"][index]} if shown else {}), "score": scores[index]}
        for index in best_first
    ]


def _scores(body: Mapping[str, Any], rewards: Sequence[Sequence[Reward]]) -> list[float]:
    values = numbers(rewards)
    return [sigmoid(value) for value in values] if _squeezed(body) else values


def _squeezed(body: Mapping[str, Any]) -> bool:
    parameters = body.get("parameters")
    function = None if parameters is None else fields.mapping(parameters, "parameters").get("function_to_apply")
    if function not in (None, "none", "sigmoid"):
        raise RequestError(
            f"is {function!r}; known are none and sigmoid: there is one class.", field="parameters.function_to_apply"
        )
    return function == "sigmoid" or fields.flag(body, "raw_scores") is False


PROTOCOL = Shape(
    summary="text-embeddings-inference of Hugging Face: /predict and /rerank",
    routes=(
        Route("/predict", _read_predict, _write_predict),
        Route("/rerank", _read_rerank, _write_rerank, keys=frozenset({"texts"})),
    ),
    example={
        "/predict": {"inputs": [["Name a colour.", "Red."], ["Name a colour.", "A table."]], "raw_scores": True},
        "/rerank": {"query": "Name a colour.", "texts": ["Red.", "A table."], "raw_scores": True},
    },
    on_problem="whole request fails",
)
