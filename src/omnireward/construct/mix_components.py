"""Which samples hang together: union-find whose forest lies in the database, so that memory does not grow with it.

Only samples that share something are in the forest. Each points at one with a lower number or at itself; paths are
halved as they are walked.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator


def join(database: sqlite3.Connection, more: Iterable[tuple[int, int]] = ()) -> None:
    """Fill the table ``parent`` from the keys that the samples that are not left out share.

    Args:
        database: with the tables ``sample`` and ``key`` of `mix_index`.
        more: further pairs of samples that hang together.
    """
    database.execute("CREATE TEMP TABLE parent (sample INTEGER PRIMARY KEY, parent INTEGER)")
    forest = _Forest(database)
    before: tuple[bytes, int] | None = None
    # A cursor of its own, sorted outside of memory: the forest changes meanwhile.
    shared = database.cursor().execute(
        "SELECT key.key, key.sample FROM key JOIN sample ON sample.id = key.sample WHERE why IS NULL ORDER BY 1, 2"
    )
    database.execute("BEGIN")
    for key, sample in shared:
        if before is not None and before[0] == key:
            forest.unite(before[1], sample)
        before = key, sample
    for one, other in more:
        forest.unite(one, other)
    database.execute("COMMIT")


def roots(database: sqlite3.Connection) -> Iterator[tuple[int, int]]:
    """Each sample of the forest and the lowest one that it hangs together with."""
    forest = _Forest(database)
    last = 0
    # By pages, because walking a path writes to the table that is read.
    while page := database.execute(
        "SELECT sample FROM parent WHERE sample > ? ORDER BY 1 LIMIT 5000", (last,)
    ).fetchall():
        for (sample,) in page:
            yield sample, forest.root(sample)
        ((last,),) = page[-1:]


class _Forest:
    def __init__(self, database: sqlite3.Connection) -> None:
        self._run = database.execute

    def unite(self, one: int, other: int) -> None:
        low, high = sorted((self.root(one), self.root(other)))
        self._run("INSERT OR IGNORE INTO parent VALUES (?, ?)", (low, low))
        if low != high:
            self._run("INSERT OR REPLACE INTO parent VALUES (?, ?)", (high, low))

    def root(self, sample: int) -> int:
        at, above = sample, self._above(sample)
        while above != at:
            higher = self._above(above)
            if higher != above:
                self._run("UPDATE parent SET parent = ? WHERE sample = ?", (higher, at))
            at, above = above, higher
        return at

    def _above(self, sample: int) -> int:
        found = self._run("SELECT parent FROM parent WHERE sample = ?", (sample,)).fetchone()
        return sample if found is None else int(found[0])
