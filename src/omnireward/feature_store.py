"""Features on disk: a folder that runs share, bounded in size, and safe when several processes use it or one is killed.

    FOLDER/SPACE/*.safetensors    one folder for everything besides the media that decides an entry (`feature_space`)

Files are complete when they get their name (`feature_shards`), so readers need no lock. What is put is found at once in
this process, and by others once a thread has written it (`feature_writer`). A file that is damaged is removed, and one
that another process has removed to make room is a miss: nothing that happens to the folder is an error of the run.
"""

from __future__ import annotations

import logging
import os
import stat
import threading
import time
import weakref
from contextlib import suppress
from pathlib import Path

from omnireward import feature_shards
from omnireward.errors import RecipeError
from omnireward.feature_shards import DamagedShardError, Entry, Place
from omnireward.feature_writer import PLACE, SIZE, Writer

DEFAULT_GB = 20.0
LOOK_AGAIN = 2.0  # seconds between looking twice for files of other processes
TOUCH_AGAIN = 60.0  # seconds between noting twice that a file is used
_log = logging.getLogger(__name__)


class FeatureStore:
    """A folder of spaces. What is put is on disk after `flush`, soon after the store is dropped, and when Python ends.

    Args:
        folder: made when something is written; nobody else's.
        limit: bytes of all its files.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self._writer = Writer(folder, limit)
        self._spaces: dict[str, Space] = {}
        weakref.finalize(self, self._writer.close).atexit = False  # the writer sees to that

    def space(self, name: str) -> Space:
        """The entries that were made in the same way."""
        return self._spaces.setdefault(name, Space(self.folder / name, self._writer))

    def flush(self) -> None:
        """Write what waits, now."""
        self._writer.flush()

    def __reduce__(self) -> tuple[type[FeatureStore], tuple[Path, int]]:
        return type(self), (self.folder, self.limit)  # a copied model shares the folder, not the thread


class Space:
    """One folder of shards, and what waits to be written there. Threads may share it."""

    def __init__(self, folder: Path, writer: Writer) -> None:
        self.folder = folder
        self._writer = writer
        self._lock = threading.Lock()
        self._where: dict[str, tuple[str, Place]] = {}  # digest -> name of the shard, place in it
        self._waiting: dict[str, Entry] = {}
        self._seen: set[str] = set()
        self._looked = -LOOK_AGAIN
        self._touched: dict[str, float] = {}
        _forked.add(self)

    def get(self, digest: str) -> Entry | None:
        """What is kept of a medium. A file that is damaged is removed, and its entries are misses."""
        with self._lock:
            if digest in self._waiting:
                return self._waiting[digest]
            if digest not in self._where:
                self._look()
            if digest not in self._where:
                return None
            name, place = self._where[digest]
        try:
            entry = place.read(self.folder / name, self.folder.name, digest)
        except DamagedShardError as error:
            self._drop(name, error)
            return None
        except OSError:  # removed to make room
            self._drop(name)
            return None
        self._touch(name)
        return entry

    def put(self, digest: str, entry: Entry) -> None:
        """Keep what was made of a medium; what is there already stays as it is."""
        with self._lock:
            if digest in self._where or digest in self._waiting or not self._writer.takes(entry):
                return
            self._waiting[digest] = entry
        self._writer.add(self, digest, entry)

    def written(self, digests: list[str], path: Path | None) -> None:
        """Entries are in a file now, or will never be."""
        found: dict[str, Place] = {}
        if path is not None:
            with suppress(OSError, DamagedShardError):
                found = feature_shards.places(path, self.folder.name)
        with self._lock:
            if path is not None and found:
                self._seen.add(path.name)
                self._where |= {digest: (path.name, place) for digest, place in found.items()}
            for digest in digests:
                self._waiting.pop(digest, None)

    def _look(self) -> None:
        """Take in the files that appeared. The caller holds the lock."""
        if time.monotonic() - self._looked < LOOK_AGAIN:
            return
        with suppress(OSError):  # no such folder yet
            for name in sorted(feature_shards.files(self.folder).keys() - self._seen):
                self._seen.add(name)
                try:
                    found = feature_shards.places(self.folder / name, self.folder.name)
                except DamagedShardError as error:
                    _remove(self.folder / name, error)
                except OSError:
                    continue
                else:
                    self._where |= {digest: (name, place) for digest, place in found.items()}
        self._looked = time.monotonic()

    def _drop(self, name: str, error: DamagedShardError | None = None) -> None:
        if error is not None:
            _remove(self.folder / name, error)
        with self._lock:
            self._where = {digest: where for digest, where in self._where.items() if where[0] != name}

    def _touch(self, name: str) -> None:
        """Note on disk that a file is used, for whoever makes room."""
        now = time.monotonic()
        if now - self._touched.get(name, -TOUCH_AGAIN) >= TOUCH_AGAIN:
            self._touched[name] = now
            with suppress(OSError):
                os.utime(self.folder / name)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._waiting = {}  # the parent writes it


def default_store() -> FeatureStore | None:
    """The user's store: where and how large the environment says; None where it says that there is none.

    In `$OMNIREWARD_CACHE`, or `omnireward` below `$XDG_CACHE_HOME` or `~/.cache`; `$OMNIREWARD_CACHE_GB` gigabytes.
    None too, with a warning, where others could have written what is there.

    Raises:
        RecipeError: `$OMNIREWARD_CACHE_GB` is no number.
    """
    given = os.environ.get(SIZE, "").strip()
    try:
        limit = int(float(given or DEFAULT_GB) * 1e9)
    except (ValueError, OverflowError) as error:
        raise RecipeError(
            f"{SIZE} is {given!r}; it must be a number of gigabytes, such as {DEFAULT_GB:g}, or 0 to keep nothing."
        ) from error
    if limit <= 0:
        return None
    place = os.environ.get(PLACE, "").strip()
    base = os.environ.get("XDG_CACHE_HOME", "").strip()
    try:
        folder = Path(place).expanduser() if place else Path(base if base.startswith("/") else "~/.cache").expanduser()
    except RuntimeError:  # nobody's home
        return None
    folder = (folder if place else folder / "omnireward").absolute() / "features"
    return FeatureStore(folder, limit) if _is_mine(folder) else None


def _is_mine(folder: Path) -> bool:
    """Whether a folder is this user's and nobody else may write there, or is yet to be made. Warns once where not."""
    try:
        told = folder.stat()
    except OSError:
        return True  # it will be made for this user alone; where it cannot be reached, writing says so
    if told.st_uid == os.geteuid() and not told.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return True
    if folder not in _refused:
        _refused.add(folder)
        _log.warning(
            "features of media are not kept in %s, because it is another user's or others may write there, and who "
            "writes there can change rewards. Make it yours alone (chmod 700), or name another folder in %s; with %s=0 "
            "nothing is kept on disk.",
            *(folder, PLACE, SIZE),
        )
    return False


def _remove(path: Path, error: DamagedShardError) -> None:
    _log.warning("a damaged file of kept features is removed: %s", error)
    with suppress(OSError):
        path.unlink()


_refused: set[Path] = set()
_forked: weakref.WeakSet[Space] = weakref.WeakSet()


def _after_fork() -> None:
    for each in list(_forked):
        each._after_fork()


os.register_at_fork(after_in_child=_after_fork)
