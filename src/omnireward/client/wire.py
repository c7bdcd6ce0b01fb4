"""Asks become bodies of a server's native shape, with media as bytes or by the id of an upload."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from omnireward.client.replies import (
    Pair,
    Ranked,
    read_judgement,
    read_pairs,
    read_ranking,
    read_rewards,
    read_upload,
)
from omnireward.errors import PromptError
from omnireward.serve.asking import Ask, Reward
from omnireward.types import Comparison, Judgement, Media, Part, Text, Turn

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
        scored: whether the reply is a model's, and so tells its request's id and the model's revision.
    """

    path: str
    write: Callable[[], bytes]
    read: Callable[[object], Result]
    kind: str = "application/json"
    scored: bool = True


def rewards_call(ask: Ask, uploaded: Uploaded, discount: float = 0.0) -> Call[list[Reward]]:
    """Asks for the rewards of one prompt's responses, of which so many deviations are taken off."""
    return Call(
        "/v1/rewards",
        lambda: _rewards_body(ask, uploaded),
        lambda reply: read_rewards(reply, len(ask.responses), discount),
    )


def pairs_call(ask: Ask, uploaded: Uploaded) -> Call[list[Pair]]:
    """Asks how each two responses compare. Pairs of a response without a reward are left out."""
    return Call(
        "/v1/rewards",
        lambda: _rewards_body(ask, uploaded, pairs=True),
        lambda reply: read_pairs(reply, len(ask.responses)),
    )


def ranking_call(ask: Ask, uploaded: Uploaded) -> Call[Ranked]:
    """Asks for a ranking of one prompt's responses."""
    return Call(
        "/v1/rankings", lambda: _rewards_body(ask, uploaded), lambda reply: read_ranking(reply, len(ask.responses))
    )


def judgement_call(comparison: Comparison, uploaded: Uploaded) -> Call[Judgement]:
    """Asks for a judgement of two responses."""
    return Call("/v1/judgements", lambda: _judgement_body(comparison, uploaded), read_judgement)


def upload_call(media: Media) -> Call[str]:
    """Sends a medium ahead; the result is its id."""
    return Call("/v1/uploads", lambda: _bytes_of(media), read_upload, "application/octet-stream", scored=False)


def ahead_of_ask(ask: Ask) -> list[Media]:
    """Those of its media to upload ahead. Raises OSError, PromptError."""
    return _ahead(_media(ask.prompt, *ask.responses))


def ahead_of_comparison(comparison: Comparison) -> list[Media]:
    """As `ahead_of_ask`."""
    return _ahead(_media(comparison.prompt, comparison.response_a, comparison.response_b))


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
