"""Compare rows that share a band, many at once, with little in memory.

A band in which very much is alike (a corpus of one sort of drawing, prompts that begin alike) must cost neither memory
nor quadratic time or room. So a row is compared with the 16,384 before it, the nearest by number, a text with 1,024;
and of the pairs that are found few are kept, such that nothing is lost on the whole. Of each origin a row keeps its 4
nearest. Within its origin it also keeps one with each group that was not tied to the others yet, so what hangs together
by all pairs does so by those that are kept; beyond, one with each row that had nothing near in that origin yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, islice

import numpy as np
import numpy.typing as npt

HELD, KEPT = 16_384, 4
_TEXT = 16  # times as many bytes tell a text, so fewer are held
_LOOKED = 64  # near hashes of which a medium of several is compared as a whole
_BLOCK = 128  # rows compared at once: 16 MB of differences

Row = tuple[int, int, str, bytes]  # a hash as a signed number, its thing, the thing's origin, all of its hashes
_Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows in memory, (n,) each.

    Attributes:
        bits: hashes.
        things: whose they are.
        origins: numbers of the things' origins.
        texts: (128, n) bytes of signatures; of media, (0, n).
        signatures: the same as they came, which media are compared by.
        groups: the same number for what hangs together. Written to.
        met: bits of the other origins in which something near was found. Written to.
    """

    bits: npt.NDArray[np.uint64]
    things: _Ints
    origins: _Ints
    texts: npt.NDArray[np.uint8]
    signatures: tuple[bytes, ...]
    groups: _Ints
    met: _Ints

    def then(self, rows: _Rows, most: int) -> _Rows:
        """These and those, without the oldest."""
        return _Rows(
            np.concatenate([self.bits, rows.bits])[-most:],
            np.concatenate([self.things, rows.things])[-most:],
            np.concatenate([self.origins, rows.origins])[-most:],
            np.concatenate([self.texts, rows.texts], axis=1)[:, -most:],
            (self.signatures + rows.signatures)[-most:],
            np.concatenate([self.groups, rows.groups])[-most:],
            np.concatenate([self.met, rows.met])[-most:],
        )


def near_rows(rows: Iterable[Row], kind: str, limit: int) -> Iterator[tuple[int, int, int]]:
    """The near pairs among rows of one band: (smaller thing, larger thing, distance); a pair may come again.

    Args:
        rows: sorted by hash.
        kind: texts are told by bytes of their signatures, all others by bits.
        limit: the largest distance.
    """
    numbers: dict[str, int] = {}
    group = count()
    held: _Rows | None = None
    rows = iter(rows)
    while block := list(islice(rows, _BLOCK)):
        if held is None and len(block) == 1:
            return  # most bands have one row; numpy would take longer than all the rest
        bits, things, origins, signatures = zip(*block, strict=True)
        size = len(signatures[0]) if kind == "text" else 0  # signatures of texts are all of one length
        new = _Rows(
            np.array(bits, np.int64).view(np.uint64),
            np.array(things, np.int64),
            np.array([numbers.setdefault(origin, len(numbers)) for origin in origins], np.int64),
            np.frombuffer(b"".join(signatures) if size else b"", np.uint8).reshape(len(block), size).T,
            signatures,
            np.array(list(islice(group, len(block))), np.int64),
            np.zeros(len(block), np.int64),
        )
        held = new if held is None else held.then(new, max(HELD // _TEXT, _BLOCK) if kind == "text" else HELD)
        yield from _near(len(block), held, kind, limit)


def _near(new: int, held: _Rows, kind: str, limit: int) -> Iterator[tuple[int, int, int]]:
    """Pairs of a row and one before it; the `new` rows are the last of those held."""
    before = len(held.things) - new
    distances = _by_bytes(held, before) if kind == "text" else np.bitwise_count(held.bits[before:, None] ^ held.bits)
    near = distances <= limit  # one pass over all; what follows looks at rows that are near something
    near[:, before:] &= np.tri(new, k=-1, dtype=bool)
    for number in np.flatnonzero(near.any(axis=1)):
        row, single = before + int(number), distances[number]
        columns = np.flatnonzero(near[number] & (held.things != held.things[row]))
        columns = columns[np.argsort(single[columns], kind="stable")]
        origins = held.origins[columns]
        for origin in range(int(origins.max(initial=-1)) + 1):
            own, far = columns[origins == origin], single
            if kind not in ("text", "image"):  # one near hash of several does not tell
                own, far = _as_a_whole(held, row, own[:_LOOKED], single, limit)
            for column in _chosen(held, row, own):
                a, b = sorted((int(held.things[row]), int(held.things[column])))
                yield a, b, int(far[column])


def _chosen(held: _Rows, row: int, columns: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """Which pairs to keep of a row with the near rows of one origin, nearest first; notes what they tie together."""
    if not len(columns):
        return columns
    mine, theirs = held.origins[row], held.origins[columns[0]]
    if mine != theirs:
        more = columns[held.met[columns] & _bit(mine) == 0]
        held.met[columns] |= _bit(mine)
        held.met[row] |= _bit(theirs)
    elif (groups := held.groups[columns]).min() == groups.max():
        held.groups[row] = groups[0]
        return columns[:KEPT]
    else:
        different, first = np.unique(groups, return_index=True)
        more = columns[first]
        held.groups[np.isin(held.groups, different)] = held.groups[row]
    return np.unique(np.concatenate([columns[:KEPT], more]))


def _bit(origin: np.int64) -> np.int64:
    """Origins beyond the 62nd share one: of theirs, a row keeps its nearest and one more."""
    return np.int64(1) << min(origin, np.int64(62))


def _as_a_whole(
    held: _Rows, row: int, columns: npt.NDArray[np.intp], single: npt.NDArray[np.uint8], limit: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.uint8]]:
    """The rows whose media are near by all their hashes, nearest first, and distances by row."""
    far = single.copy()
    for column in columns:
        far[column] = median_distance(held.signatures[row], held.signatures[column], int(single[column]))
    columns = columns[far[columns] <= limit]
    return columns[np.argsort(far[columns], kind="stable")], far


def _by_bytes(held: _Rows, before: int) -> npt.NDArray[np.uint8]:
    """(new, held) bytes of the signatures that differ, at most 128."""
    # Byte by byte over all rows: four times as fast as row by row.
    return np.stack([(held.texts != own[:, None]).sum(axis=0, dtype=np.uint8) for own in held.texts.T[before:]])


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
