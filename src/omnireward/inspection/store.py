"""Everything seen, in an SQLite file beside the memory: what has to be compared with all else is compared there.

Origin 0 is the source that is inspected; benchmarks are 1, 2 and so on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from omnireward.inspection.media_facts import MediumFacts

_PENDING = 2_000  # rows of a table between two writes

_SCHEMA = """
PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-8192; PRAGMA temp_store=FILE;
CREATE TABLE sample (number INTEGER PRIMARY KEY, origin INTEGER, id BLOB, task TEXT, cluster BLOB, preference TEXT,
    longer INTEGER, whole BLOB, verdict INTEGER, one_response INTEGER);
CREATE TABLE occurrence (origin INTEGER, kind TEXT, digest BLOB, sample INTEGER, telling INTEGER);
CREATE TABLE content (origin INTEGER, kind TEXT, digest BLOB, shown TEXT, PRIMARY KEY (origin, kind, digest))
    WITHOUT ROWID;
CREATE TABLE file (place BLOB PRIMARY KEY, digest BLOB) WITHOUT ROWID;
CREATE TABLE medium (origin INTEGER, digest BLOB, kind TEXT, state TEXT, name TEXT, problem TEXT, size INTEGER,
    PRIMARY KEY (origin, digest)) WITHOUT ROWID;
CREATE TABLE hit (kind TEXT, sample INTEGER, PRIMARY KEY (kind, sample)) WITHOUT ROWID;
"""


class Store:
    """The tables. Rows are written in bunches; `finish` comes between writing and asking."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.executescript(_SCHEMA)
        self._database.execute("BEGIN")
        self._pending: dict[str, list[tuple[Any, ...]]] = {"sample": [], "occurrence": []}

    def add(self, table: str, *values: object) -> None:
        """A row of `sample` or `occurrence`."""
        rows = self._pending[table]
        rows.append(values)
        if len(rows) >= _PENDING:
            self._write(table)

    def is_new(self, origin: int, kind: str, digest: bytes, shown: str) -> bool:
        """Note a content of this kind; whether it had not been seen in this origin."""
        row = (origin, kind, digest, shown.encode("utf-8", "replace").decode())
        return self._database.execute("INSERT OR IGNORE INTO content VALUES (?, ?, ?, ?)", row).rowcount > 0

    def digest_of(self, place: bytes) -> bytes | None:
        """The digest of a file that has been read already."""
        found = self._database.execute("SELECT digest FROM file WHERE place = ?", (place,)).fetchone()
        return None if found is None else found[0]

    def note_file(self, place: bytes, digest: bytes) -> None:
        """Remember the digest of a file."""
        self._database.execute("INSERT OR REPLACE INTO file VALUES (?, ?)", (place, digest))

    def add_medium(self, origin: int, digest: bytes, facts: MediumFacts) -> None:
        """What is known of a medium."""
        told = tuple(text.encode("utf-8", "replace").decode() for text in (facts.name, facts.problem))
        self._database.execute(
            "INSERT OR IGNORE INTO medium VALUES (?, ?, ?, ?, ?, ?, ?)",
            (origin, digest, facts.kind, facts.state, *told, facts.size),
        )

    def finish(self) -> None:
        """Write what is pending, and sort for questions."""
        for table in self._pending:
            self._write(table)
        self._database.execute("CREATE INDEX IF NOT EXISTS by_content ON occurrence (kind, digest, origin, sample)")

    def ask(self, query: str, values: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of an answer, lazily."""
        yield from self._database.execute(query, values)

    def one(self, query: str, values: Sequence[object] = ()) -> tuple[Any, ...]:
        """The only row of an answer."""
        row: tuple[Any, ...] = self._database.execute(query, values).fetchone()
        return row

    def run(self, statement: str, values: Sequence[object] = ()) -> int:
        """Change something; how many rows."""
        return self._database.execute(statement, values).rowcount

    def id_of(self, sample: int) -> str:
        """The id of a sample by its number."""
        (stored,) = self.one("SELECT id FROM sample WHERE number = ?", (sample,))
        return bytes(stored).decode("utf-8", "replace")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _write(self, table: str) -> None:
        rows = self._pending[table]
        if rows:
            marks = ", ".join("?" * len(rows[0]))
            self._database.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)
        rows.clear()
