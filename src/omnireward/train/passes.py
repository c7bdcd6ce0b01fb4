"""An optimizer step's pairs are spread over forward passes by their tokens, not by their number."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from omnireward.ahead import Response
from omnireward.encoded import Encoded, keys_of
from omnireward.packing import weight
from omnireward.tiling import Ints


def in_passes(
    pairs: Sequence[tuple[Response, Response]],
    rows: Mapping[Response, Encoded],
    budget: int,
    tied: Collection[int] = (),
) -> list[dict[str, Any]]:
    """Pairs spread over passes in their order: what each pass encodes, and which rows of it were chosen and rejected.

    `tied` are the numbers of the pairs of which neither was.

    A pass holds at most `budget` tokens, or one pair. Tokens that a row has in common with the row before are not
    counted again, so samples of one prompt should stand together.
    """
    passes: list[dict[str, Any]] = []
    number: dict[Response, int] = {}
    keys = dict(zip(rows, keys_of(list(rows.values())), strict=True))
    tokens = budget
    for place, pair in enumerate(pairs):
        fresh = [row for row in dict.fromkeys(pair) if row not in number]
        added = _added(fresh, number, keys)
        if tokens + added > budget:
            passes.append({"encoded": [], "chosen": [], "rejected": [], "tied": [], "count": 0})
            number, fresh = {}, list(dict.fromkeys(pair))
            tokens, added = 0, _added(fresh, {}, keys)
        for row in fresh:
            number[row] = len(number)
            passes[-1]["encoded"].append(rows[row])
        tokens += added
        passes[-1]["count"] += 1
        passes[-1]["tied"].append(place in tied)
        for side, row in zip(("chosen", "rejected"), pair, strict=True):
            passes[-1][side].append(number[row])
    return passes


def _added(fresh: Sequence[Response], number: dict[Response, int], keys: Mapping[Response, Ints]) -> int:
    """Tokens that rows add to a pass, less what each has in common with the one before it."""
    before = next(reversed(number), None)
    total = 0
    for row in fresh:
        total += weight(keys[row], None if before is None else keys[before])
        before = row
    return total
