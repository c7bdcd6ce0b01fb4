"""What bounds connections: how many there are, how long a request's head takes, and how long a client takes to read.

    connected ──▶ head ──▶ the app, which bounds the body ──▶ reply ──▶ idle, bounded by uvicorn ──▶ the next head
        └ head_seconds ┘                                   └ reply_seconds ┘              └ head_seconds ┘

uvicorn bounds none of these. A client that sends its head byte by byte keeps a connection as long as it likes; one that
does not read keeps its reply in memory, and, where its next request waits for that, a place in the queue, too.

Unusual: h11 reads requests, also where httptools is installed, which uvicorn would then take. One parser, which says at
any time whether a head is there, is enough: it takes a fraction of a millisecond, and a reward many.
"""

from __future__ import annotations

import asyncio
import json
import resource
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from omnireward.errors import RecipeError

Why = Literal["limit", "head", "reply"]
"""Why a connection was closed: too many, a head too late, a reply not read."""

BACKLOG = 2048  # connections that the system takes before the server does
_RETRY_AFTER = 1  # seconds
_MOST_PIECES, _USUAL_PIECE = 10_000, 1024  # of a body: so many, and one more for each 1024 bytes
_LINGER_SECONDS = 0.5
_MOST_LINGERING = 128
_OTHER_FILES = 256  # libraries, the decoders' pipes, the log


@dataclass(frozen=True, slots=True)
class Bounds:
    """What connections may take.

    Attributes:
        most: connections at once.
        head_seconds: from the first moment of a connection, or the first byte of a later request, to the end of its
            head; and for what is left of a body when its request has been answered.
        reply_seconds: in which a client must have taken a reply.
        tell: told why a connection was closed.
    """

    most: int
    head_seconds: float
    reply_seconds: float
    tell: Callable[[Why], None]


def bounded(bounds: Bounds) -> type[asyncio.Protocol]:
    """The protocol for ``uvicorn.Config(http=...)``."""
    return type("Bounded", (_Connection,), {"bounds": bounds, "lingering": set()})


def make_room(connections: int, requests: int) -> None:
    """Let this process open as many files as it may need; many systems allow 1024 unless asked for more.

    Args:
        connections: at once.
        requests: at once; each may have an upload and a URL open.

    Raises:
        RecipeError: the system does not allow enough for the connections.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + BACKLOG + 2 * requests + _OTHER_FILES
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if allowed < connections + _OTHER_FILES:
        raise RecipeError(
            f"{connections:,} connections and {_OTHER_FILES} other files are more than the {hard:,} files that this "
            "process may open; lower max_connections, or raise `ulimit -n`."
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, allowed), hard))


class _Clock:
    """Calls back once, some seconds after it was started, unless it was stopped. Starting it again changes nothing."""

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, late: Callable[[], None]) -> None:
        self._loop, self._seconds, self._late = loop, seconds, late
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._late)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class _Parser(h11.Connection):
    """h11, which takes some microseconds for each chunk of a body: a quarter of a MiB of chunks of one byte each, which
    is read at once, would keep everybody waiting for half a second. Clients send kilobytes at a time.
    """

    pieces = size = 0

    def next_event(self) -> Any:
        event = super().next_event()
        if isinstance(event, h11.Request):
            self.pieces = self.size = 0
        elif isinstance(event, h11.Data):
            self.pieces += 1
            self.size += len(event.data)
            if self.pieces > _MOST_PIECES + self.size // _USUAL_PIECE:
                raise h11.RemoteProtocolError("a body in too many small pieces")
        return event


class _Connection(H11Protocol):
    """One connection. Whatever it does, one of the clocks runs, or uvicorn's own, or the app's."""

    bounds: ClassVar[Bounds]
    lingering: ClassVar[set[_Refusal]]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn = _Parser(h11.SERVER)
        self._head = _Clock(self.loop, self.bounds.head_seconds, self._late_head)
        self._reply = _Clock(self.loop, self.bounds.reply_seconds, self._late_reply)

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        if len(self.connections) >= self.bounds.most:
            self.bounds.tell("limit")
            _Refusal(self.loop, transport, self.lingering)
            return
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # hear of every byte that the client has not taken
        self._head.start()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head.stop()
        self._reply.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.trailing_data[0]:  # a part of the next request; without, the connection is idle
            self._watch()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._reply.start()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._reply.stop()

    def send_400_response(self, msg: str) -> None:
        """What is not HTTP. Also in the midst of a reply, where uvicorn's own fails."""
        self._refuse(400, "request", msg)

    def _watch(self) -> None:
        """Something came: unless a request is being answered, it is a part of a head, or nobody's any more."""
        if self.transport.is_closing() or (self.cycle is not None and not self.cycle.response_complete):
            self._head.stop()
        else:
            self._head.start()

    def _late_head(self) -> None:
        self.bounds.tell("head")
        self._unset_keepalive_if_required()
        # A client that has sent nothing may be sending a request now; it would take a 408 for the answer to it.
        if self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._refuse(408, "slow", f"the request's head took longer than {self.bounds.head_seconds:g} seconds.")
        self.transport.close()

    def _late_reply(self) -> None:
        self.bounds.tell("reply")
        self.transport.abort()  # close() would go on waiting

    def _refuse(self, status: int, kind: str, message: str) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # its app must say nothing any more
            self.cycle.message_event.set()
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            headers, body = _refusal(kind, message)
            head = h11.Response(status_code=status, headers=headers, reason=STATUS_PHRASES[status])
            # The reply to a HEAD has no body. `scope` may still be an earlier request's, where this one was no HTTP.
            bare = self.conn.our_state is h11.SEND_RESPONSE and self.scope["method"] == "HEAD"
            said = (head, h11.EndOfMessage()) if bare else (head, h11.Data(data=body), h11.EndOfMessage())
            for event in said:
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()


class _Refusal(asyncio.Protocol):
    """Says 503 and closes, when the client has closed or at once.

    Closing before the client's request was read resets the connection, and some clients then do not see the 503. So a
    moment is waited for them, but only for so many that those who do not close cannot use up what the process may open.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, lingering: set[_Refusal]) -> None:
        self._lingering = lingering
        transport.set_protocol(self)
        headers, body = _refusal("overloaded", "the server has as many connections as it takes; try again later.")
        headers.append((b"retry-after", b"%d" % _RETRY_AFTER))
        lines = [b"HTTP/1.1 503 Service Unavailable", *(b"%s: %s" % header for header in headers), b"", body]
        transport.write(b"\r\n".join(lines))
        if len(lingering) >= _MOST_LINGERING:
            transport.close()
            return
        lingering.add(self)
        transport.write_eof()
        self._end = loop.call_later(_LINGER_SECONDS, transport.abort)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        if self in self._lingering:
            self._lingering.remove(self)
            self._end.cancel()


def _refusal(kind: str, message: str) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Headers and body, in the form of every refusal."""
    name = uuid.uuid4().hex
    body = json.dumps({"error": {"kind": kind, "message": message, "field": ""}, "id": name}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", name.encode()),
        (b"connection", b"close"),
    ]
    return headers, body
