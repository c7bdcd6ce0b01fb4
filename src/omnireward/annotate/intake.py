"""Samples come into the database, once, and their media below the output folder.

What is there afterwards does not depend on the source any more: a folder that changes later changes nothing.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from omnireward.annotate.config import Stage
from omnireward.annotate.tables import Kind
from omnireward.errors import SourceError
from omnireward.media_store import MediaStore
from omnireward.sample_rows import to_row
from omnireward.types import Sample


def take_in(db: sqlite3.Connection, samples: Iterable[Sample], out: Path, stage: Stage, overlap: int) -> int:
    """Samples to annotate; returns how many. In a transaction.

    A sample with a criterion has its writing done already, and nobody checks it. Where only votes are asked for, one
    without is voted on as it is: which response is better on the whole.

    Raises:
        SourceError: two samples have the same id.
        OSError: a medium cannot be kept.
    """
    store, count = MediaStore(out), 0
    for sample in samples:
        number = _insert(db, store, sample, gold=False)
        if sample.comparison.criterion or stage == "vote":
            add_item(db, "vote", number, add_criterion(db, number, sample.comparison.criterion), wanted=overlap)
        else:
            add_item(db, "write", number, None, wanted=1)
        count += 1
    return count


def take_in_gold(db: sqlite3.Connection, samples: Iterable[Sample], out: Path) -> int:
    """Samples whose preference is known; returns how many. In a transaction. Raises as `take_in`."""
    store, count = MediaStore(out), 0
    for sample in samples:
        number = _insert(db, store, sample, gold=True)
        criterion = add_criterion(db, number, sample.comparison.criterion)
        add_item(db, "vote", number, criterion, wanted=1, gold=True)
        count += 1
    return count


def add_criterion(
    db: sqlite3.Connection, sample: int, text: str, writer: int | None = None, answer: int | None = None
) -> int:
    """A criterion of a sample; returns its number."""
    cursor = db.execute(
        "INSERT INTO criterion (sample, text, writer, answer) VALUES (?, ?, ?, ?)", (sample, text, writer, answer)
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def add_item(
    db: sqlite3.Connection,
    kind: Kind,
    sample: int,
    criterion: int | None,
    *,
    wanted: int,
    gold: bool = False,
    writer: int | None = None,
) -> None:
    """Something to do; what was closed is open again."""
    db.execute(
        "INSERT INTO item (id, kind, sample, criterion, gold, writer, wanted) VALUES (?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (criterion, kind) DO UPDATE SET open = 1",
        (secrets.token_hex(8), kind, sample, criterion, gold, writer, wanted),
    )


def _insert(db: sqlite3.Connection, store: MediaStore, sample: Sample, *, gold: bool) -> int:
    row = json.dumps(to_row(sample, store.keep), ensure_ascii=False)
    try:
        cursor = db.execute(
            "INSERT INTO sample (id, gold, cluster, preference, row) VALUES (?, ?, ?, ?, ?)",
            (sample.id, gold, sample.cluster, sample.preference, row),
        )
    except sqlite3.IntegrityError as error:
        raise SourceError(f"two samples have the id {sample.id[:200]!r}; each needs one of its own.") from error
    assert cursor.lastrowid is not None
    return cursor.lastrowid
