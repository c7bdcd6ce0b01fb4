"""What every request passes: an id, a key, a slot; and what every refusal looks like.

Plain ASGI around the whole app, so no route can be forgotten: what is not unlocked by its path needs a key. A request
is refused before its body is read. Then some of the body is read all the same, after the reply was sent: closing a
connection with unread bytes would reset it, and the client would see a broken pipe instead of the status.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import logging
import re
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from omnireward.listening import is_loopback
from omnireward.serve.asking import OWN_ID, OverloadedError, RequestError
from omnireward.serve.bodies import Share
from omnireward.serve.service import Service

logger = logging.getLogger("omnireward.serve")

OPEN = frozenset({"/livez", "/readyz"})
EXCHANGE = "omnireward.exchange"

_ID = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_LINGER_BYTES, _LINGER_SECONDS = 8 * 2**20, 2.0


@dataclass(slots=True)
class Exchange:
    """One request and its reply, from the first byte to the last.

    `begun` is a time of `time.monotonic`; `read` says that nothing of the body is left.
    """

    id: str
    begun: float
    share: Share
    status: int = 0
    read: bool = False


def exchange_of(request: Request) -> Exchange:
    """What the gate knows of a request."""
    found = request.scope[EXCHANGE]
    assert isinstance(found, Exchange)
    return found


class Gate:
    """The outermost layer.

    Args:
        app: what is behind it.
        service: for keys, slots and counts.
        paths: those that exist, for logs and counts: what a client made up is in neither.
        unlocked: those that need no key.
    """

    def __init__(self, app: ASGIApp, service: Service, paths: frozenset[str], unlocked: frozenset[str] = OPEN) -> None:
        self._app, self._service, self._paths, self._unlocked = app, service, paths, unlocked
        self._keys = [hashlib.sha256(key.encode()).digest() for key in service.keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange: Exchange

        async def hear() -> Message:
            message = await receive()
            exchange.read = message["type"] != "http.request" or not message.get("more_body", False)
            return message

        request = Request(scope, hear)
        own = request.headers.get(OWN_ID, "")
        stated = own or request.headers.get("x-request-id", "")
        name = stated if _ID.fullmatch(stated) else uuid.uuid4().hex
        exchange = Exchange(name, time.monotonic(), self._service.held.share())
        scope[EXCHANGE] = exchange

        async def tell(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                names = (b"x-request-id", OWN_ID.lower().encode()) if own else (b"x-request-id",)
                told = [(name, exchange.id.encode()) for name in names]
                message["headers"] = [*message.get("headers", ()), *told]
            await send(message)

        try:
            await self._pass(request, exchange, tell)
        finally:
            exchange.share.release()
            self._tell(request, exchange)

    async def _pass(self, request: Request, exchange: Exchange, send: Send) -> None:
        counted = False
        try:
            self._check_caller(request)
            if request.method == "POST":
                self._service.slots.take()
                counted = True
            await self._app(request.scope, request.receive, send)
        except RequestError as error:
            if exchange.status:  # the reply has begun: nothing can be said any more
                raise
            await self._refuse(error, exchange, request.receive, send)
        finally:
            if counted:
                self._service.slots.give_back(time.monotonic() - exchange.begun)

    def _check_caller(self, request: Request) -> None:
        # Not request.url: it is put together from the Host header, which says what its sender likes.
        if request.scope["path"] in self._unlocked:
            return
        if not self._keys:
            # Open to this machine. A page of some other site that a browser shows here must not reach it by a name
            # of its own that leads to this address.
            if not _is_local(request.headers.get("host", "")):
                raise RequestError("this server answers to localhost only.", status=421)
            return
        given = request.headers.get("x-api-key", "")
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if not given and scheme.lower() == "bearer":
            given = token.strip()
        digest = hashlib.sha256(given.encode("utf-8", "surrogateescape")).digest()
        # All keys, always: the time says nothing about any of them.
        if not sum(hmac.compare_digest(digest, key) for key in self._keys):
            raise RequestError("an API key is needed: Authorization: Bearer KEY, or X-API-Key: KEY.", status=401)

    async def _refuse(self, error: RequestError, exchange: Exchange, receive: Receive, send: Send) -> None:
        said = {"kind": _KINDS.get(error.status, "request"), "message": str(error), "field": error.field}
        body = json.dumps({"error": said, "id": exchange.id}).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        if isinstance(error, OverloadedError):
            headers.append((b"retry-after", str(self._service.slots.retry_after).encode()))
        if error.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        await send({"type": "http.response.start", "status": error.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        await _linger(exchange, receive)
        await send({"type": "http.response.body", "body": b""})

    def _tell(self, request: Request, exchange: Exchange) -> None:
        seconds = time.monotonic() - exchange.begun
        path = request.scope["path"] if request.scope["path"] in self._paths else "other"
        status = exchange.status or 500  # none was sent: a fault, or it was broken off
        self._service.metrics.request(path, status, seconds)
        if path not in OPEN:
            line = {"id": exchange.id, "path": path, "status": status, "seconds": round(seconds, 4)}
            logger.info("%s", json.dumps(line))


_KINDS = {401: "key", 408: "slow", 413: "too large", 415: "type", 429: "overloaded", 501: "judge"}


def _is_local(host: str) -> bool:
    """Whether a Host header names this machine.

    >>> [_is_local(host) for host in ("localhost:8000", "127.0.0.1", "[::1]:80", "example.org:8000", "127.0.0.1.a")]
    [True, True, True, False, False]
    """
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    return is_loopback(name.lower())


async def _linger(exchange: Exchange, receive: Receive) -> None:
    """Read what still comes of a body, for a while."""
    size = 0
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            while not exchange.read and size < _LINGER_BYTES:
                size += len((await receive()).get("body", b""))
    except TimeoutError:
        return


def paths_of(routes: Sequence[object]) -> frozenset[str]:
    """The paths of an app's routes."""
    return frozenset(str(getattr(route, "path", "")) for route in routes)
