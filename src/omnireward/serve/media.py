"""Media of requests: bytes in the request, or an upload; URLs only of hosts that were allowed. Never a local path.

Whatever comes, a `Media` made here holds bytes, so nothing that a request says can name a file of this machine. Bytes
are counted before they are there: of many requests that name one large upload, each would hold it, refused or not.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from typing import Protocol

from omnireward.serve.asking import RequestError
from omnireward.serve.uploads import Uploads
from omnireward.types import Media, MediaKind

UPLOAD = "upload:"
_DATA_URL = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w.+-]+=[\w.+-]+)*;base64,", re.ASCII)


class Fetch(Protocol):
    """Fetches a URL, as `Fetcher` does."""

    def __call__(self, url: str, field: str, *, hold: Callable[[int], None]) -> bytes:
        """The bytes at a URL; `hold` is told of them before they are read, or while they come."""
        ...


class RequestMedia:
    """The media of one request: an `Inline`.

    Args:
        uploads: where uploads are.
        hold: told of bytes that the request will keep in memory besides its body; raises OverloadedError.
        fetch: None where URLs are off.
        most: how many media a request may have.
    """

    def __init__(self, uploads: Uploads, hold: Callable[[int], None], fetch: Fetch | None, most: int) -> None:
        self._uploads, self._hold, self._fetch, self._most = uploads, hold, fetch, most
        self._count = 0
        self._known: dict[str, bytes] = {}  # a medium that all responses share is read once

    def base64(self, kind: MediaKind, data: str, field: str) -> Media:
        """Strict: a letter outside the alphabet would otherwise be skipped in silence."""
        self._one_more(field)
        start = found.end() if (found := _DATA_URL.match(data)) else 0
        return Media(kind, self._once(data, lambda: _decoded(data[start:], field, self._hold)))

    def url(self, kind: MediaKind, url: str, field: str) -> Media:
        """A data URL, ``upload:ID``, or an http(s) URL of an allowed host."""
        if _DATA_URL.match(url):
            return self.base64(kind, url, field)
        self._one_more(field)
        if url.startswith(UPLOAD):
            return Media(kind, self._once(url, lambda: self._uploads.read(url.removeprefix(UPLOAD), field, self._hold)))
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
        return Media(kind, self._once(url, lambda: fetch(url, field, hold=self._hold)))

    def _one_more(self, field: str) -> None:
        self._count += 1
        if self._count > self._most:
            raise RequestError(f"a request has at most {self._most} media.", field=field, status=413)

    def _once(self, key: str, read: Callable[[], bytes]) -> bytes:
        if key not in self._known:
            self._known[key] = read()
        return self._known[key]


def _decoded(data: str, field: str, hold: Callable[[int], None]) -> bytes:
    hold(len(data) // 4 * 3 - data[-2:].count("="))
    try:
        decoded = binascii.a2b_base64(data, strict_mode=True)
    except (binascii.Error, ValueError) as error:  # ValueError: not ASCII
        raise RequestError(f"not base64 ({error}).", field=field) from error
    if not decoded:
        raise RequestError("no bytes; a medium has at least one.", field=field)
    return decoded
