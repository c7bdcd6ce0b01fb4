"""Bodies of requests, from strangers: how many bytes, in how much time, and JSON that means one thing only.

Bytes are counted as they come, whatever Content-Length says. Python's own JSON reader takes NaN, Infinity, numbers too
large for a float and any depth; none of these is taken here. Nothing is ever decompressed.
"""

from __future__ import annotations

import asyncio
import json
import math
import threading
from collections.abc import AsyncIterator, Iterable
from typing import Any, NoReturn

from starlette.requests import ClientDisconnect, Request

from omnireward.serve.asking import OverloadedError, RequestError

DEEPEST = 32  # lists and objects inside each other
MOST_VALUES = 1_000_000  # of one body: a value takes some hundred bytes of memory, and a "[]," only three of the body
MOST_KEYS = 1000  # of one object: no shape has so many, and each that is not known is an error of its own


class Held:
    """Counts the bytes that all requests keep in memory, and refuses more than there is room for."""

    def __init__(self, most: int) -> None:
        self._most, self._now, self._lock = most, 0, threading.Lock()

    def share(self) -> Share:
        """What one request holds."""
        return Share(self)

    def add(self, size: int) -> None:
        """Raises OverloadedError."""
        with self._lock:
            if self._now + size > self._most:
                raise OverloadedError("the server holds as many bytes of requests as it can; try again later.")
            self._now += size

    def remove(self, size: int) -> None:
        """Give back."""
        with self._lock:
            self._now -= size


class Share:
    """What one request holds, until `release`."""

    def __init__(self, held: Held) -> None:
        self._held, self._size = held, 0

    def add(self, size: int) -> None:
        """Raises OverloadedError."""
        self._held.add(size)
        self._size += size

    def release(self) -> None:
        """Give all of it back. Twice is harmless."""
        self._held.remove(self._size)
        self._size = 0


async def chunks(request: Request, most: int, seconds: float) -> AsyncIterator[bytes]:
    """A body as it comes.

    Raises:
        RequestError: larger than `most` bytes (413), not there within `seconds` (408), or broken off (400).
    """
    _refuse_length(request, most)
    loop = asyncio.get_running_loop()
    until, size = loop.time() + seconds, 0
    stream = request.stream()
    while True:
        try:
            async with asyncio.timeout_at(until):
                chunk = await anext(stream, None)
        except TimeoutError as error:
            raise RequestError(f"the body took longer than {seconds:g} seconds.", status=408) from error
        except ClientDisconnect as error:
            raise RequestError("the body broke off.", status=400) from error
        if chunk is None:
            return
        size += len(chunk)
        if size > most:
            _too_large(most)
        yield chunk


def _refuse_length(request: Request, most: int) -> None:
    """What says of itself that it is too large need not be read."""
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated[:20]) > most:
        _too_large(most)


def _too_large(most: int) -> NoReturn:
    raise RequestError(f"the body is larger than {most:,} bytes; POST large media to /v1/uploads first.", status=413)


async def read_json(request: Request, most: int, seconds: float, share: Share) -> dict[str, Any]:
    """The JSON object that a request's body is.

    Raises:
        RequestError: another Content-Type or an encoding (415), as `chunks`, or not such an object (400, 413).
        OverloadedError: no room for it.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise RequestError("the body must be JSON, with Content-Type: application/json.", status=415)
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise RequestError("a body is sent as it is, without Content-Encoding.", status=415)
    body = bytearray()
    async for chunk in chunks(request, most, seconds):
        share.add(len(chunk))
        body += chunk
    return await asyncio.to_thread(parse, body)  # a large one takes its time


def parse(body: bytes | bytearray) -> dict[str, Any]:
    """Strict JSON, an object.

    >>> parse(b'{"a": [1, "b"]}')
    {'a': [1, 'b']}

    Raises:
        RequestError: anything else.
    """
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MOST_VALUES:
        raise RequestError(f"the body has more than {MOST_VALUES:,} values.", status=413)
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_not_finite, parse_float=_finite)
    except RequestError:
        raise
    except RecursionError as error:
        raise RequestError(f"more than {DEEPEST} lists and objects inside each other.", status=400) from error
    except UnicodeDecodeError as error:
        raise RequestError(f"the body is not UTF-8: {error.reason} at byte {error.start}.", status=400) from error
    except ValueError as error:  # an integer of thousands of digits, too
        raise RequestError(f"the body is not JSON: {error}.", status=400) from error
    if not isinstance(value, dict):
        raise RequestError(f"the body must be a JSON object, not {type(value).__name__}.", status=400)
    _check(value)
    return value


def _check(value: object) -> None:
    """Depth, and text that no tokenizer takes. Walks by hand: recursion has the limit that is checked here."""
    level = [value]
    for _ in range(DEEPEST):
        level = [below for one in level for below in _below(one)]
        if not level:
            return
    if any(isinstance(one, dict | list) for one in level):
        raise RequestError(f"more than {DEEPEST} lists and objects inside each other.", status=400)
    for one in level:
        _below(one)


def _below(one: object) -> Iterable[object]:
    """What stands directly in a value; a text is checked, and has nothing in it."""
    if isinstance(one, dict):
        if len(one) > MOST_KEYS:
            raise RequestError(f"an object has more than {MOST_KEYS:,} keys.", status=413)
        return (*one, *one.values())
    if isinstance(one, list):
        return one
    if isinstance(one, str):
        _check_text(one)
    return ()


def _check_text(text: str) -> None:
    if text.isascii():  # at once for base64
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise RequestError(f"a text holds half of a surrogate pair: {text[error.start]!r}.", status=400) from error


def _not_finite(name: str) -> NoReturn:
    raise RequestError(f"{name} is not JSON.", status=400)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise RequestError(f"the number {digits[:40]} is too large.", status=400)
    return number
