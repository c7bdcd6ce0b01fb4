"""Content parts and messages of OpenAI's chat shape, with vLLM's parts for video and sound, and one of ours for 3D."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from omnireward.serve.asking import Ask, Inline, RequestError
from omnireward.serve.protocols import _fields as fields
from omnireward.types import MediaKind, Part, Role, Text, Turn

_URLS: dict[str, MediaKind] = {
    "image_url": "image",
    "video_url": "video",
    "audio_url": "audio",
    "mesh_url": "mesh",
}
# A square of 8 x 8, for examples.
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFUlEQVR42mM8ISfHgA0wMeAAg1MCANDKARQfGKMRAAAAAElFTkSuQmCC"
_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def content(value: object, inline: Inline, field: str) -> tuple[Part, ...]:
    """Words, or a list of parts.

    Raises:
        RequestError: a part of an unknown type, or a medium that cannot be used.
    """
    if isinstance(value, str):
        return (Text(value),)
    if not isinstance(value, list):
        raise fields.refused(field, "a string or a list of parts", value)
    return tuple(_part(each, inline, f"{field}[{index}]") for index, each in enumerate(fields.items(value, field)))


def chat(messages: object, criterion: str, inline: Inline) -> Ask:
    """What messages ask: the last one, which is the assistant's, is the response to those before.

    Raises:
        RequestError: the last message is not the assistant's, or one of them cannot be read.
    """
    turns = [_turn(each, inline, f"messages[{i}]") for i, each in enumerate(fields.items(messages, "messages"))]
    *prompt, last = turns
    if last.role != "assistant":
        raise RequestError(
            f"must be the response, with the role assistant; its role is {last.role}.",
            field=f"messages[{len(turns) - 1}]",
        )
    if not prompt or prompt[-1].role != "user":
        raise RequestError("must hold a message of the user before the response.", field="messages")
    return Ask(tuple(prompt), (last.content,), criterion)


def _turn(value: object, inline: Inline, field: str) -> Turn:
    message = fields.mapping(value, field)
    role = fields.text(fields.required(message, "role", f"{field}."), f"{field}.role")
    if role not in _ROLES:
        raise RequestError(f"is {role!r}; known are {', '.join(_ROLES)}.", field=f"{field}.role")
    said = content(fields.required(message, "content", f"{field}."), inline, f"{field}.content")
    return Turn(cast(Role, _ROLES[role]), said)


def _part(value: object, inline: Inline, field: str) -> Part:
    part = fields.mapping(value, field)
    kind = fields.text(fields.required(part, "type", f"{field}."), f"{field}.type")
    if kind == "text":
        return Text(fields.text(fields.required(part, "text", f"{field}."), f"{field}.text"))
    if kind in _URLS:
        return inline.url(_URLS[kind], _url(part, kind, field), f"{field}.{kind}")
    if kind == "input_audio":
        sound = fields.mapping(fields.required(part, kind, f"{field}."), f"{field}.{kind}")
        data = fields.text(fields.required(sound, "data", f"{field}.{kind}."), f"{field}.{kind}.data")
        return inline.base64("audio", data, f"{field}.{kind}.data")
    known = ", ".join(["text", *_URLS, "input_audio"])
    raise RequestError(f"is {kind!r}; known are {known}.", field=f"{field}.type")


def _url(part: Mapping[str, Any], kind: str, field: str) -> str:
    """The URL itself, or under the key ``url``: clients send both."""
    value = fields.required(part, kind, f"{field}.")
    if isinstance(value, str):
        return value
    where = f"{field}.{kind}"
    return fields.text(fields.required(fields.mapping(value, where), "url", f"{where}."), f"{where}.url")
