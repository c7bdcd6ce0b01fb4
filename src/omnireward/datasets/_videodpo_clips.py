"""The clips that VideoDPO's pairs point at by number, and which numbers are meant.

``metadata.json`` lists clips, and pairs name them by their position. The authors' loader drops clips shorter than one
second before it counts, so positions after a dropped clip may be counted with it or without it. Both are tried against
what the pairs repeat of their clips, the caption: the counting that fits every pair is the one that was meant.

Unusual: clips wait in a temporary file on disk, because pairs may name any of them; memory does not grow with them.
"""

from __future__ import annotations

import json
import logging
import reprlib
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from omnireward.datasets._checked_lists import MOST, numbers
from omnireward.errors import BadRowError, SourceError
from omnireward.rows import Row
from omnireward.sources import BadRows

Counting = Literal["listed", "kept"]
COUNTINGS: tuple[Counting, ...] = ("listed", "kept")
SHORTEST = 1.0  # seconds; the authors' clip_length
_LARGEST = 2**31  # no list has more clips, and the database takes no number over 2^63
_TABLE = "CREATE TABLE clips (listed INTEGER PRIMARY KEY, kept INTEGER UNIQUE, path TEXT, captions TEXT)"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Clip:
    """One entry of ``metadata.json``: its position there, its file's name as stated, and its captions."""

    listed: int
    path: str
    captions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """One entry of ``pair.json``: the numbers of the better and the worse clip, and the prompt of both."""

    winner: int
    loser: int
    prompt: str

    @classmethod
    def of(cls, row: Row) -> Pair:
        """Read a row; raises BadRowError."""
        winner, loser = (_index(row, field) for field in ("video1", "video2"))
        if winner == loser:
            raise row.bad("video2", f"is {loser}, as video1 is.")
        if "frame_caption" not in row.fields:
            raise row.missing("frame_caption")
        said = _captions(row, "frame_caption", row.fields["frame_caption"])
        if len(said) != 1:
            raise row.bad("frame_caption", f"holds {len(said)} different captions; which is the prompt is unknown.")
        return cls(winner, loser, said[0])


class Clips:
    """The clips of ``metadata.json``.

    Args:
        scratch: a database for them alone.
        found: the rows of the file.
        bad_rows: told of entries that cannot be used; a pair that needs one is refused later.
    """

    def __init__(self, scratch: sqlite3.Connection, found: Iterable[Row], bad_rows: BadRows) -> None:
        self._scratch = scratch
        self.short = 0
        scratch.execute(_TABLE)
        for row in found:
            try:
                path, seconds, captions = _clip(row)
            except BadRowError as error:
                bad_rows.add(error)
                continue
            kept = None if seconds < SHORTEST else row.number - self.short
            self.short += kept is None
            values = (row.number, kept, path, json.dumps(captions))
            scratch.execute("INSERT INTO clips VALUES (?, ?, ?, ?)", values)

    def at(self, counting: Counting, number: int) -> Clip | None:
        """The clip that a number means; None where there is none."""
        query = f"SELECT listed, path, captions FROM clips WHERE {counting} = ?"  # one of two words
        found = self._scratch.execute(query, (number,)).fetchone()
        return None if found is None else Clip(found[0], found[1], tuple(json.loads(found[2])))

    def of(self, pair: Pair, counting: Counting) -> tuple[Clip, Clip] | None:
        """Winner and loser of a pair; None where one is not there, or has another caption."""
        winner, loser = self.at(counting, pair.winner), self.at(counting, pair.loser)
        fitting = winner and loser and pair.prompt in winner.captions and pair.prompt in loser.captions
        return (winner, loser) if winner and loser and fitting else None

    def counting(self, pairs: Iterable[Row]) -> Counting:
        """How the numbers of the pairs count.

        Raises:
            SourceError: clips are short, and both countings or neither fit.
        """
        if not self.short:
            return "listed"
        usable = differing = 0
        fitting = dict.fromkeys(COUNTINGS, 0)
        for row in pairs:
            try:
                pair = Pair.of(row)
            except BadRowError:  # reported when its turn comes
                continue
            usable += 1
            found = {counting: self.of(pair, counting) for counting in COUNTINGS}
            differing += found["listed"] != found["kept"]
            for counting in COUNTINGS:
                fitting[counting] += found[counting] is not None
        right = [counting for counting in COUNTINGS if fitting[counting] == usable]
        if len(right) == 1 or not differing:
            chosen: Counting = right[0] if right else "listed"
            _log.info("%d clips under %g s; numbers of pairs count clips as %s", self.short, SHORTEST, chosen)
            return chosen
        raise SourceError(
            f"{self.short} clips of metadata.json are shorter than {SHORTEST:g} s, so the numbers in pair.json may "
            f"count them (indices=listed) or not (indices=kept). The captions do not tell: of {usable} pairs, "
            f"{fitting['listed']} fit the first and {fitting['kept']} the second. Say which: FOLDER?indices=listed"
        )


def _clip(row: Row) -> tuple[str, float, tuple[str, ...]]:
    basic, misc = (_part(row, field) for field in ("basic", "misc"))
    path = row.checked_text("basic", basic.get("clip_path"))
    (seconds,) = numbers(row, "basic", [basic.get("clip_duration")])
    return path, seconds, _captions(row, "misc", misc.get("frame_caption"))


def _part(row: Row, field: str) -> Mapping[str, object]:
    if field not in row.fields:
        raise row.missing(field)
    value = row.fields[field]
    if not isinstance(value, Mapping):
        raise row.bad(field, f"is {reprlib.repr(value)}, not an object.")
    return value


def _captions(row: Row, field: str, value: object) -> tuple[str, ...]:
    """A caption, or a list of them, without repetitions."""
    values = value if isinstance(value, list) else [value]
    if not 0 < len(values) <= MOST:
        raise row.bad(field, f"has {len(values)} captions; 1 to {MOST} are read.")
    return tuple(dict.fromkeys(row.checked_text(field, one) for one in values))


def _index(row: Row, field: str) -> int:
    if field not in row.fields:
        raise row.missing(field)
    value = row.fields[field]
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < _LARGEST:
        raise row.bad(field, f"is {reprlib.repr(value)}, not the number of a clip in metadata.json.")
    return value
