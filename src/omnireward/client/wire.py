"""Asks become bodies of a server's native shape, and its replies become rewards and judgements, distrusted.

A reply that holds anything else than what was asked for is an error, and so is a number that is not finite.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast, get_args

from omnireward.errors import CallError, CallFailedError, PromptError
from omnireward.serve.asking import Ask, Problem, ProblemKind, Reward
from omnireward.types import Comparison, Judgement, Media, Part, Preference, Text, Turn

Uploaded = Mapping[Media, str]
"""Media that were sent ahead, and the ids under which the server keeps them."""

_INLINE_BYTES = 32 * 2**20  # of media in one body, before base64 makes them a third larger; a server takes 64 MiB


def rewards_body(ask: Ask, uploaded: Uploaded) -> bytes:
    """The body of ``/v1/rewards``. Reads files; raises OSError, PromptError."""
    responses = [_content(response, uploaded) for response in ask.responses]
    return _json({"prompt": _turns(ask.prompt, uploaded), "responses": responses, "criterion": ask.criterion})


def judgement_body(comparison: Comparison, uploaded: Uploaded) -> bytes:
    """The body of ``/v1/judgements``. Reads files; raises OSError, PromptError."""
    return _json(
        {
            "prompt": _turns(comparison.prompt, uploaded),
            "response_a": _content(comparison.response_a, uploaded),
            "response_b": _content(comparison.response_b, uploaded),
            "criterion": comparison.criterion,
        }
    )


def media_of_ask(ask: Ask) -> list[Media]:
    """Its media, each once."""
    return _media(ask.prompt, *ask.responses)


def media_of_comparison(comparison: Comparison) -> list[Media]:
    """Its media, each once."""
    return _media(comparison.prompt, comparison.response_a, comparison.response_b)


def ahead(media: Sequence[Media]) -> list[Media]:
    """Those to upload ahead, the largest first, so that the others fit into one body. Raises OSError, PromptError."""
    largest_first = sorted(media, key=_size, reverse=True)
    total = sum(map(_size, media))
    chosen = []
    for one in largest_first:
        if total <= _INLINE_BYTES:
            break
        chosen.append(one)
        total -= _size(one)
    return chosen


def read_upload(reply: object) -> str:
    """The id of an upload. Raises CallFailedError where the reply holds none."""
    name = reply.get("id") if isinstance(reply, dict) else None
    if not isinstance(name, str) or not name:
        raise _strange("a reply to an upload without its id")
    return name


def read_rewards(reply: object, count: int) -> list[Reward]:
    """The `count` rewards of a reply. Raises CallFailedError where it holds anything else."""
    rows = reply.get("rewards") if isinstance(reply, dict) else None
    if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], list) or len(rows[0]) != count:
        raise _strange(f"a reply without the {count} rewards that were asked for")
    return [_reward(each) for each in rows[0]]


def read_judgement(reply: object) -> Judgement:
    """The judgement in a reply. Raises CallFailedError where it holds none."""
    if isinstance(reply, dict) and "problem" in reply:
        problem = _problem(reply["problem"])
        return Judgement(None, error=f"{problem.kind}: {problem.message}")
    found = reply.get("judgement") if isinstance(reply, dict) else None
    if not isinstance(found, dict) or "margin" not in found:
        raise _strange("a reply without a judgement")
    margin = None if found["margin"] is None else _number(found["margin"])
    verdict = found.get("verdict")
    if verdict not in (None, *get_args(Preference)):
        raise _strange("a verdict that is none")
    return Judgement(
        margin,
        rewards=cast("tuple[float, float] | None", _named(found.get("rewards"), ("a", "b"))),
        probabilities=cast("tuple[float, float, float] | None", _named(found.get("probabilities"), ("a", "tie", "b"))),
        verdict=cast("Preference | None", verdict),
        rationale=str(found.get("rationale", "")),
    )


def _turns(prompt: Sequence[Turn], uploaded: Uploaded) -> list[dict[str, Any]]:
    return [{"role": turn.role, "content": _content(turn.content, uploaded)} for turn in prompt]


def _content(parts: Sequence[Part], uploaded: Uploaded) -> str | list[dict[str, str]]:
    if len(parts) == 1 and isinstance(parts[0], Text):
        return parts[0].text
    return [_part(part, uploaded) for part in parts]


def _part(part: Part, uploaded: Uploaded) -> dict[str, str]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if part in uploaded:
        return {"type": part.kind, "upload": uploaded[part]}
    return {"type": part.kind, "base64": base64.b64encode(bytes_of(part)).decode()}


def _media(prompt: Sequence[Turn], *responses: Sequence[Part]) -> list[Media]:
    parts = [*(part for turn in prompt for part in turn.content), *(part for each in responses for part in each)]
    return list(dict.fromkeys(part for part in parts if isinstance(part, Media)))


def _size(media: Media) -> int:
    source = _one(media)
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def bytes_of(media: Media) -> bytes:
    """What is sent of a medium. Raises OSError, PromptError."""
    source = _one(media)
    return source if isinstance(source, bytes) else source.read_bytes()


def _one(media: Media) -> Path | bytes:
    if isinstance(media.source, tuple):
        raise PromptError(
            f"a {media.kind} made of {len(media.source)} pictures cannot be sent; send one file, such as an MP4."
        )
    return media.source


def _json(body: Mapping[str, Any]) -> bytes:
    # Halves of surrogate pairs, which no UTF-8 can say, become question marks.
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def parsed(content: bytes) -> object:
    """The JSON of a reply. Raises CallFailedError where it is none."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _strange("a body that is not JSON") from error


def _reward(value: object) -> Reward:
    if isinstance(value, dict) and "problem" in value:
        return _problem(value["problem"])
    return _number(value.get("value") if isinstance(value, dict) else None)


def _problem(value: object) -> Problem:
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind not in get_args(ProblemKind):
        raise _strange("a problem of an unknown kind")
    return Problem(cast(ProblemKind, kind), str(cast("dict[str, object]", value).get("message", "")))


def _number(value: object) -> float:
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:  # a whole number too long for a float
        number = math.nan
    if not math.isfinite(number):
        raise _strange("a reward that is not a finite number")
    return number


def _named(value: object, names: tuple[str, ...]) -> tuple[float, ...] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != set(names):
        raise _strange(f"an object without just {', '.join(names)}")
    return tuple(_number(value[name]) for name in names)


def _strange(what: str) -> CallError:
    return CallFailedError(f"the server sent {what}. Is it an omnireward server, of a version near this one?")
