"""Media of requests: bytes in the request, or an upload; URLs only of hosts that were allowed. Never a local path.

Whatever comes, a `Media` made here holds bytes, so nothing that a request says can name a file of this machine.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

from omnireward.serve.asking import RequestError
from omnireward.types import Media, MediaKind

MIB = 2**20
UPLOAD = "upload:"
_DATA_URL = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w.+-]+=[\w.+-]+)*;base64,", re.ASCII)
_ID = re.compile(r"[\w-]{32}", re.ASCII)


class OverloadedError(RequestError):
    """Too much is under way; the same request may work later."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, status=429)


@dataclass(frozen=True, slots=True)
class Upload:
    """Bytes that were sent ahead. `until` is a time of `time.monotonic`."""

    id: str
    path: Path
    bytes: int
    until: float


class Uploads:
    """Uploads in a private folder, which ends with `close`. Bounded in sum, each kept for a while.

    Args:
        most_bytes: of one upload.
        most_bytes_kept: of all.
        seconds: how long each is kept.
    """

    def __init__(self, most_bytes: int, most_bytes_kept: int, seconds: float) -> None:
        self.most_bytes, self.most_bytes_kept, self.seconds = most_bytes, most_bytes_kept, seconds
        self._folder = Path(tempfile.mkdtemp(prefix="omnireward-uploads-"))  # mode 0700
        self._kept: dict[str, Upload] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    async def receive(self, chunks: AsyncIterator[bytes]) -> Upload:
        """Write a body down as it comes.

        Raises:
            RequestError: empty, or larger than an upload may be.
            OverloadedError: no room is left until others expire.
        """
        name = secrets.token_urlsafe(24)
        path, size = self._folder / name, 0
        try:
            with path.open("xb") as file:
                async for chunk in chunks:
                    size += len(chunk)
                    self._reserve(len(chunk), size)
                    file.write(chunk)
            upload = Upload(name, path, _at_least_one(size), time.monotonic() + self.seconds)
        except BaseException:  # the client going away, too
            path.unlink(missing_ok=True)
            self._release(size)
            raise
        with self._lock:
            self._kept[name] = upload
        return upload

    def read(self, name: str, field: str) -> bytes:
        """The bytes of an upload.

        Raises:
            RequestError: there is none of that id, or no longer.
        """
        self._expire()
        with self._lock:
            upload = self._kept.get(name) if _ID.fullmatch(name) else None
        try:
            return upload.path.read_bytes() if upload else _gone(field)
        except FileNotFoundError:
            return _gone(field)

    def close(self) -> None:
        """Remove all of them. Twice is harmless."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0
        shutil.rmtree(self._folder, ignore_errors=True)

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
        now = time.monotonic()
        with self._lock:
            old = [upload for upload in self._kept.values() if upload.until <= now]
            for upload in old:
                del self._kept[upload.id]
                self._bytes -= upload.bytes
        for upload in old:
            upload.path.unlink(missing_ok=True)


def _at_least_one(size: int) -> int:
    if not size:
        raise RequestError("the upload is empty; send the bytes of one medium as the body.")
    return size


def _gone(field: str) -> bytes:
    raise RequestError("there is no upload of that id, or it has expired; upload it again.", field=field)


class RequestMedia:
    """The media of one request: an `Inline`.

    Args:
        uploads: where uploads are.
        hold: told of bytes that the request will keep in memory besides its body; raises OverloadedError.
        fetch: a URL's bytes, by URL and field; None where URLs are off.
        most: how many media a request may have.
    """

    def __init__(
        self, uploads: Uploads, hold: Callable[[int], None], fetch: Callable[[str, str], bytes] | None, most: int
    ) -> None:
        self._uploads, self._hold, self._fetch, self._most = uploads, hold, fetch, most
        self._count = 0
        self._known: dict[str, bytes] = {}  # a medium that all responses share is read once

    def base64(self, kind: MediaKind, data: str, field: str) -> Media:
        """Strict: a letter outside the alphabet would otherwise be skipped in silence."""
        self._one_more(field)
        start = found.end() if (found := _DATA_URL.match(data)) else 0
        return Media(kind, self._once(data, lambda: _decoded(data[start:], field)))

    def url(self, kind: MediaKind, url: str, field: str) -> Media:
        """A data URL, ``upload:ID``, or an http(s) URL of an allowed host."""
        if _DATA_URL.match(url):
            return self.base64(kind, url, field)
        self._one_more(field)
        if url.startswith(UPLOAD):
            return Media(kind, self._once(url, lambda: self._uploads.read(url.removeprefix(UPLOAD), field)))
        if not url.startswith(("http://", "https://")):
            raise RequestError(
                "media are given as base64, as a data: URL with ;base64, as upload:ID, or as http(s) URLs of hosts "
                "that the server allows. Paths are never read.",
                field=field,
            )
        fetch = self._fetch
        if fetch is None:
            raise RequestError(
                "this server fetches no URLs. Send the bytes as base64, or POST them to /v1/uploads first.", field=field
            )
        return Media(kind, self._once(url, lambda: fetch(url, field)))

    def _one_more(self, field: str) -> None:
        self._count += 1
        if self._count > self._most:
            raise RequestError(f"a request has at most {self._most} media.", field=field, status=413)

    def _once(self, key: str, read: Callable[[], bytes]) -> bytes:
        if key not in self._known:
            data = read()
            self._hold(len(data))
            self._known[key] = data
        return self._known[key]


def _decoded(data: str, field: str) -> bytes:
    try:
        decoded = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError) as error:  # ValueError: not ASCII
        raise RequestError(f"not base64 ({error}).", field=field) from error
    if not decoded:
        raise RequestError("no bytes; a medium has at least one.", field=field)
    return decoded
