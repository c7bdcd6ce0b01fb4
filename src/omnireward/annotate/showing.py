"""An item as the page takes it: parts with urls, responses on the sides that were drawn, what is still to be played."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from omnireward.annotate.people import Person
from omnireward.annotate.playable import Playable, to_play
from omnireward.annotate.queue import Handed, Left, Rules
from omnireward.annotate.store import Store
from omnireward.annotate.tables import Kind

_GATED: tuple[Kind, ...] = ("write", "vote", "adjudicate")
"""Where media must be played first. Whether a criterion is valid can be said without."""


def shown(store: Store, playable: Playable, rules: Rules, person: Person, handed: Handed) -> dict[str, Any]:
    """An item as JSON. Raises as `Playable.part`: where one medium cannot be shown, nobody should answer."""

    def parts(content: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
        return [playable.part(part) for part in content]

    row = handed.row
    sides = {"a": parts(row["response_a"]), "b": parts(row["response_b"])}
    item: dict[str, Any] = {
        "id": handed.id,
        "kind": handed.kind,
        "task": row["task"],
        "number": handed.done + 1,
        "of": handed.done + max(1, handed.remaining),
        "prompt": [{"role": turn["role"], "content": parts(turn["content"])} for turn in row["prompt"]],
        "left": sides[handed.left],
        "right": sides["b" if handed.left == "a" else "a"],
        "draft": handed.draft,
        "must_play": store.do(unplayed, person, gated(playable, handed.kind, row, handed.left)),
    }
    if handed.kind == "write":
        item["most"] = rules.most_criteria
    else:
        item["criterion"] = handed.criterion
    if handed.votes is not None:
        item["votes"] = handed.votes
    return item


def gated(playable: Playable, kind: Kind, row: Mapping[str, Any], left: Left) -> list[str]:
    """The media that must be played to the end before an answer: of the prompt, on the left, on the right.

    In this order, since a before b would tell which side is which. Raises as `Playable.part`.
    """
    if kind not in _GATED:
        return []
    return to_play([playable.part(part) for part in all_parts(row, left)])


def all_parts(row: Mapping[str, Any], left: Left = "a") -> list[Mapping[str, Any]]:
    """The parts of a stored row: of the prompt, on the left, on the right."""
    prompt = [part for turn in row["prompt"] for part in turn["content"]]
    sides = ("a", "b") if left == "a" else ("b", "a")
    return [*prompt, *(part for side in sides for part in row[f"response_{side}"])]


def unplayed(db: sqlite3.Connection, person: Person, urls: Iterable[str]) -> list[str]:
    """Those that a person has not played yet, under whichever criterion."""
    played = {row["name"] for row in db.execute("SELECT name FROM played WHERE person = ?", (person.number,))}
    return [url for url in urls if url not in played]


def play(db: sqlite3.Connection, person: Person, item: int, url: str, now: float) -> None:
    """Note that a person has played a medium to its end."""
    db.execute("INSERT OR IGNORE INTO played VALUES (?, ?, ?, ?)", (person.number, url, item, now))


def set_aside(db: sqlite3.Connection, folder: Path, sample: int, reason: str) -> None:
    """Hand a sample out to nobody until the server starts again: a medium of it cannot be shown."""
    for place in (folder.resolve(), folder):  # it is exported, and where things lie here is nobody's business
        reason = reason.replace(f"{place}{os.sep}", "")
    db.execute("UPDATE sample SET broken = ? WHERE number = ?", (reason[:1000] or "cannot be shown", sample))


def row_of(db: sqlite3.Connection, sample: int) -> dict[str, Any]:
    """A sample's stored row."""
    row = json.loads(db.execute("SELECT row FROM sample WHERE number = ?", (sample,)).fetchone()["row"])
    assert isinstance(row, dict)
    return row
