"""Whether a call is tried again, and when: ceilings on tries and time, and what a server asks for is kept."""

from __future__ import annotations

import email.utils
import json
import math
import random
import time
from dataclasses import dataclass

import httpx

from omnireward.errors import CallFailedError, CallRefusedError, RecipeError

_AGAIN = (408, 429)
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0  # seconds: the bound before the second try, and the highest
_MOST_BYTES = 32 * 2**20
_SHOWN = 300  # characters of what a server says


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


class Tries:
    """How often a call was tried, and whether it is tried again."""

    def __init__(self, limits: CallLimits, path: str) -> None:
        self._limits, self._path = limits, path
        self._count = 0
        self._until = time.monotonic() + limits.patience
        self._end = 0.0  # of this try
        self._chunks: list[bytes] = []
        self._size = 0

    def begin(self) -> float:
        """Begin a try; the seconds that it may take."""
        self._count += 1
        self._chunks.clear()
        self._size = 0
        seconds = min(self._limits.timeout, max(0.001, self._until - time.monotonic()))
        self._end = time.monotonic() + seconds
        return seconds

    def take(self, chunk: bytes) -> None:
        """A piece of the reply has come. A try's time is for all pieces together; httpx would give it to each.

        Raises:
            httpx.ReadTimeout: the try is over.
            CallFailedError: the reply is too long to be one.
        """
        self._chunks.append(chunk)
        self._size += len(chunk)
        if self._size > _MOST_BYTES:
            raise CallFailedError(f"{self._path}: the server sent a reply of more than {_MOST_BYTES // 2**20} MiB.")
        if time.monotonic() > self._end:
            raise httpx.ReadTimeout("the reply did not end in time")

    @property
    def content(self) -> bytes:
        """The reply's body."""
        return b"".join(self._chunks)

    def broke(self, error: httpx.RequestError) -> float:
        """There was no reply. Seconds to wait before the next try. Raises CallFailedError where there is none."""
        return self._again(f"{type(error).__name__}: {str(error)[:_SHOWN]}".removesuffix(": "), 0.0)

    def refused(self, response: httpx.Response) -> float:
        """The reply is no answer. As `broke`; raises CallRefusedError where another try would meet the same."""
        status = response.status_code
        reason = f"HTTP {status}: {self._said(response)}"
        if status not in _AGAIN and (status < 500 or status == 501):
            raise CallRefusedError(f"{self._path}: {reason}. The same request would be refused again.")
        return self._again(reason, retry_after(response.headers.get("retry-after", ""), time.time()))

    def _said(self, response: httpx.Response) -> str:
        """What a server says about a refusal: JSON of ours, or any text."""
        try:
            said = json.loads(self.content)["error"]["message"]
        except (ValueError, RecursionError, TypeError, KeyError):
            said = self.content.decode(errors="replace")
        return " ".join(str(said).split())[:_SHOWN].removesuffix(".") or response.reason_phrase

    def _again(self, reason: str, asked: float) -> float:
        bound = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (self._count - 1))
        wait = max(asked, random.uniform(0.0, bound))  # drawn, so that clients don't gather
        if self._count >= self._limits.tries or time.monotonic() + wait >= self._until:
            raise CallFailedError(
                f"{self._path}: no answer in {self._count} of {self._limits.tries} tries and at most "
                f"{self._limits.patience:g} s. The last: {reason}. It may work later, or with other limits."
            )
        return wait


def retry_after(value: str, now: float) -> float:
    """Seconds that a server asks to wait: a number, or a date to be compared with `now` (Unix time); 0 if it doesn't.

    >>> retry_after("2.5", 0), retry_after("", 0), retry_after("soon", 0), retry_after("nan", 0)
    (2.5, 0.0, 0.0, 0.0)
    >>> retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 45.0)
    15.0
    """
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - now
        except (ValueError, OverflowError):
            return 0.0
    return max(0.0, seconds) if not math.isnan(seconds) else 0.0
