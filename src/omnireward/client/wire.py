"""Asks become bodies of a server's native shape, and its replies become rewards and judgements, distrusted.

A reply that holds anything else than what was asked for is an error, and so is a number that is not finite.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, Generic, TypeVar, cast, get_args

from omnireward.errors import CallError, CallFailedError, PromptError
from omnireward.serve.asking import SCHEMA, Ask, Problem, ProblemKind, Reward
from omnireward.types import Comparison, Judgement, Media, Part, Preference, Text, Turn

Result = TypeVar("Result")

Uploaded = Mapping[Media, str]
"""Media that were sent ahead, and the ids under which the server keeps them."""

_INLINE_BYTES = 32 * 2**20  # of media in one body, before base64 makes them a third larger; a server takes 64 MiB


@dataclass(frozen=True, slots=True)
class Call(Generic[Result]):
    """What a server is asked, whoever waits for it.

    Attributes:
        path: of the server.
        write: makes the body. Reads files; raises OSError, PromptError.
        read: makes the result of what the reply's JSON says. Raises CallFailedError where it holds anything else.
        kind: the body's type.
    """

    path: str
    write: Callable[[], bytes]
    read: Callable[[object], Result]
    kind: str = "application/json"


@dataclass(frozen=True, slots=True)
class Pair:
    """How two responses compare.

    Attributes:
        a: the place of the one among the responses.
        b: the place of the other, which comes later.
        margin: the reward of a minus that of b.
        probabilities: that a is better, that neither is, and that b is; they sum to 1.
        tie_threshold: the margin up to which the server counts two responses as tied. None where it was told none: then
            the probabilities are Bradley-Terry's, which knows no ties, and the 0 of a tie is nobody's finding.
    """

    a: int
    b: int
    margin: float
    probabilities: tuple[float, float, float]
    tie_threshold: float | None


def rewards_call(ask: Ask, uploaded: Uploaded) -> Call[list[Reward]]:
    """Asks for the rewards of one prompt's responses."""
    return Call(
        "/v1/rewards", lambda: _rewards_body(ask, uploaded), lambda reply: _read_rewards(reply, len(ask.responses))
    )


def pairs_call(ask: Ask, uploaded: Uploaded) -> Call[list[Pair]]:
    """Asks how each two responses compare. Pairs of a response without a reward are left out."""
    return Call(
        "/v1/rewards",
        lambda: _rewards_body(ask, uploaded, pairs=True),
        lambda reply: _read_pairs(reply, len(ask.responses)),
    )


def judgement_call(comparison: Comparison, uploaded: Uploaded) -> Call[Judgement]:
    """Asks for a judgement of two responses."""
    return Call("/v1/judgements", lambda: _judgement_body(comparison, uploaded), _read_judgement)


def upload_call(media: Media) -> Call[str]:
    """Sends a medium ahead; the result is its id."""
    return Call("/v1/uploads", lambda: _bytes_of(media), _read_upload, "application/octet-stream")


def ahead_of_ask(ask: Ask) -> list[Media]:
    """Those of its media to upload ahead. Raises OSError, PromptError."""
    return _ahead(_media(ask.prompt, *ask.responses))


def ahead_of_comparison(comparison: Comparison) -> list[Media]:
    """As `ahead_of_ask`."""
    return _ahead(_media(comparison.prompt, comparison.response_a, comparison.response_b))


def parsed(content: bytes) -> object:
    """The JSON of a reply. Raises CallFailedError where it is none, or says that it is of another schema."""
    try:
        reply = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _strange("a body that is not JSON") from error
    if isinstance(reply, dict) and reply.get("schema", SCHEMA) != SCHEMA:
        raise _strange(f"a reply whose schema is {str(reply['schema'])[:50]!r}, not {SCHEMA!r}")
    return cast(object, reply)


def _rewards_body(ask: Ask, uploaded: Uploaded, pairs: bool = False) -> bytes:
    responses = [_content(response, uploaded) for response in ask.responses]
    body = {"prompt": _turns(ask.prompt, uploaded), "responses": responses, "criterion": ask.criterion}
    return _json({**body, "pairs": True} if pairs else body)


def _judgement_body(comparison: Comparison, uploaded: Uploaded) -> bytes:
    return _json(
        {
            "prompt": _turns(comparison.prompt, uploaded),
            "response_a": _content(comparison.response_a, uploaded),
            "response_b": _content(comparison.response_b, uploaded),
            "criterion": comparison.criterion,
        }
    )


def _ahead(media: Sequence[Media]) -> list[Media]:
    """The largest first, so that the others fit into one body."""
    largest_first = sorted(media, key=_size, reverse=True)
    total = sum(map(_size, media))
    chosen = []
    for one in largest_first:
        if total <= _INLINE_BYTES:
            break
        chosen.append(one)
        total -= _size(one)
    return chosen


def _read_upload(reply: object) -> str:
    name = reply.get("id") if isinstance(reply, dict) else None
    if not isinstance(name, str) or not name:
        raise _strange("a reply to an upload without its id")
    return name


def _read_rewards(reply: object, count: int) -> list[Reward]:
    rows = reply.get("rewards") if isinstance(reply, dict) else None
    if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], list) or len(rows[0]) != count:
        raise _strange(f"a reply without the {count} rewards that were asked for")
    return [_reward(each) for each in rows[0]]


def _read_pairs(reply: object, count: int) -> list[Pair]:
    rewards = {place: one for place, one in enumerate(_read_rewards(reply, count)) if not isinstance(one, Problem)}
    said = cast("dict[str, Any]", reply)
    rows, threshold = said.get("pairs"), said.get("tie_threshold")
    places = list(combinations(rewards, 2))
    if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], list):
        raise _strange("a reply without the pairs that were asked for")
    if [(each.get("a"), each.get("b")) if isinstance(each, dict) else None for each in rows[0]] != places:
        raise _strange("other pairs than those of its rewards")
    known = None if threshold is None else _number(threshold)
    pairs = []
    for (a, b), each in zip(places, rows[0], strict=True):
        margin = _number(each.get("margin"))
        chances = cast("tuple[float, float, float] | None", _named(each.get("probabilities"), ("a", "tie", "b")))
        if chances is None or min(chances) < 0 or not math.isclose(sum(chances), 1, abs_tol=1e-6):
            raise _strange("probabilities that are none")
        if not math.isclose(margin, rewards[a] - rewards[b], rel_tol=1e-6, abs_tol=1e-6):
            raise _strange("a margin that is not the difference of its rewards")
        pairs.append(Pair(a, b, margin, chances, known))
    return pairs


def _read_judgement(reply: object) -> Judgement:
    if isinstance(reply, dict) and "problem" in reply:
        return Judgement(None, error=str(_problem(reply["problem"])))
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
    return {"type": part.kind, "base64": base64.b64encode(_bytes_of(part)).decode()}


def _media(prompt: Sequence[Turn], *responses: Sequence[Part]) -> list[Media]:
    parts = [*(part for turn in prompt for part in turn.content), *(part for each in responses for part in each)]
    return list(dict.fromkeys(part for part in parts if isinstance(part, Media)))


def _size(media: Media) -> int:
    source = _one(media)
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def _bytes_of(media: Media) -> bytes:
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
