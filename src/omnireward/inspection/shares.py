"""Shares with intervals from sums over clusters, so that a million samples need not be in memory."""

from __future__ import annotations

import math

from omnireward.inspection.findings import Share
from omnireward.inspection.store import Store
from omnireward.metrics import FEW_CLUSTERS, Interval, t_quantile, wilson_interval


def clustered_share(store: Store, hit: str, among: str) -> Share:
    """The share of the source's samples for which an SQL condition holds, among those for which another one does.

    The interval is that of `metrics.cluster_interval`.
    """
    query = f"""
        SELECT COUNT(*), SUM(n), SUM(hits), SUM(hits * hits), SUM(hits * n), SUM(n * n)
        FROM (SELECT COUNT(*) AS n, SUM({hit}) AS hits FROM sample WHERE origin = 0 AND {among} GROUP BY cluster)"""
    clusters, total, hits, *products = (value or 0 for value in store.one(query))
    if not clusters:
        return Share(0, 0, None)
    return Share(hits, total, _interval(clusters, total, hits, *products))


def _interval(clusters: int, total: int, hits: int, hits_hits: int, hits_n: int, n_n: int) -> Interval | None:
    if clusters == 1:
        return None
    mean = hits / total
    squares = hits_hits - 2 * mean * hits_n + mean * mean * n_n  # of the residuals hits - mean n
    variance = clusters / (clusters - 1) * max(0.0, squares) / total**2
    if clusters < FEW_CLUSTERS or variance < 1e-12:
        return wilson_interval(min(mean * clusters, clusters), clusters)
    half = t_quantile(clusters - 1) * math.sqrt(variance)
    return max(0.0, mean - half), min(1.0, mean + half)
