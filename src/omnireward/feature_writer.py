"""The thread that writes features to disk, so that nobody waits for it, and that keeps the folder within its size.

What is put waits in memory until there are 64 MiB of it, or for some seconds. The seconds grow with the age of the run,
to a tenth of it, so that a slow run writes few files and one that is killed loses little. The files that were used
longest ago are removed first. When the disk is full or may not be written, writing stops with one warning, and the run
goes on: nothing here ends in an error.

A store may be dropped by the garbage collector in any thread, also in this one, at any step, also where a lock is held.
So `close` waits for nothing, and only the end of Python waits for the thread.
"""

from __future__ import annotations

import atexit
import fcntl
import logging
import os
import threading
import time
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from omnireward import feature_shards
from omnireward.feature_shards import Entry

PLACE, SIZE = "OMNIREWARD_CACHE", "OMNIREWARD_CACHE_GB"
SHARD_BYTES = 64 * 2**20
SHARD_ENTRIES = 2048  # in one file, so that headers stay small where media are
WAITING_BYTES = 4 * SHARD_BYTES  # what comes on top is not kept: the disk is slower than the run
SOONEST, LATEST = 5.0, 300.0  # seconds that an entry waits
PATIENCE = 10.0  # seconds to wait for another process that writes; one that was stopped never finishes
HEADER_BYTES = 2048  # of one entry, more than there are
_log = logging.getLogger(__name__)


class Place(Protocol):
    """Whose entries are written: a space of a store."""

    folder: Path

    def written(self, digests: list[str], path: Path | None) -> None:
        """Told when entries are in a file, or when they never will be."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    place: Place
    digest: str
    entry: Entry


class Writer:
    """Writes for all spaces of a store. It knows no store, so that a store can be dropped, and then is closed."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._shard_bytes = min(SHARD_BYTES, limit // 8)  # making room takes a whole file away
        self._began = time.monotonic()
        self._closed = False
        self._held_up = False  # in this flush, by another process
        self._turn, self._busy = threading.Condition(), threading.Lock()
        self._queue: list[_Waiting] = []
        self._bytes = 0  # of the queue and of what is being written
        self._oldest = 0.0  # when the first of the queue came
        self._thread: threading.Thread | None = None
        _writers.add(self)

    def takes(self, entry: Entry) -> bool:
        """Whether an entry can be written, and more may wait."""
        fits = entry.nbytes <= self._limit // 2 and self._bytes + entry.nbytes <= WAITING_BYTES
        return fits and not self._closed and self._folder not in _unwritable and entry.storable

    def add(self, place: Place, digest: str, entry: Entry) -> None:
        """Let an entry wait for the thread, which is started by the first."""
        with self._turn:
            if not self._queue:
                self._oldest = time.monotonic()
            self._queue.append(_Waiting(place, digest, entry))
            self._bytes += entry.nbytes
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="feature writer", daemon=True)
                self._thread.start()
            if len(self._queue) == 1 or self._full():
                self._turn.notify()

    def flush(self) -> None:
        """Write what waits, in this thread."""
        with self._busy:
            with self._turn:
                queue, self._queue = self._queue, []
            self._held_up = False
            while queue:
                queue = self._write_one(queue)

    def close(self) -> None:
        """Take no more. The thread writes what waits, and ends."""
        with self._turn:  # this thread may have it; who has it waits for nothing
            self._closed = True
            self._turn.notify()

    def finish(self) -> None:
        """Close, and wait until what waits is written."""
        self.close()
        if self._thread is not None:
            self._thread.join()

    def _full(self) -> bool:
        return self._bytes >= self._shard_bytes or len(self._queue) >= SHARD_ENTRIES

    def _run(self) -> None:
        while True:
            with self._turn:
                while not (self._closed or self._full()):
                    now = time.monotonic()
                    left = self._oldest + may_wait(now - self._began) - now
                    if self._queue and left <= 0:
                        break
                    self._turn.wait(left if self._queue else None)
                last = self._closed
            self.flush()
            if last:
                return

    def _write_one(self, queue: list[_Waiting]) -> list[_Waiting]:
        """Write one file's worth of what waits for the first one's place; returns the rest."""
        place = queue[0].place
        entries: dict[str, Entry] = {}
        rest: list[_Waiting] = []
        size = 0
        for one in queue:
            fits = not entries or (size + one.entry.nbytes <= self._shard_bytes and len(entries) < SHARD_ENTRIES)
            if one.place is place and fits:
                entries[one.digest] = one.entry
                size += one.entry.nbytes
            else:
                rest.append(one)
        place.written(list(entries), self._written(place.folder, entries, size))
        with self._turn:
            self._bytes -= size
        return rest

    def _written(self, folder: Path, entries: Mapping[str, Entry], size: int) -> Path | None:
        """The file; None where nothing could be written."""
        if self._folder in _unwritable or self._held_up:
            return None
        try:
            with _alone(self._folder) as alone:
                if not alone:
                    self._held_up = True  # or each file that waits would wait as long
                    return None
                _make_room(self._folder, self._limit - size - HEADER_BYTES * len(entries))
                return feature_shards.write(folder, folder.name, entries)
        except FileNotFoundError:  # somebody removed the folder
            return None
        except OSError as error:
            _unwritable.add(self._folder)
            _log.warning(
                "features of media are no longer written to %s (%s). The run goes on and makes anew what is not kept. "
                "Free some space there, or name another folder in %s; with %s=0 nothing is written.",
                *(self._folder, error, PLACE, SIZE),
            )
            return None

    def _after_fork(self) -> None:
        """Begin with nothing: what waits is written by the parent, which has the thread."""
        self._turn, self._busy = threading.Condition(), threading.Lock()
        self._queue, self._bytes, self._thread = [], 0, None


def may_wait(age: float) -> float:
    """Seconds that an entry may wait in a run that is `age` seconds old.

    >>> [may_wait(age) for age in (0, 60, 1000, 100_000)]
    [5.0, 6.0, 100.0, 300.0]
    """
    return min(LATEST, max(SOONEST, age / 10))


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether this process alone writes and removes below `folder`, until the block ends. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    yield False
                    return
                time.sleep(0.02)
            else:
                yield True
                return
    finally:
        os.close(descriptor)


def _make_room(folder: Path, limit: int) -> None:
    """Remove what dead processes left, then the files that were used longest ago, until the rest fits the limit."""
    found: list[tuple[float, int, Path]] = []
    with os.scandir(folder) as entries:
        spaces = [Path(entry) for entry in entries if entry.is_dir(follow_symlinks=False)]
    for space in spaces:
        feature_shards.sweep(space)
        found += [(told.st_mtime, told.st_size, space / name) for name, told in feature_shards.files(space).items()]
    total = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if total <= limit:
            return
        path.unlink(missing_ok=True)
        total -= size
        with suppress(OSError):  # it holds more
            path.parent.rmdir()


_unwritable: set[Path] = set()
_writers: weakref.WeakSet[Writer] = weakref.WeakSet()  # a thread that runs keeps its writer


def _after_fork() -> None:
    for writer in list(_writers):
        writer._after_fork()


@atexit.register
def _at_the_end() -> None:
    for writer in list(_writers):
        writer.finish()


os.register_at_fork(after_in_child=_after_fork)
