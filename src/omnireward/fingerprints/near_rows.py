"""Compare rows that share a band, many at once, with little in memory.

A band in which very much is alike (a corpus of one sort of drawing) must cost neither memory nor quadratic time: a row
is compared with the 16,384 before it, the nearest by number, and keeps its 64 nearest pairs within its origin and as
many beyond. What has more than that is tied to the others many times over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import numpy.typing as npt

HELD, KEPT = 16_384, 64
_BLOCK = 128  # rows compared at once: 16 MB of differences

Row = tuple[int, int, str, bytes]  # a hash as a signed number, its thing, the thing's origin, all of its hashes


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows in memory, (n,) each."""

    bits: npt.NDArray[np.uint64]
    things: npt.NDArray[np.int64]
    origins: npt.NDArray[np.int64]
    signatures: tuple[bytes, ...]

    def then(self, rows: _Rows) -> _Rows:
        """These and those, without the oldest."""
        return _Rows(
            np.concatenate([self.bits, rows.bits])[-HELD:],
            np.concatenate([self.things, rows.things])[-HELD:],
            np.concatenate([self.origins, rows.origins])[-HELD:],
            (self.signatures + rows.signatures)[-HELD:],
        )


def near_rows(rows: Iterable[Row], kind: str, limit: int) -> Iterator[tuple[int, int, int]]:
    """The near pairs among rows of one band: (smaller thing, larger thing, distance); a pair may come again.

    Args:
        rows: sorted by hash.
        kind: texts are told by bytes of their signatures, all others by bits.
        limit: the largest distance.
    """
    numbers: dict[str, int] = {}
    held: _Rows | None = None
    rows = iter(rows)
    while block := list(islice(rows, _BLOCK)):
        if held is None and len(block) == 1:
            return  # most bands have one row; numpy would take longer than all the rest
        bits, things, origins, signatures = zip(*block, strict=True)
        new = _Rows(
            np.array(bits, np.int64).view(np.uint64),
            np.array(things, np.int64),
            np.array([numbers.setdefault(origin, len(numbers)) for origin in origins], np.int64),
            signatures,
        )
        held = new if held is None else held.then(new)
        yield from _near(new, held, kind, limit)


def _near(new: _Rows, held: _Rows, kind: str, limit: int) -> Iterator[tuple[int, int, int]]:
    """Pairs of a row and one before it; the new rows are the last of those held."""
    distances = _by_bytes(new, held) if kind == "text" else np.bitwise_count(new.bits[:, None] ^ held.bits)
    near = distances <= limit  # one pass over all; what follows looks at rows that are near something
    before = len(held.things) - len(new.things)
    near[:, before:] &= np.tri(len(new.things), k=-1, dtype=bool)
    for row in np.flatnonzero(near.any(axis=1)):
        columns = np.flatnonzero(near[row] & (held.things != new.things[row]))
        columns = columns[np.argsort(distances[row, columns], kind="stable")]
        same = held.origins[columns] == new.origins[row]
        for column in (*columns[same][:KEPT], *columns[~same][:KEPT]):
            distance = int(distances[row, column])
            if kind != "text":
                distance = median_distance(new.signatures[row], held.signatures[column], distance)
            if distance <= limit:
                a, b = sorted((int(new.things[row]), int(held.things[column])))
                yield a, b, distance


def _by_bytes(new: _Rows, held: _Rows) -> npt.NDArray[np.uint8]:
    """(new, held) bytes of the signatures that differ, at most 128; signatures of texts are all of one length."""
    size = len(new.signatures[0])
    known = np.frombuffer(b"".join(held.signatures), np.uint8).reshape(-1, size)
    own = known[len(known) - len(new.things) :]
    return np.stack([(known != signature).sum(axis=1, dtype=np.uint8) for signature in own])


def median_distance(a: bytes, b: bytes, single: int) -> int:
    """How far two things are, by their hashes; `single` where each has one.

    >>> one, other = (np.array(hashes, np.uint64).tobytes() for hashes in ([0, 7, 255], [0, 0, 3]))
    >>> median_distance(one, other, 0)  # 0 to 0, 7 to 3, 255 to 3
    1
    """
    if len(a) == len(b) == 8:
        return single
    short, long = sorted((np.frombuffer(a, np.uint64), np.frombuffer(b, np.uint64)), key=len)
    nearest = np.sort(np.bitwise_count(short[:, None] ^ long).min(axis=1))
    return int(nearest[(len(nearest) - 1) // 2])
