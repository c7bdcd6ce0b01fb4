"""Bodies of requests: strict JSON, few bytes, in little time; and what a refusal is."""

from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from starlette.requests import Request

MOST_BYTES, SECONDS = 256 * 1024, 30.0
DEEPEST = 16  # lists and objects inside each other


class RequestError(Exception):
    """A request that is refused; `status` is that of HTTP."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


async def read_json(request: Request) -> dict[str, Any]:
    """The JSON object that a request's body is. Bytes are counted as they come, whatever Content-Length says.

    Raises:
        RequestError: too large (413), too slow (408), broken off or not such an object (400).
    """
    from starlette.requests import ClientDisconnect

    body = bytearray()
    try:
        async with asyncio.timeout(SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MOST_BYTES:
                    raise RequestError(f"the body is larger than {MOST_BYTES:,} bytes.", 413)
    except TimeoutError as error:
        raise RequestError(f"the body took longer than {SECONDS:g} seconds.", 408) from error
    except ClientDisconnect as error:
        raise RequestError("the body broke off.") from error
    return parse(bytes(body))


def parse(body: bytes) -> dict[str, Any]:
    """Strict JSON, an object, without half surrogate pairs.

    >>> parse(b'{"a": [1, "b"]}')
    {'a': [1, 'b']}

    Raises:
        RequestError: anything else (400).
    """
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_not_finite, parse_float=_finite)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except RecursionError as error:
        raise RequestError("too many lists and objects inside each other.") from error
    except ValueError as error:  # also: not UTF-8, half a surrogate pair, an integer of thousands of digits
        raise RequestError(f"the body is not JSON: {error}.") from error
    if not isinstance(value, dict):
        raise RequestError("the body must be a JSON object.")
    level: list[object] = [value]
    for _ in range(DEEPEST):
        level = [
            below
            for one in level
            if isinstance(one, dict | list)
            for below in (one.values() if isinstance(one, dict) else one)
        ]
    if level:
        raise RequestError(f"more than {DEEPEST} lists and objects inside each other.")
    return value


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        _not_finite(digits[:40])
    return number


def _not_finite(name: str) -> NoReturn:
    raise RequestError(f"{name} is not JSON.")
