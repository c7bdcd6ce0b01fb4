"""UniRL's reward service: ``/score`` for pictures and clips, ``GET /rewards``, ``GET /health``.

vLLM has a ``/score`` too; a body with ``requests`` is UniRL's. Of a history the last item is judged, as UniRL's own
scorers do: its text is the prompt and its medium the response. Media of earlier items, such as the picture that an edit
starts from, belong to the prompt and come before it, with their words where those differ.

There is one reward, ``omnireward``. A criterion goes behind a colon, as ``omnireward:It should be red.``, so that one
request can ask for several; without one, the body's ``criterion`` holds. Other names are answered in ``errors``.
``video_path`` is refused: a server that opens the paths that it is sent reads anybody's files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from omnireward.serve.asking import Ask, Inline, Problem, RequestError, Reward, Route, Served, Shape
from omnireward.serve.protocols import _fields as fields
from omnireward.serve.protocols._numbers import flat
from omnireward.serve.protocols._parts import PICTURE
from omnireward.types import Media, MediaKind, Part, Text, Turn

_NAME = "omnireward"
_MEDIA: dict[str, MediaKind] = {"image_b64": "image", "video_b64": "video"}


def _read(body: Mapping[str, Any], inline: Inline) -> list[Ask]:
    asks = []
    requests = list(_requests(body))
    for index, (request, default) in enumerate(zip(requests, fields.criteria(body, len(requests)), strict=True)):
        field = f"requests[{index}]"
        prompt, response = _history(request, inline, f"{field}.history")
        for name in _rewards(request, field):
            if (criterion := _criterion(name)) is not None:
                asks.append(Ask(prompt, (response,), criterion or default))
    return asks


def _requests(body: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for index, each in enumerate(fields.items(fields.required(body, "requests"), "requests")):
        yield fields.mapping(each, f"requests[{index}]")


def _rewards(request: Mapping[str, Any], field: str) -> list[str]:
    names = fields.texts(fields.required(request, "required_rewards", f"{field}."), f"{field}.required_rewards")
    return list(dict.fromkeys(names))  # the reply has one place for each name


def _criterion(name: str) -> str | None:
    """The criterion in a reward's name; None where the reward is not ours."""
    base, _, criterion = name.partition(":")
    return criterion.strip() if base == _NAME else None


def _history(request: Mapping[str, Any], inline: Inline, field: str) -> tuple[tuple[Turn, ...], tuple[Part, ...]]:
    items = fields.items(fields.required(request, "history", field.removesuffix("history")), field)
    turns = [_item(each, inline, f"{field}[{index}]") for index, each in enumerate(items)]
    words, shown = turns[-1]
    prompt: list[Part] = []
    for earlier, media in turns[:-1]:
        if earlier and earlier != words:
            prompt.append(Text(earlier))
        prompt.append(media)
    return (Turn("user", (*prompt, Text(words))),), (shown,)


def _item(value: object, inline: Inline, field: str) -> tuple[str, Media]:
    item = fields.mapping(value, field)
    if item.get("video_path") is not None:
        raise RequestError("paths are not read; send the clip itself as video_b64.", field=f"{field}.video_path")
    given = [key for key in _MEDIA if item.get(key) is not None]
    if len(given) != 1:
        raise RequestError(f"must have one medium, image_b64 or video_b64; it has {len(given)}.", field=field)
    where = f"{field}.{given[0]}"
    medium = inline.base64(_MEDIA[given[0]], fields.text(item[given[0]], where), where)
    words = item.get("text")
    return fields.text("" if words is None else words, f"{field}.text"), medium


def _write(body: Mapping[str, Any], rewards: Sequence[Sequence[Reward]], _served: Served) -> dict[str, Any]:
    coming = iter(flat(rewards))
    results: list[dict[str, dict[str, float]]] = []
    errors: list[dict[str, str]] = []
    for index, request in enumerate(_requests(body)):
        scores: dict[str, dict[str, float]] = {}
        failures: dict[str, str] = {}
        for name in _rewards(request, f"requests[{index}]"):
            if _criterion(name) is None:
                failures[name] = f"not served here; the one reward is {_NAME}, or {_NAME}:CRITERION."
                continue
            reward = next(coming)
            if isinstance(reward, Problem):
                failures[name] = str(reward)
            else:
                scores[name] = {"score": reward}
        results.append(scores)
        errors.append(failures)
    return {"results": results, "errors": errors}


def _nothing(_body: Mapping[str, Any], _inline: Inline) -> list[Ask]:
    return []


def _write_health(_body: Mapping[str, Any], _rewards: Sequence[Sequence[Reward]], _served: Served) -> dict[str, Any]:
    return {"status": "ok", "rewards": {_NAME: ["ready"]}}


def _write_rewards(_body: Mapping[str, Any], _rewards: Sequence[Sequence[Reward]], _served: Served) -> dict[str, Any]:
    return {"rewards": [_NAME]}


PROTOCOL = Shape(
    summary="UniRL's reward service: /score for pictures and clips, GET /rewards, GET /health",
    routes=(
        Route("/score", _read, _write, keys=frozenset({"requests"})),
        Route("/rewards", _nothing, _write_rewards, method="GET"),
        Route("/health", _nothing, _write_health, method="GET"),
    ),
    example={
        "/score": {
            "requests": [
                {"history": [{"text": "A red square.", "image_b64": PICTURE}], "required_rewards": [_NAME]},
            ]
        }
    },
    on_problem="in the reply",
)
