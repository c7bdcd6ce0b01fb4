"""The database behind one thread: whatever reads or writes it waits its turn there.

One process may have a folder open for writing; a lock file sees to that, and ends with the process, however it ends.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Concatenate, ParamSpec, Self, TypeVar

from omnireward.annotate import intake, people, tables
from omnireward.annotate.config import AnnotateConfig
from omnireward.annotate.queue import Rules
from omnireward.annotate.tables import Kind
from omnireward.errors import RecipeError
from omnireward.types import Sample

_KINDS: dict[str, tuple[Kind, ...]] = {
    "both": ("write", "check", "vote"),
    "write": ("write", "check"),
    "vote": ("vote",),
}
_P = ParamSpec("_P")
_T = TypeVar("_T")


class Store:
    """Annotations in a folder. Use it as a context manager.

    Args:
        folder: made if it is not there.
        rules: who does what.
        clock: seconds since 1970.

    Raises:
        RecipeError: another process has the folder open.
        SourceError: the database is something else.
    """

    def __init__(self, folder: Path, rules: Rules, clock: Callable[[], float] = time.time) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.rules, self.clock = folder, rules, clock
        self._lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        with ExitStack() as undo:
            undo.callback(os.close, self._lock)
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise RecipeError(f"another server has {folder} open; end it first, or give another --out.") from error
            self._db = tables.opened(folder, fresh=True)
            undo.pop_all()
        self._thread = ThreadPoolExecutor(1, "annotations")

    def submit(
        self, act: Callable[Concatenate[sqlite3.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> Future[_T]:
        """Have something done in a transaction of its own; what it did is on disk when the future has its result."""
        return self._thread.submit(self._act, lambda: act(self._db, *args, **kwargs))

    def do(self, act: Callable[Concatenate[sqlite3.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """As `submit`, and wait."""
        return self.submit(act, *args, **kwargs).result()

    def here(self, act: Callable[Concatenate[sqlite3.Connection, _P], _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """As `do`, in the caller's thread, where Ctrl-C reaches it; for before anybody else uses the store."""
        return self._act(lambda: act(self._db, *args, **kwargs))

    def admit(self, config: AnnotateConfig) -> dict[str, str]:
        """Let the people of a config in; see `people.admit`."""
        return self._thread.submit(
            people.admit, self._db, config.annotators, config.adjudicator, renew=config.new_links
        ).result()

    def _act(self, act: Callable[[], _T]) -> _T:
        with tables.transaction(self._db):
            return act()

    def close(self) -> None:
        """Finish what was asked for. Twice is harmless."""
        self._thread.shutdown()
        self._db.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def rules_of(config: AnnotateConfig) -> Rules:
    """What a config says of who does what."""
    return Rules(
        kinds=_KINDS[config.stage],
        overlap=config.overlap,
        writer_votes=config.writer_votes,
        gold_every=config.gold_every,
        most_criteria=config.most_criteria,
        lease_seconds=60 * config.lease_minutes,
    )


def begin(store: Store, config: AnnotateConfig, read: Callable[[str], Iterable[Sample]]) -> tuple[int, int]:
    """Take the samples in, unless that was done before; returns how many samples and gold samples there are.

    Args:
        store: where they come.
        config: says which, and how many votes each gets.
        read: gives the samples of a place.

    Raises:
        RecipeError: the folder holds annotations of other samples, with another overlap, or begun for votes only.
        SourceError: as `read` and `intake.take_in`, or there are no samples.
    """
    return store.here(_begin, store.folder, config, read)


def _begin(
    db: sqlite3.Connection, out: Path, config: AnnotateConfig, read: Callable[[str], Iterable[Sample]]
) -> tuple[int, int]:
    known = {name: tables.setting(db, name) for name in ("folder", "overlap", "gold", "stage")}
    if known["folder"]:
        _check_same(config, known)
    else:
        if not intake.take_in(db, read(config.folder), out, config.stage, config.overlap):
            raise RecipeError(f"{config.folder} holds no samples, so there is nothing to annotate.")
        tables.set_setting(db, "folder", config.folder)
        tables.set_setting(db, "overlap", str(config.overlap))
        tables.set_setting(db, "stage", config.stage)
        tables.set_setting(db, "secret", secrets.token_hex(16))
    if config.gold and not known["gold"]:
        intake.take_in_gold(db, read(config.gold), out)
        tables.set_setting(db, "gold", config.gold)
    db.execute("UPDATE sample SET broken = ''")  # what could not be shown is tried again
    samples, gold = db.execute("SELECT COUNT(*) - SUM(gold), SUM(gold) FROM sample").fetchone()
    return int(samples), int(gold)


def _check_same(config: AnnotateConfig, known: dict[str, str]) -> None:
    asked = {"folder": config.folder, "overlap": str(config.overlap), "gold": config.gold or known["gold"]}
    for name, value in asked.items():
        if known[name] != value and (name != "gold" or known[name]):
            raise RecipeError(
                f"{config.out} was begun with {name} {known[name]!r}, not {value!r}. Give the same, or another --out."
            )
    if known["stage"] == "vote" != config.stage:
        raise RecipeError(
            f"{config.out} was begun with --stage vote, where nobody writes. Give the same, or another --out."
        )
