"""Entries for tests of the feature store: what is kept under a number is decided by the number."""

from __future__ import annotations

import hashlib

import torch

from omnireward.backbones import Prepared
from omnireward.feature_shards import Entry

SPACE = "a" * 64


def digest(number: int) -> str:
    """A digest such as media have."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def entry(number: int, tokens: int = 8) -> Entry:
    """Embeddings of 512 bytes a token: (tokens, 128) float32."""
    values = torch.randn((tokens, 128), generator=torch.Generator().manual_seed(number))
    return Entry(Prepared("vision", None, ((number % 7, 3),), (tokens,), f"pattern {number}"), values)


def same(found: Entry | None, wanted: Entry) -> bool:
    """Whether two entries are equal to the bit, with dtype and shape."""
    if found is None or len(found.tensors) != len(wanted.tensors):
        return False
    told = [(e.prepared.tower, e.prepared.sizes, e.prepared.tokens, e.prepared.pattern) for e in (found, wanted)]
    pairs = list(zip(found.tensors, wanted.tensors, strict=True))
    return told[0] == told[1] and all(a.dtype == b.dtype and torch.equal(a, b) for a, b in pairs)
