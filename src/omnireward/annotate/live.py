"""The figures beside the work: made again when somebody answers, but never more than a small share of the time."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omnireward.annotate import agreement, figures, queue, tables
from omnireward.annotate.people import Person
from omnireward.annotate.store import Store

_SHARE = 20  # figures that took t seconds stay for 20 t


class Live:
    """Figures for each person. Threads may share one."""

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store, self._clock = store, clock
        self._kept: dict[int, tuple[int, float, dict[str, Any]]] = {}
        self._lock = threading.Lock()

    def state(self, person: Person) -> dict[str, Any]:
        """What a person's page shows beside the item."""
        done, left = self._store.do(queue.progress, self._store.rules, person, self._store.clock())
        return {
            "name": person.name,
            "role": person.role,
            "done": done,
            "left": left,
            "median_seconds": self._store.do(figures.median_seconds, person),
            **self._shared(person),
        }

    def _shared(self, person: Person) -> dict[str, Any]:
        version = self._store.do(_version)
        with self._lock:
            kept = self._kept.get(person.number)
            if kept is not None and (kept[0] == version or self._clock() < kept[1]):
                return kept[2]
            begun = self._clock()
            seen = _seen(self._store.folder, person)
            found = agreement.agreement(units := figures.units(seen))
            counts = figures.the_yield(seen)
            said = {
                "agreement": None if found is None else asdict(found),
                "pairs": [
                    {"who": list(pair.who), "same": pair.same, "both": pair.both} for pair in agreement.pairs(units)
                ],
                "yield": asdict(counts),
            }
            now = self._clock()
            self._kept[person.number] = version, now + _SHARE * (now - begun), said
            return said


def _version(db: sqlite3.Connection) -> int:
    """Grows with each answer and each one that is taken back."""
    row = db.execute("SELECT (SELECT MAX(number) FROM answer), (SELECT COUNT(*) FROM undo)").fetchone()
    return int(row[0] or 0) + int(row[1])


def _seen(folder: Path, person: Person) -> list[figures.Criterion]:
    """Through a connection of its own: with many criteria this takes seconds, and nobody's answer should wait."""
    db = tables.opened(folder, fresh=False)
    try:
        with tables.snapshot(db):
            return figures.visible(db, person, figures.criteria(db))
    finally:
        db.close()
