"""A sharegpt ranking row is checked and becomes a `Dialogue`: who said what, and which media come with it.

The shape is what LLaMA-Factory's `aligner.convert_sharegpt` takes. Where that drops a row with a warning, or passes it
on to fail later, this is an error that names the field.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

from omnireward.media_files import MediaFiles
from omnireward.rows import Row
from omnireward.types import MediaKind, Role

Medium = Path | bytes

_KINDS: dict[str, MediaKind] = {"images": "image", "videos": "video", "audios": "audio"}
_ROLES: dict[str, Role] = {"human": "user", "gpt": "assistant", "system": "system"}


@dataclass(frozen=True, slots=True)
class Dialogue:
    """What a row says, not yet interpreted.

    Attributes:
        criterion: the system turn; empty when there is none.
        turns: (role, text) of the prompt, from user to user.
        chosen, rejected: the two texts.
        column: the media column that is filled; empty when the row is text alone.
        kind: what it holds; None when the row is text alone.
        media: all media in order, when the column is a plain list.
        sides: media of chosen and of rejected, when the column is two lists.
    """

    criterion: str
    turns: tuple[tuple[Role, str], ...]
    chosen: str
    rejected: str
    column: str = ""
    kind: MediaKind | None = None
    media: tuple[Medium, ...] = ()
    sides: tuple[tuple[Medium, ...], tuple[Medium, ...]] | None = None

    @property
    def placeholder(self) -> str:
        """What stands in the text for one medium."""
        return f"<{self.kind}>"


def dialogue(row: Row, files: MediaFiles) -> Dialogue:
    """Check one row.

    Raises:
        BadRowError: a field of another shape, turns that do not alternate from human to human, several kinds of media,
            or media that are not there.
    """
    criterion, turns = _turns(row)
    chosen, rejected = _response(row, "chosen"), _response(row, "rejected")
    filled = [column for column in _KINDS if row.fields.get(column)]
    if not filled:
        return Dialogue(criterion, turns, chosen, rejected)
    if len(filled) > 1:
        raise row.bad(filled[1], f"is filled beside {filled[0]}; which placeholder means which medium is unknown.")
    column = filled[0]
    value = row.fields[column]
    cells: list[object] = value if isinstance(value, list) else [value]  # one medium may stand without its list
    said = (criterion, turns, chosen, rejected, column, _KINDS[column])
    nested = [cell for cell in cells if isinstance(cell, list) and cell]
    if not nested:
        return Dialogue(*said, media=_media(row, column, cells, files))
    if len(cells) != 2 or len(nested) != 2:
        raise row.bad(column, f"is {reprlib.repr(cells)}; nested lists must be two, for chosen and for rejected.")
    return Dialogue(*said, sides=(_media(row, column, nested[0], files), _media(row, column, nested[1], files)))


def _media(row: Row, column: str, cells: list[object], files: MediaFiles) -> tuple[Medium, ...]:
    return tuple(files.source(row, column, cell) for cell in cells)


def _turns(row: Row) -> tuple[str, tuple[tuple[Role, str], ...]]:
    """The criterion and the prompt's turns."""
    value = row.fields.get("conversations")
    if isinstance(value, Mapping):  # older Parquet writers turned a list of structs into a struct of lists
        value = _transposed(row, value)
    if not isinstance(value, list):
        raise row.bad("conversations", f"is {reprlib.repr(value)}, not a list of turns.")
    turns = [_turn(row, turn) for turn in value]
    criterion = turns.pop(0)[1] if turns and turns[0][0] == "system" else ""
    roles = [role for role, _ in turns]
    if len(turns) % 2 == 0 or roles != list(islice(cycle(("user", "assistant")), len(turns))):
        raise row.bad("conversations", f"must alternate human, gpt, …, human; it is {', '.join(roles) or 'empty'}.")
    return criterion, tuple(turns)


def _transposed(row: Row, value: Mapping[object, object]) -> list[dict[str, object]]:
    roles, texts = value.get("from"), value.get("value")
    if not isinstance(roles, list) or not isinstance(texts, list) or len(roles) != len(texts):
        raise row.bad("conversations", f"is {reprlib.repr(value)}; 'from' and 'value' must be lists of one length.")
    return [{"from": role, "value": text} for role, text in zip(roles, texts, strict=True)]


def _turn(row: Row, turn: object) -> tuple[Role, str]:
    sender = turn.get("from") if isinstance(turn, Mapping) else None
    if not isinstance(turn, Mapping) or not isinstance(sender, str) or sender not in _ROLES:
        raise row.bad("conversations", f"holds {reprlib.repr(turn)}; turns are from {', '.join(_ROLES)}.")
    return _ROLES[sender], row.checked_text("conversations", turn.get("value"))


def _response(row: Row, field: str) -> str:
    value = row.fields.get(field)
    if not isinstance(value, Mapping) or value.get("from") != "gpt":
        raise row.bad(field, f'is {reprlib.repr(value)}, not {{"from": "gpt", "value": text}}.')
    return row.checked_text(field, value.get("value"))
