"""Rows with two dialogues, `chosen` and `rejected`, that share all but the last turn: the prompt and two responses.

A dialogue is a list of ``{"role": …, "content": …}``, or, as older Parquet writers have it, a struct of two lists.

Unusual: a leading system turn is put in front of the first user turn, with an empty line between. Judges and reward
models have a system turn of their own, which holds their instructions and the criterion, so prompts alternate between
user and assistant everywhere; and a response to a system turn that is left out cannot be judged.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle, islice

from omnireward.rows import Row
from omnireward.types import Role, Text, Turn

_ROLES: dict[str, Role] = {"system": "system", "user": "user", "assistant": "assistant"}
_Said = tuple[Role, str]


@dataclass(frozen=True, slots=True)
class ChosenRejected:
    """A prompt, the two responses, and the system turn that the prompt begins with ("" where there was none)."""

    prompt: tuple[Turn, ...]
    chosen: str
    rejected: str
    system: str

    def words(self) -> list[str]:
        """The texts of the prompt's turns."""
        return [part.text for turn in self.prompt for part in turn.content if isinstance(part, Text)]


def chosen_rejected(row: Row) -> ChosenRejected:
    """Read the two dialogues of a row.

    Raises:
        BadRowError: one is no dialogue, their prompts differ, or turns do not alternate.
    """
    chosen, rejected = (_dialogue(row, field) for field in ("chosen", "rejected"))
    if chosen[:-1] != rejected[:-1]:
        raise row.bad("rejected", "answers another prompt than the chosen dialogue does.")
    (_, good), (_, bad) = chosen[-1], rejected[-1]
    asked = chosen[:-1]
    system = asked.pop(0)[1] if asked[0][0] == "system" else ""
    if system and asked:
        asked[0] = (asked[0][0], f"{system}\n\n{asked[0][1]}")
    roles = [role for role, _ in asked]
    if len(roles) % 2 == 0 or roles != list(islice(cycle(("user", "assistant")), len(roles))):
        named = ", ".join(roles[:20]) or "nothing"
        raise row.bad("chosen", f"must be [system,] user, assistant, …; before the response it is {named}.")
    return ChosenRejected(tuple(Turn(role, (Text(text),)) for role, text in asked), good, bad, system)


def _dialogue(row: Row, field: str) -> list[_Said]:
    """Turns as (role, words), of which there are at least two and the last is the assistant's."""
    if field not in row.fields:
        raise row.missing(field)
    value = row.fields[field]
    if isinstance(value, Mapping):
        value = _transposed(row, field, value)
    if not isinstance(value, list) or len(value) < 2:
        raise row.bad(field, f"is {reprlib.repr(value)}, not a list of two or more turns.")
    turns = [_turn(row, field, turn) for turn in value]
    if turns[-1][0] != "assistant":
        raise row.bad(field, f"must end with the assistant's response; its last turn is by the {turns[-1][0]}.")
    return turns


def _transposed(row: Row, field: str, value: Mapping[object, object]) -> list[dict[str, object]]:
    roles, texts = value.get("role"), value.get("content")
    if not isinstance(roles, list) or not isinstance(texts, list) or len(roles) != len(texts):
        raise row.bad(field, f"is {reprlib.repr(value)}; 'role' and 'content' must be lists of one length.")
    return [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]


def _turn(row: Row, field: str, turn: object) -> _Said:
    role = turn.get("role") if isinstance(turn, Mapping) else None
    if not isinstance(turn, Mapping) or not isinstance(role, str) or role not in _ROLES:
        raise row.bad(field, f"holds {reprlib.repr(turn)}; turns are by {', '.join(_ROLES)}.")
    return _ROLES[role], row.checked_text(field, turn.get("content"))
