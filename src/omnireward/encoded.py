"""One conversation, ready for a model: the noun between preparing and scoring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from omnireward.backbones import Prepared, Row
from omnireward.packing import row_keys
from omnireward.tiling import Ints


@dataclass(frozen=True, slots=True)
class Encoded:
    """One conversation, ready for the model: its token ids, its media cut for the towers, and their digests.

    `kept` holds the embeddings of media that the cache knew, because it may have dropped them before they are used.
    `criterion` is the one under which a reward model reads it; the ids hold it too.
    """

    row: Row
    media: tuple[Prepared, ...]
    digests: tuple[str, ...]
    kept: Mapping[str, Tensor] = field(default_factory=dict)
    criterion: str = ""


def keys_of(encoded: Sequence[Encoded]) -> list[Ints]:
    """For each row, (length,) int64, equal at a place where tokens and media are (see `packing.row_keys`)."""
    lengths = {digest: sum(m.tokens) for one in encoded for digest, m in zip(one.digests, one.media, strict=True)}
    ids, spans = [one.row.ids for one in encoded], [one.row.spans for one in encoded]
    return row_keys(ids, spans, [one.digests for one in encoded], lengths)
