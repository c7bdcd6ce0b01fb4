"""Intervals from sums against those from all samples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from omnireward.inspection.shares import clustered_share
from omnireward.inspection.store import Store
from omnireward.metrics import cluster_interval


@pytest.mark.parametrize(("samples", "clusters", "share"), [(200, 40, 0.3), (50, 3, 0.5), (30, 30, 0.0), (9, 1, 0.5)])
def test_equals_the_interval_over_all_samples(tmp_path: Path, samples: int, clusters: int, share: float) -> None:
    rng = np.random.default_rng(1)
    members = [f"c{n}" for n in rng.integers(0, clusters, samples)]
    ties = rng.random(samples) < share
    with Store(tmp_path / "store") as store:
        for number, (cluster, tie) in enumerate(zip(members, ties, strict=True)):
            said = "tie" if tie else "a"
            store.add("sample", number, 0, b"id", "T2T", cluster.encode(), said, None, b"", 0, 0)
        store.add("sample", samples, 1, b"id", "T2T", b"other origin", "tie", None, b"", 0, 0)
        store.finish()
        found = clustered_share(store, "preference = 'tie'", "1")
        nothing = clustered_share(store, "preference = 'tie'", "preference = 'b'")
    assert (found.count, found.total) == (ties.sum(), samples)
    assert found.interval == (pytest.approx(cluster_interval(ties, members)) if clusters > 1 else None)
    assert (nothing.total, nothing.value, nothing.interval) == (0, None, None)
