"""Media of requests: bytes in the request, or an upload; URLs only of hosts that were allowed. Never a local path.

Whatever comes, a `Media` made here holds bytes, so nothing that a request says can name a file of this machine.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable

from omnireward.serve.asking import RequestError
from omnireward.serve.uploads import Uploads
from omnireward.types import Media, MediaKind

UPLOAD = "upload:"
_DATA_URL = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w.+-]+=[\w.+-]+)*;base64,", re.ASCII)


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
