"""Rows that begin alike become one: what they share is computed once, and nothing is padded but attention's tiles.

A batch of rows becomes a tree. A node is a run of tokens that some rows share, a leaf is what a row has alone, and each
node sees its ancestors and itself only. In a causal model a token's state depends on what stands before it, so every
row gets the state that it would get alone: the criterion, the prompt and its media are read once for all responses.
Positions are those of the whole row, so they restart after what is shared.

The plan is indices only. All nodes lie behind one another in one sequence; what works token by token (projections,
MLPs, norms) runs on it without padding. Attention runs in tiles (see tiling).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from omnireward.tiling import Asking, Ints, Tile, tiles

SHORTEST_SHARED = 8  # tokens: sharing fewer costs more in additional tiles than it saves
WASTE = 0.2  # of a bundle's and of a tile's area (see tiling) that may be computed for nobody
SEEN_PER_TOKEN = 64  # what a row sees is gathered for it: so many of its keys weigh as much as a token of its own


@dataclass(frozen=True, slots=True)
class Node:
    """Tokens `start` to `stop` of row `row`, for itself and all rows that share them; `parent` is a node's number."""

    row: int
    start: int
    stop: int
    parent: int | None


@dataclass(frozen=True, slots=True)
class Plan:
    """A packed batch. With T tokens in the sequence and R rows:

    Attributes:
        starts: (R + 1,) int64, where each row begins when all stand whole one behind the other, and where they end.
        rows, columns: (T,) int64, the row and the place in it that each token is taken from.
        last: (R,) int64, where in the sequence each row's last token is.
        tiles: attention of all tokens.
        order: (T,) int64, where in the tiles' outputs, one behind the other and with their padding, each token's is.
        last_tiles: attention of the rows' last tokens alone: one query for each row, numbered by rows.
        last_order: (R,) int64, likewise.
        paths: for each row (length,) int64, where in the sequence each of its tokens is.
    """

    starts: Tensor
    rows: Tensor
    columns: Tensor
    last: Tensor
    tiles: tuple[Tile, ...]
    order: Tensor
    last_tiles: tuple[Tile, ...]
    last_order: Tensor
    paths: tuple[Tensor, ...]

    def taken(self, tokens: Tensor) -> Tensor:
        """The sequence's share of all rows' tokens, which stand one row behind the other: (T, ...)."""
        return tokens[self.starts[self.rows] + self.columns]

    def filled(self, spans: Sequence[Sequence[tuple[int, int]]]) -> tuple[Tensor, Tensor]:
        """Where embeddings of media go, as two (n,) int64: places in the sequence, and which embeddings go there.

        Embeddings are counted over all rows, one row's behind the other's. `spans` are, for each row, the half-open
        ranges of places that its embeddings fill, in order.
        """
        number = torch.full((int(self.starts[-1]),), -1)
        count = 0
        for start, row in zip(self.starts.tolist(), spans, strict=False):
            for low, high in row:
                number[start + low : start + high] = torch.arange(count, count + high - low)
                count += high - low
        wanted = self.taken(number)
        where = torch.nonzero(wanted >= 0).squeeze(1)
        return where, wanted[where]

    def to(self, device: torch.device) -> Plan:
        """The same on another device."""
        return Plan(
            self.starts.to(device),
            self.rows.to(device),
            self.columns.to(device),
            self.last.to(device),
            tuple(tile.to(device) for tile in self.tiles),
            self.order.to(device),
            tuple(tile.to(device) for tile in self.last_tiles),
            self.last_order.to(device),
            self.paths,  # whoever reads them takes a part of each
        )


def row_keys(
    ids: Sequence[Tensor],
    spans: Sequence[Sequence[tuple[int, int]]],
    digests: Sequence[Sequence[str]],
    lengths: Mapping[str, int],
) -> list[Ints]:
    """For each row, (length,) int64, equal where tokens and media are: token ids, and below 0 places within media.

    Args:
        ids: token ids of each row, (length,) int64.
        spans: of each row, the half-open ranges that its media fill, in order.
        digests: of each row's media, in order.
        lengths: how many places each medium fills.
    """
    first: dict[str, int] = {}
    count = 1
    for digest in dict.fromkeys(digest for row in digests for digest in row):
        first[digest] = count
        count += lengths[digest]
    keys = []
    for row, filled, shown in zip(ids, spans, digests, strict=True):
        key = row.numpy().copy()
        places = np.concatenate([np.arange(start, stop) for start, stop in filled] or [np.empty(0, np.int64)])
        numbers = np.concatenate(
            [np.arange(first[digest], first[digest] + lengths[digest]) for digest in shown] or [places]
        )
        if len(places) == len(numbers):  # or the backbone refuses the row, and says why
            key[places] = -numbers
        keys.append(key)
    return keys


def tree(keys: Sequence[Ints], shortest: int = SHORTEST_SHARED) -> list[Node]:
    """What rows share. Parents come before children; each row is a leaf's, and has at least one token of its own.

    Args:
        keys: for each row, (length,) int64: equal numbers at equal places mean equal tokens and media.
        shortest: fewest tokens worth sharing.

    Raises:
        ValueError: a row without tokens.

    >>> for node in tree([np.array([1, 2, 3, 4]), np.array([1, 2, 3, 5, 6])], shortest=2):
    ...     print(node)
    Node(row=0, start=0, stop=3, parent=None)
    Node(row=0, start=3, stop=4, parent=0)
    Node(row=1, start=3, stop=5, parent=0)
    """
    if any(len(key) == 0 for key in keys):
        raise ValueError(f"row {next(i for i, key in enumerate(keys) if len(key) == 0)} has no tokens.")
    order = sorted(range(len(keys)), key=lambda i: keys[i].tolist())
    alike = [_alike(keys[one], keys[other]) for one, other in pairwise(order)]
    nodes: list[Node] = []

    # Runs of sorted rows, first and last, that share so many tokens, below a node. A stack, because rows that each
    # begin the next one nest as deep as there are rows.
    runs: list[tuple[int, int, int, int | None]] = [(0, len(keys) - 1, 0, None)] if keys else []
    while runs:
        low, high, depth, parent = runs.pop()
        if low == high:
            nodes.append(Node(order[low], depth, len(keys[order[low]]), parent))
            continue
        shared = min(alike[low:high])
        if shared - depth >= shortest:
            nodes.append(Node(order[low], depth, shared, parent))
            depth, parent = shared, len(nodes) - 1
        ends = [i for i in range(low, high) if alike[i] - depth < shortest]
        starts = [low, *(end + 1 for end in ends)]
        runs += [(first, last, depth, parent) for first, last in zip(starts, [*ends, high], strict=True)][::-1]
    return nodes


def plan(keys: Sequence[Ints], shortest: int = SHORTEST_SHARED, waste: float = WASTE) -> Plan:
    """Pack rows. Arguments and errors as for `tree`; `waste` is the share of a tile that may be padding."""
    nodes = tree(keys, shortest)
    places: list[Ints] = []  # of each node, in the sequence
    seen: list[Ints] = []  # by each node: its ancestors and itself
    end = 0
    for node in nodes:
        own = np.arange(end, end + node.stop - node.start)
        places.append(own)
        seen.append(own if node.parent is None else np.concatenate([seen[node.parent], own]))
        end += len(own)
    leaves = {node.row: number for number, node in enumerate(nodes) if node.stop == len(keys[node.row])}
    ends = [leaves[row] for row in range(len(keys))]
    before = [np.empty(0, np.int64) if node.parent is None else seen[node.parent] for node in nodes]
    parents = [-1 if node.parent is None else node.parent for node in nodes]
    asking = [Asking(*each) for each in zip(parents, places, before, places, strict=True)]
    all_tiles, order = tiles(asking, waste)
    last = [replace(asking[end], queries=np.array([row])) for row, end in enumerate(ends)]
    last_tiles, last_order = tiles(last, waste)
    return Plan(
        starts=torch.from_numpy(np.cumsum([0, *(len(key) for key in keys)])),
        rows=torch.from_numpy(np.repeat([node.row for node in nodes], [node.stop - node.start for node in nodes])),
        columns=torch.from_numpy(np.concatenate([np.arange(node.start, node.stop) for node in nodes])),
        last=torch.from_numpy(np.array([places[end][-1] for end in ends])),
        tiles=all_tiles,
        order=order,
        last_tiles=last_tiles,
        last_order=last_order,
        paths=tuple(torch.from_numpy(seen[end]) for end in ends),
    )


def cut(keys: Sequence[Ints], budget: int) -> list[range]:
    """Rows spread over passes in their order, each of at most `budget` tokens, or one row.

    What a row shares with the row before it is not counted again, so rows of one prompt should stand together.

    >>> cut([np.array([1, 2, 3]), np.array([1, 2, 4]), np.array([5, 6])], budget=4)
    [range(0, 2), range(2, 3)]
    """
    ranges: list[range] = []
    start, tokens = 0, 0
    for i, key in enumerate(keys):
        added = weight(key, keys[i - 1] if i > start else None)
        if i > start and tokens + added > budget:
            ranges.append(range(start, i))
            start, tokens, added = i, 0, len(key)
        tokens += added
    return [*ranges, range(start, len(keys))] if keys else []


def weight(key: Ints, before: Ints | None) -> int:
    """Tokens that a row adds to a pass behind another row: those that the other lacks, or more for what it sees.

    >>> weight(np.arange(10), np.arange(7)), weight(np.arange(640), np.arange(640)), weight(np.arange(10), None)
    (3, 10, 10)
    """
    if before is None:
        return len(key)
    return max(len(key) - in_common(before, key), -(-len(key) // SEEN_PER_TOKEN))


def in_common(one: Ints, other: Ints) -> int:
    """How many tokens two rows begin with alike."""
    most = min(len(one), len(other))
    differs = np.flatnonzero(one[:most] != other[:most])
    return int(differs[0]) if len(differs) else most


def _alike(one: Ints, other: Ints) -> int:
    """How many tokens two rows share; fewer than either has, so that each keeps one of its own."""
    return min(in_common(one, other), len(one) - 1, len(other) - 1)
