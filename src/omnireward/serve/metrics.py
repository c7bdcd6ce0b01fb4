"""Counts for a monitoring system, in the text format that Prometheus reads. Nothing here holds content of requests."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)

Labels = tuple[tuple[str, str], ...]


class _Histogram:
    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds, self.counts, self.sum = bounds, [0] * (len(bounds) + 1), 0.0

    def observe(self, value: float) -> None:
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def lines(self, name: str, labels: Labels) -> list[str]:
        found, total = [], 0
        for bound, count in zip((*map(_number, self.bounds), "+Inf"), self.counts, strict=True):
            total += count
            found.append(f"{name}_bucket{_braces((*labels, ('le', bound)))} {total}")
        return [
            *found,
            f"{name}_sum{_braces(labels)} {_number(self.sum)}",
            f"{name}_count{_braces(labels)} {total}",
        ]


class Metrics:
    """What has happened since the start. Threads may tell it at the same time.

    Args:
        gauges: name to a function that says what is now.
    """

    def __init__(self, gauges: Mapping[str, Callable[[], float]]) -> None:
        self._gauges = gauges
        self._lock = threading.Lock()
        self._requests: Counter[Labels] = Counter()
        self._rewards: Counter[Labels] = Counter()
        self._seconds: dict[Labels, _Histogram] = {}
        self._batch_rows, self._batch_seconds = _Histogram(ROWS), _Histogram(SECONDS)

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request was answered. `route` is the path as the server knows it, never as a client spells it."""
        label: Labels = (("route", route),)
        with self._lock:
            self._requests[(*label, ("status", str(status)))] += 1
            self._seconds.setdefault(label, _Histogram(SECONDS)).observe(seconds)

    def rewards(self, outcome: str, count: int) -> None:
        """Rewards were given (``ok``) or not (the kind of the problem)."""
        with self._lock:
            self._rewards[(("outcome", outcome),)] += count

    def batch(self, _requests: int, rows: int, seconds: float) -> None:
        """The model computed a batch."""
        with self._lock:
            self._batch_rows.observe(rows)
            self._batch_seconds.observe(seconds)

    def text(self) -> str:
        """All of it."""
        lines: list[str] = []
        with self._lock:
            _counter(lines, "omnireward_requests_total", "requests answered", self._requests)
            _counter(lines, "omnireward_rewards_total", "rewards given, and those that could not be had", self._rewards)
            _head(lines, "omnireward_request_seconds", "from the first byte to the reply", "histogram")
            for label, histogram in sorted(self._seconds.items()):
                lines += histogram.lines("omnireward_request_seconds", label)
            for name, said, one in (
                ("omnireward_batch_rows", "responses computed together", self._batch_rows),
                ("omnireward_batch_seconds", "time of one batch", self._batch_seconds),
            ):
                _head(lines, name, said, "histogram")
                lines += one.lines(name, ())
        for name, now in sorted(self._gauges.items()):
            _head(lines, f"omnireward_{name}", "now", "gauge")
            lines.append(f"omnireward_{name} {_number(now())}")
        return "\n".join(lines) + "\n"


def _counter(lines: list[str], name: str, said: str, counts: Counter[Labels]) -> None:
    _head(lines, name, said, "counter")
    lines += [f"{name}{_braces(labels)} {count}" for labels, count in sorted(counts.items())]


def _head(lines: list[str], name: str, said: str, kind: str) -> None:
    lines += [f"# HELP {name} {said}", f"# TYPE {name} {kind}"]


def _braces(labels: Labels) -> str:
    """Values are paths and kinds of this server's own: nothing in them needs escaping."""
    return "{" + ",".join(f'{name}="{value}"' for name, value in labels) + "}" if labels else ""


def _number(value: float) -> str:
    return f"{value:.10g}"
