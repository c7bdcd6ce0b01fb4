"""Attention of a packed batch, cut into tiles: what is asked side by side, padded to the largest.

A node's queries see its ancestors' keys and, causally, its own. Keys are gathered for each tile, so ancestors that many
nodes share would be copied for each of them. Siblings are therefore bundled: they ask together, their ancestors' keys
are there once, and a mask keeps siblings apart. What a bundle computes for nobody, each sibling's queries against the
others' keys, is part of what may be wasted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

MOST_KEYS = 65_536  # that one tile gathers, unless a single bundle has more

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tile:
    """Bundles whose attention is computed together, padded to the largest.

    Attributes:
        queries: (bundles, longest) int64, places in the sequence; padding repeats place 0.
        keys: (bundles, longest with ancestors) int64, likewise.
        mask: (bundles, 1, queries, keys) bool, true where a query sees a key; None where plain causal attention is
            right.
    """

    queries: Tensor
    keys: Tensor
    mask: Tensor | None

    def to(self, device: torch.device) -> Tile:
        """The same on another device."""
        mask = None if self.mask is None else self.mask.to(device)
        return Tile(self.queries.to(device), self.keys.to(device), mask)


@dataclass(frozen=True, slots=True)
class Asking:
    """Queries of one node, which are the last of its own keys, and the ancestors' keys before those.

    `parent` is a number that siblings have in common; siblings have the same ancestors.
    """

    parent: int
    queries: Ints
    ancestors: Ints
    own: Ints

    @property
    def area(self) -> int:
        """Queries times keys."""
        return len(self.queries) * (len(self.ancestors) + len(self.own))


Bundle = list[Asking]


def tiles(asking: Sequence[Asking], waste: float) -> tuple[tuple[Tile, ...], Tensor]:
    """Tiles, and where in their outputs, one behind the other with their padding, each query's is.

    Args:
        asking: of all nodes. Together their queries are the numbers from 0.
        waste: share of a bundle's, and of a tile's area that may be computed for nobody.

    Returns:
        The tiles, and (queries,) int64.
    """
    grouped = _grouped(_bundled(asking, waste), waste)
    made = tuple(_tile(bundles) for bundles in grouped)
    order = np.empty(sum(len(one.queries) for one in asking), np.int64)
    start = 0
    for bundles, tile in zip(grouped, made, strict=True):
        for bundle in bundles:
            places = np.concatenate([one.queries for one in bundle])
            order[places] = np.arange(start, start + len(places))
            start += tile.queries.shape[1]
    return made, torch.from_numpy(order)


def _bundled(asking: Sequence[Asking], waste: float) -> list[Bundle]:
    """Siblings in bundles, as many as the waste allows."""
    bundles: list[Bundle] = []
    current: dict[int, int] = {}  # parent -> number of its last bundle
    for one in asking:
        number = current.get(one.parent)
        if number is not None:
            together = [*bundles[number], one]
            queries, keys = _size(together)
            if queries * keys <= (1 + waste) * sum(each.area for each in together):
                bundles[number].append(one)
                continue
        current[one.parent] = len(bundles)
        bundles.append([one])
    return bundles


def _grouped(bundles: Sequence[Bundle], waste: float) -> list[list[Bundle]]:
    """Bundles of like size together."""
    groups: list[list[Bundle]] = []
    sizes: list[tuple[int, int, int]] = []  # of each group: most queries, most keys, area without padding
    for bundle in sorted(bundles, key=_size):
        queries, keys = _size(bundle)
        for g in range(len(groups) - 1, max(len(groups) - 4, -1), -1):
            most_q, most_k, area = sizes[g]
            most_q, most_k, area = max(most_q, queries), max(most_k, keys), area + queries * keys
            count = len(groups[g]) + 1
            if count * most_k <= MOST_KEYS and count * most_q * most_k <= (1 + waste) * area:
                groups[g].append(bundle)
                sizes[g] = most_q, most_k, area
                break
        else:
            groups.append([bundle])
            sizes.append((queries, keys, queries * keys))
    return groups


def _size(bundle: Bundle) -> tuple[int, int]:
    """Queries and keys."""
    return sum(len(one.queries) for one in bundle), len(bundle[0].ancestors) + sum(len(one.own) for one in bundle)


def _tile(bundles: Sequence[Bundle]) -> Tile:
    most_q, most_k = (max(sizes) for sizes in zip(*map(_size, bundles), strict=True))
    queries = np.zeros((len(bundles), most_q), np.int64)
    keys = np.zeros((len(bundles), most_k), np.int64)
    mask = np.zeros((len(bundles), most_q, most_k), bool)
    plain = True
    for i, bundle in enumerate(bundles):
        asked = np.concatenate([one.queries for one in bundle])
        seen = np.concatenate([bundle[0].ancestors, *(one.own for one in bundle)])
        queries[i, : len(asked)], keys[i, : len(seen)] = asked, seen
        plain &= len(bundle) == 1 and len(asked) == len(seen) == most_q == most_k
        _let_see(mask[i], bundle)
    if plain:
        return Tile(torch.from_numpy(queries), torch.from_numpy(keys), None)
    return Tile(torch.from_numpy(queries), torch.from_numpy(keys), torch.from_numpy(mask[:, None]))


def _let_see(mask: npt.NDArray[np.bool_], bundle: Bundle) -> None:
    """Fill in one bundle's (queries, keys)."""
    row, column = 0, len(bundle[0].ancestors)
    for one in bundle:
        count, own = len(one.queries), len(one.own)
        mask[row : row + count, : len(one.ancestors)] = True
        last = np.arange(own - count, own)[:, None]  # a node's queries are the last of its own keys
        mask[row : row + count, column : column + own] = np.arange(own) <= last
        row, column = row + count, column + own
    mask[row:] = mask[row - 1]  # padding sees what the last query does: a row that sees nothing is NaN
