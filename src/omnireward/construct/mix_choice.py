"""How many samples of each source and task a mixture takes.

A cell is one source's samples of one task. Its rate is the weight of its source times that of its task, and says which
share of it is taken relative to the others: weights 1 and 0.5 take all of one source and half of the other, as they do
in training. All shares grow together until the total is reached; a cell stops where it is used up, or where its source
or its task has reached its cap, and the others go on. Nothing is ever taken twice. Without a total, growing stops when
the cell of the highest rate would be whole.

Counted in fractions, so that rounding of floats decides nothing: what is left over by rounding down goes, one each, to
the cells with the largest remainders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

Cell = tuple[str, str]  # source, task


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is asked for: weights, of 1 where none is named, and caps."""

    sources: Mapping[str, float]
    tasks: Mapping[str, float] = field(default_factory=dict)
    source_caps: Mapping[str, int] = field(default_factory=dict)
    task_caps: Mapping[str, int] = field(default_factory=dict)
    total: int | None = None

    def rate(self, cell: Cell) -> Fraction:
        """How fast a cell grows."""
        source, task = cell
        return _exact(self.sources.get(source, 1.0)) * _exact(self.tasks.get(task, 1.0))

    def limits(self, available: Mapping[Cell, int]) -> list[tuple[frozenset[Cell], int]]:
        """Sets of cells, and how many samples they may give together."""
        found = [(frozenset({cell}), count) for cell, count in available.items()]
        found += [(frozenset(c for c in available if c[0] == name), cap) for name, cap in self.source_caps.items()]
        found += [(frozenset(c for c in available if c[1] == name), cap) for name, cap in self.task_caps.items()]
        return found if self.total is None else [*found, (frozenset(available), self.total)]


def quotas(available: Mapping[Cell, int], wishes: Wishes) -> dict[Cell, int]:
    """How many samples each cell gives.

    >>> quotas({("a", "T2T"): 100, ("b", "T2T"): 10}, Wishes({"a": 1.0, "b": 0.5}))
    {('a', 'T2T'): 100, ('b', 'T2T'): 5}
    >>> quotas({("a", "T2T"): 100, ("b", "T2T"): 10}, Wishes({"a": 1.0, "b": 1.0}, total=11))
    {('a', 'T2T'): 10, ('b', 'T2T'): 1}
    """
    rates = {cell: wishes.rate(cell) for cell in sorted(available)}
    limits = wishes.limits(available)
    shares = _filled(available, rates, limits, endless=wishes.total is not None)
    whole = {cell: int(share) for cell, share in shares.items()}
    wanted = round(sum(shares.values()))
    for cell in sorted(shares, key=lambda cell: (whole[cell] - shares[cell], cell)):
        left = wanted - sum(whole.values())
        if left and whole[cell] < shares[cell] and all(_sum(whole, of) < cap for of, cap in limits if cell in of):
            whole[cell] += 1
    return whole


def _filled(
    available: Mapping[Cell, int],
    rates: Mapping[Cell, Fraction],
    limits: list[tuple[frozenset[Cell], int]],
    *,
    endless: bool,
) -> dict[Cell, Fraction]:
    """Exact shares, by letting all cells grow in proportion until each has met a limit."""
    speed = {cell: rate * available[cell] for cell, rate in rates.items()}
    shares = dict.fromkeys(speed, Fraction(0))
    growing = {cell for cell in speed if speed[cell]}
    end = None if endless else 1 / max((rates[cell] for cell in growing), default=Fraction(1))
    at = Fraction(0)
    while growing and (end is None or at < end):
        steps = [
            (cap - sum(shares[cell] for cell in of)) / together
            for of, cap in limits
            if (together := sum((speed[cell] for cell in of & growing), Fraction(0)))
        ]
        step = min(steps) if end is None else min(*steps, end - at)
        for cell in growing:
            shares[cell] += step * speed[cell]
        at += step
        met = [of for of, cap in limits if sum(shares[cell] for cell in of) == cap]
        growing -= frozenset().union(*met)
    return shares


def split_quotas(cells: Mapping[Cell, int], shares: Mapping[str, float]) -> dict[str, dict[Cell, int]]:
    """How many samples of each cell each split may hold; of the largest split, which takes what is left, nothing.

    Rounded over the running sum of cells, so that a split has its share in all to within one, however small cells are.

    >>> split_quotas({("a", "T2I"): 30, ("a", "T2T"): 20}, {"train": 0.9, "test": 0.1})
    {'test': {('a', 'T2I'): 3, ('a', 'T2T'): 2}}
    """
    whole = sum(map(_exact, shares.values()))
    found: dict[str, dict[Cell, int]] = {}
    for name in sorted(shares, key=lambda name: (shares[name], name)):
        if name == rest(shares):
            continue
        share, before, seen = _exact(shares[name]) / whole, 0, 0
        found[name] = {}
        for cell in sorted(cells):
            seen += cells[cell]
            found[name][cell] = round(seen * share) - before
            before += found[name][cell]
    return found


def rest(shares: Mapping[str, float]) -> str:
    """The largest split."""
    return min(shares, key=lambda name: (-shares[name], name))


def _exact(weight: float) -> Fraction:
    return Fraction(repr(weight))  # 0.1 is meant, not the double next to it


def _sum(counts: Mapping[Cell, int], cells: frozenset[Cell]) -> int:
    return sum(counts[cell] for cell in cells)
