"""Counts by source and task that parts make, and a report adds up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

_BETWEEN = "\t"  # between source, task and what is counted, in JSON
Cell = tuple[str, str]
"""Source and task."""


class Tally:
    """How often what happened, of which source and task."""

    def __init__(self, counts: Mapping[str, int] | None = None) -> None:
        self._counts = Counter(counts or {})

    def add(self, source: str, task: str, what: str, by: int = 1) -> None:
        """Count something."""
        if by:
            self._counts[_BETWEEN.join((source.replace(_BETWEEN, " "), task, what))] += by

    def plus(self, others: Iterable[Mapping[str, int]]) -> Tally:
        """With what other parts have counted."""
        total = Tally(self._counts)
        for other in others:
            total._counts.update(other)
        return total

    def plain(self) -> dict[str, int]:
        """For JSON."""
        return dict(sorted(self._counts.items()))

    def cells(self) -> list[Cell]:
        """Sources and tasks, sorted."""
        return sorted({(source, task) for (source, task, _), _ in self._entries()})

    def of(self, cells: Iterable[Cell]) -> Counter[str]:
        """What happened in some cells together."""
        chosen, found = set(cells), Counter[str]()
        for (source, task, what), count in self._entries():
            if (source, task) in chosen:
                found[what] += count
        return found

    def _entries(self) -> Iterator[tuple[tuple[str, str, str], int]]:
        for key, count in self._counts.items():
            source, task, what = key.split(_BETWEEN)
            yield (source, task, what), count
