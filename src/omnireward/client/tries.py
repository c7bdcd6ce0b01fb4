"""The course of a call: what is sent to which server, how often, and when; without sending anything itself.

    sent and waited for by a client ◀── Send, or seconds to wait ── course ── Reply, or the error ──◀

Ceilings on tries and time hold for all of a call, uploads and waits with it. Another server is asked at once; the same
one after a wait, which is never shorter than what it asked for.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import httpx

from omnireward import waits
from omnireward.client.replies import check_header, parsed, revision_of
from omnireward.client.servers import Server, Servers
from omnireward.client.wire import Call, Uploaded, upload_call
from omnireward.errors import CallFailedError, CallRefusedError, RecipeError
from omnireward.serve.asking import OWN_ID
from omnireward.types import Media

_AGAIN = (408, 429)
_GONE = 410  # an upload has expired, or the server that kept it began anew
_MOST_BYTES = 32 * 2**20
_SHOWN = 300  # characters of what a server says

Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class CallLimits:
    """How long a call may take, and how often it is tried."""

    timeout: float = 180.0
    """Seconds of one try; more than a server's own deadline, which is 120 unless it was told otherwise."""
    tries: int = 5
    """Most tries of one call."""
    patience: float = 600.0
    """Most seconds of one call, all its tries and waits together."""
    concurrency: int = 16
    """Most calls under way at once, in `ask`."""

    def __post_init__(self) -> None:
        for name in ("tries", "concurrency"):
            if getattr(self, name) < 1:
                raise RecipeError(f"{name} must be at least 1, not {getattr(self, name)}.")
        for name in ("timeout", "patience"):
            if not getattr(self, name) > 0:
                raise RecipeError(f"{name} must be above 0 seconds, not {getattr(self, name)}.")


DEFAULT_LIMITS = CallLimits()


class Send:
    """One request. A client gives what comes of the reply to `take`.

    Attributes:
        url: of the server, with the path.
        call: has the body.
        seconds: for all of it, reply included.
        id: of this try alone; the reply must name it.
    """

    def __init__(self, url: str, call: Call[Any], seconds: float) -> None:
        self.url, self.call, self.seconds, self.id = url, call, seconds, uuid.uuid4().hex
        self._until = time.monotonic() + seconds
        self._chunks: list[bytes] = []
        self._size = 0

    def take(self, chunk: bytes) -> None:
        """A piece of the reply has come. The time is for all pieces together; httpx would give it to each.

        Raises:
            httpx.ReadTimeout: it is over.
            CallFailedError: the reply is too long to be one.
        """
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size > _MOST_BYTES:
            raise CallFailedError(f"{self.call.path}: the server sent a reply of more than {_MOST_BYTES // 2**20} MiB.")
        if time.monotonic() > self._until:
            raise httpx.ReadTimeout("the reply did not end in time")

    def reply(self, response: httpx.Response) -> Reply:
        """The whole of it."""
        return Reply(response.status_code, response.headers, b"".join(self._chunks), response.reason_phrase)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    reason: str


@dataclass(frozen=True, slots=True)
class Task(Generic[Result]):
    """What a caller wants.

    Attributes:
        ahead: media that are uploaded first.
        call: asks for the result, given the ids of uploads.
    """

    ahead: Sequence[Media]
    call: Callable[[Uploaded], Call[Result]]


Course = Generator[Send | float, Reply | httpx.RequestError | None, Result]


class _NoAnswerError(Exception):
    """A try came to nothing, and another may not. `ill` says that the server is at fault, or has too much to do."""

    def __init__(self, reason: str, asked: float = 0.0, *, ill: bool = True) -> None:
        super().__init__(reason)
        self.asked, self.ill = asked, ill


def course(task: Task[Result], limits: CallLimits, servers: Servers) -> Course[Result]:
    """Yields what to send, and seconds to wait; returns the result.

    Raises:
        CallFailedError: there was no answer within the limits, or one that is none.
        CallRefusedError: another try would meet the same.
    """
    until = time.monotonic() + limits.patience
    uploaded: dict[Server, dict[Media, str]] = {}  # each server keeps its own
    for count in range(1, limits.tries + 1):
        visit = servers.take()
        known = uploaded.setdefault(visit.server, {})
        try:
            for media in task.ahead:
                if media not in known:
                    known[media], _ = yield from _answered(upload_call(media), visit.server, limits, until)
            result, revision = yield from _answered(task.call(known), visit.server, limits, until)
            servers.agree(visit, revision)
        except _NoAnswerError as failure:
            if not failure.ill:
                known.clear()
                servers.answered(visit)
            elsewhere = failure.ill and servers.failed(visit, failure.asked)
            wait = 0.0 if elsewhere else max(failure.asked, waits.drawn(count, random.uniform))
            if count == limits.tries or time.monotonic() + wait >= until:
                raise CallFailedError(
                    f"{visit.server.url}: no answer in {count} of {limits.tries} tries and at most "
                    f"{limits.patience:g} s. The last: {failure}. It may work later, or with other limits."
                ) from None
        except CallRefusedError:
            servers.answered(visit)
            raise
        else:
            servers.answered(visit)
            return result
        finally:
            servers.give_back(visit)
        if wait:
            yield wait
    raise AssertionError("the last try raises")


def _answered(call: Call[Result], server: Server, limits: CallLimits, until: float) -> Course[tuple[Result, str]]:
    """The result, and the revision of the model that gave it, which an upload has none of."""
    send = Send(server.url + call.path, call, min(limits.timeout, max(0.001, until - time.monotonic())))
    reply = yield send
    assert reply is not None
    if isinstance(reply, httpx.RequestError):
        raise _NoAnswerError(f"{type(reply).__name__}: {str(reply)[:_SHOWN]}".removesuffix(": "))
    if reply.status in (200, 201):
        said = parsed(reply.content)
        if not call.scored:  # an `id` in the body is the upload's
            check_header(reply.headers.get(OWN_ID), send.id)
            return call.read(said), ""
        revision = revision_of(said, send.id)
        return call.read(said), revision
    reason = f"HTTP {reply.status}: {_said(reply)}"
    if reply.status == _GONE:
        raise _NoAnswerError(reason, ill=False)
    if reply.status not in _AGAIN and (reply.status < 500 or reply.status == 501):
        raise CallRefusedError(f"{server.url}{call.path}: {reason}. The same request would be refused again.")
    raise _NoAnswerError(reason, waits.retry_after(reply.headers, time.time()) or 0.0)


def _said(reply: Reply) -> str:
    """What a server says about a refusal: JSON of ours, or any text."""
    try:
        said = json.loads(reply.content)["error"]["message"]
    except (ValueError, RecursionError, TypeError, KeyError):
        said = reply.content.decode(errors="replace")
    return " ".join(str(said).split())[:_SHOWN].removesuffix(".") or reply.reason
