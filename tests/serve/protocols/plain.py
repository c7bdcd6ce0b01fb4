"""A stand-in for a server's media, limits and name: enough to read and write bodies without a server."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from omnireward.serve.asking import RequestError, Route, Served
from omnireward.types import Media, MediaKind

SERVED = Served("tiny", "0123abcd", "request-1", 1_700_000_000)


class PlainInline:
    """Reads base64 and ``data:`` URLs, and notes every URL that it was asked for."""

    def __init__(self) -> None:
        self.urls: list[tuple[MediaKind, str]] = []

    def base64(self, kind: MediaKind, data: str, field: str) -> Media:
        try:
            return Media(kind, base64.b64decode(data.rpartition(",")[2], validate=True))
        except (binascii.Error, ValueError) as error:
            raise RequestError("is not base64.", field=field) from error

    def url(self, kind: MediaKind, url: str, field: str) -> Media:
        self.urls.append((kind, url))
        if url.startswith("data:"):
            return self.base64(kind, url, field)
        return Media(kind, url.encode())


def fractions(reply: object) -> list[float]:
    """All fractions in a reply; counts and indices are whole and of another type."""
    if isinstance(reply, dict):
        return [n for value in reply.values() for n in fractions(value)]
    if isinstance(reply, list):
        return [n for value in reply for n in fractions(value)]
    return [reply] if isinstance(reply, float) else []


def route_ids(pairs: Sequence[tuple[str, Route]]) -> list[str]:
    """Names of tests, for shapes' names with their routes."""
    return [f"{name}{route.path}" for name, route in pairs]
