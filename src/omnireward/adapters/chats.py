"""Prompts and completions become turns: plain strings, or messages with places for pictures, as trainers hold them.

A place is a part such as ``{"type": "image"}``; it takes the next picture of the row. Pictures without one come before
the words of the last user turn.

What is unusual: messages that hold a picture themselves hold all of them. TRL puts the pictures of a row into its
messages, and hands the row's column over as well; they must not be shown twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

from omnireward.adapters.pictures import picture
from omnireward.errors import PromptError
from omnireward.types import Media, Part, Role, Text, Turn

Chat = str | Sequence[Mapping[str, object]]

_ROLES: dict[object, Role] = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}


def prompt_of(chat: Chat, shown: Iterable[Media] = ()) -> tuple[Turn, ...]:
    """The turns of a prompt.

    Args:
        chat: plain words, or messages.
        shown: the row's pictures, read as far as they are needed.

    Raises:
        PromptError: a role or a part of an unknown kind, more places than pictures, or no user to show them to.
        UnreadableMediaError: a picture of an unknown kind.
    """
    left = iter(shown)
    turns = list(_turns(chat, left))
    if not _holds_pictures(chat) and (rest := tuple(left)):
        places = [index for index, turn in enumerate(turns) if turn.role == "user"]
        if not places:
            raise PromptError("pictures came with a prompt that has no user turn to show them in.")
        last = turns[places[-1]]
        turns[places[-1]] = Turn("user", (*rest, *last.content))
    return tuple(turns)


def response_of(chat: Chat) -> tuple[Part, ...]:
    """What the assistant says: the completion, or the parts of all its turns. Raises PromptError."""
    if isinstance(chat, str):
        return (Text(chat),)
    turns = list(_turns(chat, iter(())))
    said = tuple(part for turn in turns if turn.role == "assistant" for part in turn.content)
    if not said:
        raise PromptError("a completion has no turn of the assistant.")
    return said


def _holds_pictures(chat: Chat) -> bool:
    if isinstance(chat, str):
        return False
    contents = [message.get("content") for message in chat]
    parts = [part for content in contents if not isinstance(content, str) for part in cast("list[object]", content)]
    return any(isinstance(part, Mapping) and part.get("image") is not None for part in parts)


def _turns(chat: Chat, shown: Iterator[Media]) -> Iterator[Turn]:
    if isinstance(chat, str):
        yield Turn("user", (Text(chat),))
        return
    for message in chat:
        role = message.get("role")
        if role not in _ROLES:
            raise PromptError(f"a message has the role {role!r}; known are {', '.join(map(str, _ROLES))}.")
        content = message.get("content")
        if isinstance(content, str):
            yield Turn(_ROLES[role], (Text(content),))
        elif isinstance(content, Sequence):
            yield Turn(_ROLES[role], tuple(_part(cast("Mapping[str, object]", part), shown) for part in content))
        else:
            raise PromptError(f"a message of {role} has the content {content!r}; it must be text or a list of parts.")


def _part(part: Mapping[str, object], shown: Iterator[Media]) -> Part:
    kind = part.get("type")
    if kind == "text" and isinstance(part.get("text"), str):
        return Text(cast(str, part["text"]))
    if kind == "image":
        if part.get("image") is not None:
            return picture(part["image"])
        try:
            return next(shown)
        except StopIteration:
            raise PromptError("a prompt has more places for pictures than its row has pictures.") from None
    raise PromptError(f"a part of a message is of the type {kind!r}; known are text and image.")
