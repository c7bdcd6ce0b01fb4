"""The database: what is in it, and how it is opened.

Unusual: answers and their being taken back are two tables that only grow (triggers refuse anything else); `current` is
what holds now. What the other tables say of an item (`given`, `open`) follows from them and is kept for speed.

An item is something to do: write a sample's criteria, check a criterion, vote under it, adjudicate it. Its `id` is
random, so that nobody can tell from it what else there is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Literal

from omnireward.errors import SourceError

Kind = Literal["write", "check", "vote", "adjudicate"]
FILE, VERSION = "annotations.sqlite", "1"
_SCHEMA = """
CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE person (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, role TEXT NOT NULL, active INTEGER NOT NULL,
    token BLOB NOT NULL);
CREATE TABLE sample (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL, gold INTEGER NOT NULL, cluster TEXT NOT NULL,
    preference TEXT NOT NULL, row TEXT NOT NULL, broken TEXT NOT NULL DEFAULT '', UNIQUE (gold, id));
-- `writer` and `answer` are null where the criterion came with its sample.
CREATE TABLE criterion (
    number INTEGER PRIMARY KEY, sample INTEGER NOT NULL REFERENCES sample, text TEXT NOT NULL,
    writer INTEGER REFERENCES person, answer INTEGER REFERENCES answer, withdrawn INTEGER NOT NULL DEFAULT 0);
CREATE INDEX criterion_sample ON criterion (sample);
CREATE INDEX criterion_answer ON criterion (answer);
CREATE TABLE item (
    number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, sample INTEGER NOT NULL REFERENCES sample,
    criterion INTEGER REFERENCES criterion, gold INTEGER NOT NULL, writer INTEGER, wanted INTEGER NOT NULL,
    given INTEGER NOT NULL DEFAULT 0, open INTEGER NOT NULL DEFAULT 1, UNIQUE (criterion, kind));
CREATE INDEX item_open ON item (kind, gold, number) WHERE open;
CREATE INDEX item_sample ON item (sample);
CREATE TABLE shown (
    person INTEGER NOT NULL, item INTEGER NOT NULL, left TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (person, item));
CREATE TABLE lease (
    item INTEGER NOT NULL, person INTEGER NOT NULL, until REAL NOT NULL, PRIMARY KEY (item, person));
CREATE TABLE draft (
    person INTEGER NOT NULL, item INTEGER NOT NULL, draft TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (person, item));
CREATE TABLE played (
    person INTEGER NOT NULL, name TEXT NOT NULL, item INTEGER NOT NULL, at REAL NOT NULL, PRIMARY KEY (person, name));
CREATE TABLE answer (
    number INTEGER PRIMARY KEY AUTOINCREMENT, person INTEGER NOT NULL REFERENCES person,
    item INTEGER NOT NULL REFERENCES item, key TEXT NOT NULL, body TEXT NOT NULL, choice TEXT NOT NULL,
    seconds REAL NOT NULL, at REAL NOT NULL, UNIQUE (person, key));
CREATE INDEX answer_item ON answer (item, person);
CREATE INDEX answer_person ON answer (person, number);
CREATE TABLE undo (answer INTEGER PRIMARY KEY REFERENCES answer, at REAL NOT NULL);
CREATE VIEW current AS SELECT * FROM answer WHERE NOT EXISTS (SELECT 1 FROM undo WHERE undo.answer = answer.number);
-- What a stored medium became for browsers, and the only names that are served.
CREATE TABLE medium (key TEXT PRIMARY KEY, part TEXT NOT NULL);
CREATE TABLE file (name TEXT PRIMARY KEY, path TEXT NOT NULL, type TEXT NOT NULL);
"""
_TRIGGERS = "".join(
    f"CREATE TRIGGER {table}_{verb.lower()} BEFORE {verb} ON {table} "
    f"BEGIN SELECT RAISE(ABORT, '{table} only grows'); END;\n"
    for table in ("answer", "undo")
    for verb in ("UPDATE", "DELETE")
)


def opened(folder: Path, *, fresh: bool) -> sqlite3.Connection:
    """A connection, in autocommit mode; rows are `sqlite3.Row`. Any thread may use it, one at a time.

    Args:
        folder: that holds `FILE`.
        fresh: make the database if it is not there.

    Raises:
        SourceError: there is none, or it is something else or of another version.
    """
    path = folder / FILE
    if not fresh and not path.is_file():
        raise SourceError(f"there is no {FILE} in {folder}; --out names the folder that annotation was given.")
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    try:
        db.execute("PRAGMA journal_mode = WAL")
        # FULL: a commit returns when the disk has it, so an answer that was called saved outlives a loss of power.
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("PRAGMA busy_timeout = 10000")
        with transaction(db) if fresh else nullcontext():
            if fresh and not db.execute("SELECT 1 FROM sqlite_master").fetchone():
                for statement in _statements(_SCHEMA + _TRIGGERS):
                    db.execute(statement)
                set_setting(db, "version", VERSION)
        found = setting(db, "version")
    except sqlite3.DatabaseError as error:
        db.close()
        raise SourceError(f"{path} is no database of annotations: {error}.") from error
    if found != VERSION:
        db.close()
        raise SourceError(f"{path} is of version {found or 'unknown'}; this is version {VERSION}.")
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of the block is on disk when it ends, or none of it ever is."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    finally:
        if db.in_transaction:  # also where the disk is full
            db.execute("ROLLBACK")


@contextmanager
def snapshot(db: sqlite3.Connection) -> Iterator[None]:
    """What is read in the block is of one moment. Whoever writes meanwhile is not kept waiting."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        db.execute("ROLLBACK")


def setting(db: sqlite3.Connection, name: str) -> str:
    """A setting of the database, or the empty string."""
    row = db.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
    return str(row["value"]) if row else ""


def set_setting(db: sqlite3.Connection, name: str, value: str) -> None:
    """Set it."""
    db.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value))


def _statements(script: str) -> Iterator[str]:
    """Not `executescript`, which would commit what was begun."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
