"""Counts for a monitoring system, as Prometheus reads them. Nothing here holds content of requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0)


class Metrics:
    """What has happened since the start. Threads may tell it at the same time.

    Args:
        gauges: name to a function that says what is now.
    """

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self, gauges: Mapping[str, Callable[[], float]]) -> None:
        own = self._registry = CollectorRegistry()  # not that of the process: it may have several servers
        self._requests = Counter("omnireward_requests_total", "requests answered", ["route", "status"], registry=own)
        self._rewards = Counter(
            "omnireward_rewards_total", "rewards given, and those that could not be had", ["outcome"], registry=own
        )
        self._seconds = Histogram(
            "omnireward_request_seconds", "from the first byte to the reply", ["route"], registry=own, buckets=SECONDS
        )
        self._closed = Counter(
            "omnireward_connections_closed_total", "too many, a head too late, a reply not read", ["why"], registry=own
        )
        self._batch_rows = Histogram("omnireward_batch_rows", "responses computed together", registry=own, buckets=ROWS)
        self._batch_seconds = Histogram("omnireward_batch_seconds", "time of one batch", registry=own, buckets=SECONDS)
        for name, now in gauges.items():
            Gauge(f"omnireward_{name}", "now", registry=own).set_function(now)

    def request(self, route: str, status: int, seconds: float) -> None:
        """A request was answered. `route` is the path as the server knows it, never as a client spells it."""
        self._requests.labels(route, status).inc()
        self._seconds.labels(route).observe(seconds)

    def reward(self, outcome: str) -> None:
        """A reward was given (``ok``) or not (the kind of the problem)."""
        self._rewards.labels(outcome).inc()

    def closed(self, why: str) -> None:
        """A connection was closed because of its client (``limit``, ``head``, ``reply``)."""
        self._closed.labels(why).inc()

    def batch(self, rows: int, seconds: float) -> None:
        """The model computed a batch."""
        self._batch_rows.observe(rows)
        self._batch_seconds.observe(seconds)

    def text(self) -> bytes:
        """All of it, of the type `content_type`."""
        return generate_latest(self._registry)
