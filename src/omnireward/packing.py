"""Rows that begin alike become one: what they share is computed once, and nothing is padded but attention's tiles.

A batch of rows becomes a tree. A node is a run of tokens that some rows share, a leaf is what a row has alone, and each
node sees its ancestors and itself only. In a causal model a token's state depends on what stands before it, so every
row gets the state that it would get alone: the criterion, the prompt and its media are read once for all responses.
Positions are those of the whole row, so they restart after what is shared.

The plan is indices only. All nodes lie behind one another in one sequence; what works token by token (projections,
MLPs, norms) runs on it without padding. Attention runs in tiles: nodes of like size side by side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

SHORTEST_SHARED = 8  # tokens: sharing fewer costs more in additional tiles than it saves
WASTE = 0.2  # of a tile's area that may be padding

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Node:
    """Tokens `start` to `stop` of row `row`, for itself and all rows that share them; `parent` is a node's number."""

    row: int
    start: int
    stop: int
    parent: int | None


@dataclass(frozen=True, slots=True)
class Tile:
    """Nodes whose attention is computed together, padded to the largest.

    Attributes:
        queries: (nodes, longest) int64, places in the sequence; padding repeats place 0.
        keys: (nodes, longest with ancestors) int64, likewise.
        mask: (nodes, 1, queries, keys) bool, true where a query sees a key; None where plain causal attention is right.
    """

    queries: Tensor
    keys: Tensor
    mask: Tensor | None

    def to(self, device: torch.device) -> Tile:
        """The same on another device."""
        mask = None if self.mask is None else self.mask.to(device)
        return Tile(self.queries.to(device), self.keys.to(device), mask)


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
    """

    starts: Tensor
    rows: Tensor
    columns: Tensor
    last: Tensor
    tiles: tuple[Tile, ...]
    order: Tensor
    last_tiles: tuple[Tile, ...]
    last_order: Tensor

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

    def grow(low: int, high: int, depth: int, parent: int | None) -> None:
        """Nodes for the sorted rows low to high (both included), which share `depth` tokens."""
        if low == high:
            nodes.append(Node(order[low], depth, len(keys[order[low]]), parent))
            return
        shared = min(alike[low:high])
        if shared - depth >= shortest:
            nodes.append(Node(order[low], depth, shared, parent))
            depth, parent = shared, len(nodes) - 1
        first = low
        for i in range(low, high + 1):
            if i == high or alike[i] - depth < shortest:
                grow(first, i, depth, parent)
                first = i + 1

    if keys:
        grow(0, len(keys) - 1, 0, None)
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
    tiles, order = _tiles(places, seen, waste)
    last_tiles, last_order = _tiles([np.array([row]) for row in range(len(keys))], [seen[end] for end in ends], waste)
    return Plan(
        starts=torch.from_numpy(np.cumsum([0, *(len(key) for key in keys)])),
        rows=torch.from_numpy(np.repeat([node.row for node in nodes], [node.stop - node.start for node in nodes])),
        columns=torch.from_numpy(np.concatenate([np.arange(node.start, node.stop) for node in nodes])),
        last=torch.from_numpy(np.array([places[end][-1] for end in ends])),
        tiles=tiles,
        order=order,
        last_tiles=last_tiles,
        last_order=last_order,
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
        added = len(key) - (in_common(keys[i - 1], key) if i > start else 0)
        if i > start and tokens + added > budget:
            ranges.append(range(start, i))
            start, tokens, added = i, 0, len(key)
        tokens += added
    return [*ranges, range(start, len(keys))] if keys else []


def in_common(one: Ints, other: Ints) -> int:
    """How many tokens two rows begin with alike."""
    most = min(len(one), len(other))
    differs = np.flatnonzero(one[:most] != other[:most])
    return int(differs[0]) if len(differs) else most


def _alike(one: Ints, other: Ints) -> int:
    """How many tokens two rows share; fewer than either has, so that each keeps one of its own."""
    return min(in_common(one, other), len(one) - 1, len(other) - 1)


def _tiles(queries: Sequence[Ints], keys: Sequence[Ints], waste: float) -> tuple[tuple[Tile, ...], Tensor]:
    """Tiles, and where in their outputs, padding included, each query's is. Together the queries count from 0."""
    groups: list[list[int]] = []
    size: list[tuple[int, int, int]] = []  # of each group: most queries, most keys, area without padding
    for i in sorted(range(len(queries)), key=lambda i: (len(queries[i]), len(keys[i]))):
        q, k = len(queries[i]), len(keys[i])
        for g in range(len(groups) - 1, max(len(groups) - 4, -1), -1):
            most_q, most_k, area = size[g]
            most_q, most_k, area = max(most_q, q), max(most_k, k), area + q * k
            if most_q * most_k * (len(groups[g]) + 1) <= (1 + waste) * area:
                groups[g].append(i)
                size[g] = most_q, most_k, area
                break
        else:
            groups.append([i])
            size.append((q, k, q * k))
    made = [_tile([queries[i] for i in group], [keys[i] for i in group]) for group in groups]
    order = np.empty(sum(len(query) for query in queries), np.int64)
    start = 0
    for group, tile in zip(groups, made, strict=True):
        for i in group:
            order[queries[i]] = np.arange(start, start + len(queries[i]))
            start += tile.queries.shape[1]
    return tuple(made), torch.from_numpy(order)


def _tile(queries: Sequence[Ints], keys: Sequence[Ints]) -> Tile:
    lengths = np.array([len(each) for each in queries]), np.array([len(each) for each in keys])
    longest_q, longest_k = int(lengths[0].max()), int(lengths[1].max())
    padded_q = np.zeros((len(queries), longest_q), np.int64)
    padded_k = np.zeros((len(queries), longest_k), np.int64)
    for i, (query, key) in enumerate(zip(queries, keys, strict=True)):
        padded_q[i, : len(query)] = query
        padded_k[i, : len(key)] = key
    whole = bool((lengths[0] == longest_q).all() and (lengths[1] == longest_k).all())
    if whole and longest_q == longest_k:
        return Tile(torch.from_numpy(padded_q), torch.from_numpy(padded_k), None)
    # A node's queries are the last of its keys. Padded queries see what the last one does: a row of nothing is NaN.
    place = (lengths[1] - lengths[0])[:, None] + np.minimum(np.arange(longest_q), lengths[0][:, None] - 1)
    mask = np.arange(longest_k) <= place[:, :, None]
    return Tile(torch.from_numpy(padded_q), torch.from_numpy(padded_k), torch.from_numpy(mask[:, None]))
