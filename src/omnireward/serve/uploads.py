"""Media that were sent ahead, in a private folder. Bounded in sum and number, each kept for a while.

The folder may be shared by the replicas of one machine: each counts, expires and, after a restart, finds again what it
received itself, and reads what any of them received. An id names nothing but a file that one of them made there.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice, takewhile
from pathlib import Path

from omnireward.serve.asking import OverloadedError, RequestError
from omnireward.serve.config import MIB, ServeConfig

_ID = re.compile(r"\d{1,4}-[\w-]{32}", re.ASCII)
_UNFINISHED = ".unfinished"
_MOST_KEPT = 100_000  # files of a folder, whatever their size; each costs some hundred bytes of memory besides
_AT_ONCE = 256  # files removed at once, which takes milliseconds, while the event loop may be waiting


@dataclass(frozen=True, slots=True)
class Upload:
    """Bytes that were sent ahead. `until` is a time of `time.time`."""

    id: str
    bytes: int
    until: float


class Uploads:
    """Those of one server, or replica.

    Args:
        most_bytes: of one upload.
        most_bytes_kept: of all that this one receives.
        seconds: how long each is kept.
        folder: where they are kept, which outlives this; one of its own, which does not, when None.
        number: of this replica, among those that share the folder.
    """

    def __init__(
        self, most_bytes: int, most_bytes_kept: int, seconds: float, folder: Path | None = None, number: int = 0
    ) -> None:
        self.most_bytes, self.most_bytes_kept, self.seconds = most_bytes, most_bytes_kept, seconds
        self._own = folder is None
        self._folder = Path(tempfile.mkdtemp(prefix="omnireward-uploads-")) if folder is None else folder  # mode 0700
        self._number = number
        self._lock = threading.Lock()
        found: list[Upload] = []
        for path in self._folder.glob(f"{number}-*"):  # of an earlier process
            if path.name.endswith(_UNFINISHED):
                path.unlink(missing_ok=True)
            elif _ID.fullmatch(path.name):
                status = path.stat()
                found.append(Upload(path.name, status.st_size, status.st_mtime + seconds))
        found.sort(key=lambda one: one.until)  # the next to expire comes first, always
        self._kept = {upload.id: upload for upload in found}
        self._coming = 0
        self._bytes = sum(upload.bytes for upload in self._kept.values())

    @classmethod
    def of(cls, config: ServeConfig, folder: Path | None = None, number: int = 0) -> Uploads:
        """Within the limits of a server."""
        most, most_kept = config.max_upload_mb * MIB, config.max_uploads_mb * MIB
        return cls(most, most_kept, config.upload_seconds, folder, number)

    async def receive(self, chunks: AsyncIterator[bytes]) -> Upload:
        """Write a body down as it comes.

        Raises:
            RequestError: empty, or larger than an upload may be.
            OverloadedError: no room is left until others expire.
        """
        self._begin()
        name = f"{self._number}-{secrets.token_urlsafe(24)}"
        path, size = self._folder / f"{name}{_UNFINISHED}", 0
        with ExitStack() as ending, ExitStack() as undoing:  # also where the client goes away
            ending.callback(self._end)
            undoing.callback(lambda: self._release(size))
            undoing.callback(path.unlink, missing_ok=True)
            with path.open("xb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    self._reserve(len(chunk), size)
                    file.write(chunk)
            if not size:
                raise RequestError("the upload is empty; send the bytes of one medium as the body.")
            with self._lock:
                upload = Upload(name, size, time.time() + self.seconds)
                path.rename(self._folder / name)
                self._kept[name] = upload
            undoing.pop_all()
        return upload

    def read(self, name: str, field: str, hold: Callable[[int], None]) -> bytes:
        """The bytes of an upload; `hold` is told how many they are before they are read.

        Raises:
            RequestError: there is none of that id (410: or no longer); and what `hold` raises.
        """
        if not _ID.fullmatch(name):
            raise RequestError("not the id of an upload, which POST /v1/uploads gives.", field=field)
        self._expire()
        try:
            with open(self._folder / name, "rb", opener=_no_link) as file:  # Path.open takes no opener
                status = os.fstat(file.fileno())
                if status.st_mtime + self.seconds > time.time():  # another replica's may be old
                    hold(status.st_size)
                    return file.read()
        except FileNotFoundError:
            pass
        problem = "there is no upload of that id, or it has expired; upload it again."
        raise RequestError(problem, field=field, status=410)

    def close(self) -> None:
        """Remove all of them, where they are this one's alone. Twice is harmless."""
        if self._own:
            with self._lock:
                self._kept.clear()
                self._bytes = 0
            shutil.rmtree(self._folder, ignore_errors=True)

    def _begin(self) -> None:
        self._expire()
        with self._lock:
            if len(self._kept) + self._coming >= _MOST_KEPT:
                raise OverloadedError(f"{_MOST_KEPT:,} uploads are kept; try again when some have expired.")
            self._coming += 1

    def _end(self) -> None:
        with self._lock:
            self._coming -= 1

    def _reserve(self, added: int, size: int) -> None:
        self._expire()
        with self._lock:
            self._bytes += added  # what receive() releases when it fails
            if size > self.most_bytes:
                raise RequestError(f"an upload has at most {self.most_bytes:,} bytes.", status=413)
            if self._bytes > self.most_bytes_kept:
                raise OverloadedError("no room is left for uploads; try again when others have expired.")

    def _release(self, size: int) -> None:
        with self._lock:
            self._bytes -= size

    def _expire(self) -> None:
        now = time.time()
        with self._lock:
            first = islice(self._kept.values(), _AT_ONCE)  # they are in order: no more are looked at than are removed
            old = list(takewhile(lambda upload: upload.until <= now, first))
            for upload in old:
                del self._kept[upload.id]
                self._bytes -= upload.bytes
        for upload in old:
            (self._folder / upload.id).unlink(missing_ok=True)


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)
