"""Outputs of frozen encoders, kept so that each medium is decoded and encoded once, however many rows show it."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field, replace

from torch import Tensor

from omnireward.backbones import Prepared


@dataclass(slots=True)
class FeatureCache:
    """Embeddings by content digest, the least recently used dropped first; in memory, on the CPU.

    Right only while the towers do not change: the owner empties it when they do.

    Attributes:
        limit: bytes of embeddings to keep.
    """

    limit: int = 2 << 30
    _kept: OrderedDict[str, tuple[Prepared, Tensor]] = field(default_factory=OrderedDict)
    _bytes: int = 0

    def get(self, digest: str) -> tuple[Prepared, Tensor] | None:
        """What was kept for a medium: its `Prepared` without inputs, and its embeddings (tokens, hidden)."""
        if digest not in self._kept:
            return None
        self._kept.move_to_end(digest)
        return self._kept[digest]

    def put(self, digest: str, prepared: Prepared, embeddings: Tensor) -> None:
        """Keep a medium's embeddings; a digest that is there already stays as it is."""
        if digest in self._kept:
            return
        embeddings = embeddings.detach().cpu().clone()  # a view would keep its whole batch alive
        self._kept[digest] = (replace(prepared, inputs=None), embeddings)
        self._bytes += embeddings.nbytes
        while self._bytes > self.limit and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1][1].nbytes

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._kept)
