"""What is kept, what is dropped first, and that nothing larger than its own numbers stays in memory."""

from __future__ import annotations

import torch

from omnireward.backbones import Prepared
from omnireward.feature_cache import FeatureCache

PREPARED = Prepared("vision", (torch.ones(3, 14, 14),), ((1, 1),), (2,), "v")


def _embeddings(value: float) -> torch.Tensor:
    """32 bytes: (2, 4) float32."""
    return torch.full((2, 4), value)


def _filled(limit: int, *digests: str) -> FeatureCache:
    cache = FeatureCache(limit=limit)
    for number, digest in enumerate(digests):
        cache.put(digest, PREPARED, _embeddings(float(number)))
    return cache


def _known(cache: FeatureCache, digests: str) -> str:
    return "".join(digest for digest in digests if cache.get(digest) is not None)


def test_embeddings_come_back_and_inputs_do_not() -> None:
    cache = _filled(1000, "x")
    found = cache.get("x")
    assert found is not None
    prepared, embeddings = found
    assert prepared == Prepared("vision", None, PREPARED.sizes, PREPARED.tokens, PREPARED.pattern)
    assert torch.equal(embeddings, _embeddings(0.0))
    assert cache.get("y") is None


def test_the_least_recently_used_is_dropped_first() -> None:
    """Three of 32 bytes fit into 96. `a` was used after `b`, so a fourth pushes `b` out."""
    cache = _filled(96, *"abc")
    cache.get("a")
    cache.put("d", PREPARED, _embeddings(9.0))
    assert len(cache) == 3
    assert _known(cache, "abcd") == "acd"


def test_room_is_made_by_bytes_not_by_number() -> None:
    """80 bytes hold two of 32; one of 64 then leaves room for none of them."""
    cache = _filled(80, *"ab")
    cache.put("c", PREPARED, torch.zeros(4, 4))
    assert _known(cache, "abc") == "c"


def test_what_is_larger_than_the_cache_is_kept_until_the_next_comes() -> None:
    cache = _filled(16, "a")
    assert _known(cache, "a") == "a"
    cache.put("b", PREPARED, _embeddings(1.0))
    assert _known(cache, "ab") == "b"


def test_putting_again_changes_and_counts_nothing() -> None:
    cache = _filled(64, *"ab")
    for _ in range(5):
        cache.put("a", PREPARED, _embeddings(7.0))
    assert _known(cache, "ab") == "ab"
    found = cache.get("a")
    assert found is not None
    assert torch.equal(found[1], _embeddings(0.0))


def test_what_is_kept_stands_alone() -> None:
    """A view would keep its whole batch in memory, and a gradient its whole graph."""
    batch = torch.arange(80.0).view(10, 2, 4).requires_grad_()
    cache = FeatureCache()
    cache.put("x", PREPARED, batch[3] * 1.0)
    cache.put("y", PREPARED, batch.detach()[3])
    with torch.no_grad():
        batch.zero_()
    for digest in "xy":
        found = cache.get(digest)
        assert found is not None
        assert not found[1].requires_grad
        assert found[1].untyped_storage().nbytes() == 32
        assert found[1].tolist() == [[24.0, 25.0, 26.0, 27.0], [28.0, 29.0, 30.0, 31.0]]


def test_clearing_forgets_everything_and_makes_room() -> None:
    cache = _filled(64, *"ab")
    cache.clear()
    assert len(cache) == 0
    for digest in "cd":
        cache.put(digest, PREPARED, _embeddings(1.0))
    assert _known(cache, "abcd") == "cd"
