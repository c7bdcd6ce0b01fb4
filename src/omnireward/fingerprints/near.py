"""Which of very many things are near each other: an index on the disk whose memory does not grow with it.

SQLite holds one row for each different signature and sorts them outside of memory. Two 64-bit hashes that differ in at
most d bits agree wholly in one of d + 1 bands (Manku, Jain and Das Sarma 2007, "Detecting near-duplicates for web
crawling"), so for each band the rows come sorted by it, and those with the same band are compared. The signatures of
texts consist of bands (see `texts`). Nothing within the distance is missed, except where very much is alike: see
`near_rows`.

A thing of several hashes (frames, views, seconds) is as far from another as half of its hashes are: the median, over
the hashes of the one that has fewer, of the distance to the nearest hash of the other.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path
from types import TracebackType
from typing import Literal

import numpy as np

from omnireward.errors import SourceError
from omnireward.fingerprints.near_rows import near_rows
from omnireward.fingerprints.pictures import BITS
from omnireward.fingerprints.texts import HASHES, NEAR_JACCARD
from omnireward.types import MediaKind

Kind = Literal["text"] | MediaKind
NEAR: Mapping[Kind, int] = {
    "image": 6,
    "video": 6,
    "mesh": 6,
    "audio": 8,
    "text": round(HASHES * (1 - NEAR_JACCARD)),
}
"""Up to which distance two things are near: bits of 64; for texts bytes of 128 (`texts.NEAR_JACCARD`)."""

_PENDING = 5_000  # entries between two writes

_SCHEMA = """
PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-8192; PRAGMA temp_store=FILE;
CREATE TABLE IF NOT EXISTS thing (
    id INTEGER PRIMARY KEY, kind TEXT NOT NULL, origin TEXT NOT NULL, signature BLOB NOT NULL,
    UNIQUE (kind, origin, signature));
CREATE TABLE IF NOT EXISTS entry (thing INTEGER NOT NULL, name BLOB NOT NULL, PRIMARY KEY (thing, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS hash (kind TEXT NOT NULL, place INTEGER NOT NULL, bits INTEGER NOT NULL, thing INTEGER);
CREATE TABLE IF NOT EXISTS near (
    a INTEGER NOT NULL, b INTEGER NOT NULL, distance INTEGER NOT NULL, PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE TEMP VIEW first AS SELECT thing, MIN(name) AS name FROM entry GROUP BY thing;
"""

# The first name of a thing with each other one; then the first names of two things.
_PAIRS = """
SELECT f.name, e.name, x.kind, 0
FROM thing x JOIN entry e ON e.thing = x.id JOIN first f ON f.thing = x.id
WHERE e.name > f.name AND (:origin IS NULL OR x.origin = :origin)
UNION
SELECT MIN(m.name, n.name), MAX(m.name, n.name), x.kind, distance
FROM near JOIN thing x ON x.id = a JOIN thing y ON y.id = b JOIN first m ON m.thing = a JOIN first n ON n.thing = b
WHERE :origin IS NULL OR (x.origin = :origin AND y.origin = :origin)
ORDER BY 3, 1, 2, 4
"""

_ACROSS = """
WITH both AS (SELECT a AS one, b AS other, distance FROM near UNION ALL SELECT b, a, distance FROM near),
ranked AS (
    SELECT e.name AS name, f.name AS nearest, x.kind AS kind, distance,
           ROW_NUMBER() OVER (PARTITION BY x.kind, e.name ORDER BY distance, f.name) AS rank
    FROM both JOIN thing x ON x.id = one JOIN thing y ON y.id = other
    JOIN entry e ON e.thing = one JOIN first f ON f.thing = other
    WHERE x.origin = :a AND y.origin = :b)
SELECT name, nearest, kind, distance FROM ranked WHERE rank = 1 ORDER BY kind, name
"""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two names of one kind that are near; distance 0 means the same hashes."""

    a: str
    b: str
    kind: Kind
    distance: int


class NearIndex:
    """Names with their hashes, in one file. Close it, or use it in a ``with`` block.

    Args:
        path: the file; what it holds already stays. Nothing in it is synced: after a crash it is made again.

    Raises:
        SourceError: the file cannot be opened, or is something else.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pending: list[tuple[str, Kind, str, Sequence[int]]] = []
        self._searched: tuple[int | None] | None = None  # the last search's distance, while nothing has been added
        try:
            self._database = sqlite3.connect(path, isolation_level=None)
            self._database.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise SourceError(
                f"{path} cannot be used as an index of near things ({error}). Give a new file."
            ) from error

    def add(self, name: str, kind: Kind, hashes: Sequence[int], origin: str = "") -> None:
        """Add a name. Without hashes it is near nothing and is left out; the same again changes nothing.

        Args:
            name: any text; several names may have the same hashes.
            kind: only things of one kind are compared.
            hashes: from `media_hashes` or `text_signature`.
            origin: what `across` tells apart, such as a dataset and a benchmark.
        """
        if hashes:
            self._searched = None
            self._pending.append((name, kind, origin, hashes))
            if len(self._pending) >= _PENDING:
                self._write()

    def pairs(self, max_distance: int | None = None, origin: str | None = None) -> Iterator[Pair]:
        """Near names, by kind and name, each pair once.

        Names with the same hashes are not paired each with each: the first of them by name is paired with each other
        one, and alone with what is near them. So what hangs together by pairs still does, and a thousand copies are
        not half a million pairs.

        Args:
            max_distance: of all kinds; None: each kind's own (`NEAR`).
            origin: that of both names; None: any.
        """
        self._search(max_distance)
        for a, b, kind, distance in self._database.execute(_PAIRS, {"origin": origin}):
            yield Pair(_name(a), _name(b), kind, distance)

    def across(self, a: str, b: str, max_distance: int | None = None) -> Iterator[Pair]:
        """Each name of origin `a` that is near one of origin `b`, with the nearest, by kind and name."""
        self._search(max_distance)
        for name, nearest, kind, distance in self._database.execute(_ACROSS, {"a": a, "b": b}):
            yield Pair(_name(name), _name(nearest), kind, distance)

    def close(self) -> None:
        """Write what is pending and close the file."""
        self._write()
        self._database.close()

    def __enter__(self) -> NearIndex:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self) -> None:
        run = self._database.execute
        run("BEGIN")
        for name, kind, origin, hashes in self._pending:
            key = (kind, origin, np.array(hashes, np.uint64).tobytes())
            added = run("INSERT OR IGNORE INTO thing (kind, origin, signature) VALUES (?, ?, ?)", key)
            if added.rowcount:
                # Only texts mind the place: their third band is not compared with another's fourth.
                numbered = enumerate(hashes) if kind == "text" else ((0, bits) for bits in sorted(set(hashes)))
                rows = [(kind, place, _signed(bits), added.lastrowid) for place, bits in numbered]
                self._database.executemany("INSERT INTO hash VALUES (?, ?, ?, ?)", rows)
            # SQLite's text takes no half of a surrogate pair.
            run(
                "INSERT OR IGNORE INTO entry SELECT id, ? FROM thing WHERE kind = ? AND origin = ? AND signature = ?",
                (name.encode("utf-8", "surrogatepass"), *key),
            )
        run("COMMIT")
        self._pending.clear()

    def _search(self, max_distance: int | None) -> None:
        """Fill the table `near`."""
        if self._searched == (max_distance,):
            return
        self._write()
        self._database.execute("DELETE FROM near")
        self._database.execute("BEGIN")
        for kind, near in NEAR.items():
            limit = near if max_distance is None else max_distance
            # Half a number of a text's signature is a band of four rows, see `texts`.
            for band in _bands(1 if kind == "text" else limit):
                self._search_band(kind, limit, band)
        self._database.execute("COMMIT")
        self._searched = (max_distance,)

    def _search_band(self, kind: Kind, limit: int, band: str) -> None:
        """Compare what has the same value of an SQL expression, in the same place."""
        rows = self._database.execute(
            f"SELECT place, {band}, bits, thing, origin, signature FROM hash JOIN thing ON thing.id = hash.thing "
            "WHERE hash.kind = ? ORDER BY 1, 2, bits, thing",
            (kind,),
        )
        for _, group in groupby(rows, key=lambda row: row[:2]):
            found = near_rows(((bits, thing, origin, said) for _, _, bits, thing, origin, said in group), kind, limit)
            self._database.executemany("INSERT OR IGNORE INTO near VALUES (?, ?, ?)", found)


def _bands(limit: int) -> list[str]:
    """SQL expressions of bands, one more than bits may differ.

    >>> _bands(1)
    ['(bits >> 0) & 4294967295', '(bits >> 32) & 4294967295']
    """
    edges = [BITS * i // (limit + 1) for i in range(limit + 2)]
    return [f"(bits >> {low}) & {(1 << high - low) - 1}" for low, high in pairwise(edges)]


def _signed(bits: int) -> int:
    """The same 64 bits as SQLite's integer."""
    return bits - (1 << BITS) if bits >> (BITS - 1) else bits


def _name(stored: bytes) -> str:
    return stored.decode("utf-8", "surrogatepass")
