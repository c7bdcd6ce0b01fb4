"""How long to wait before a call is tried again: what the other side asks for, and a wait of our own that grows."""

from __future__ import annotations

import email.utils
import math
from collections.abc import Callable, Mapping

FIRST, LONGEST = 0.5, 30.0  # seconds: the bound before the second try, and the highest


def drawn(tries: int, uniform: Callable[[float, float], float]) -> float:
    """Seconds to wait after so many tries; drawn, so that callers don't gather."""
    return uniform(0.0, min(LONGEST, FIRST * 2.0 ** min(tries - 1, 16)))


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that the headers ask to wait: a number, or a date to be compared with `now` (Unix time).

    >>> retry_after({"retry-after": "2.5"}, 0), retry_after({"retry-after-ms": "40"}, 0), retry_after({}, 0)
    (2.5, 0.04, None)
    >>> retry_after({"retry-after": "Thu, 01 Jan 1970 00:01:00 GMT"}, 45.0)
    15.0
    >>> [retry_after({"retry-after": value}, 0) for value in ("soon", "inf", "nan")]
    [None, None, None]
    """
    for name, scale in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        value = headers.get(name, "")
        try:
            seconds = float(value) * scale
        except ValueError:
            continue
        return max(0.0, seconds) if math.isfinite(seconds) else None
    try:
        return max(0.0, email.utils.parsedate_to_datetime(headers.get("retry-after", "")).timestamp() - now)
    except (ValueError, OverflowError):
        return None
