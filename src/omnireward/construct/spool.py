"""Lines come in any order and go out sorted, in memory that depends neither on their number nor on their length."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from pathlib import Path

MOST_RUNS = 200  # files that are open at once; more are merged into one, as often as it takes
RUN_BYTES = 32 * 2**20  # text sorted in memory at once; a gigabyte of lines is then 32 files


class Spool:
    """An external sort. Add everything, then iterate once.

    Args:
        folder: an existing folder for temporary files, which whoever made it removes.
        run_bytes: about how much text is held.
    """

    def __init__(self, folder: Path, run_bytes: int = RUN_BYTES) -> None:
        self._folder, self._limit = folder, run_bytes
        self._held: list[tuple[str, str]] = []
        self._bytes = 0
        self._runs: list[Path] = []
        self._written = 0

    def add(self, key: str, line: str) -> None:
        """Add a line, with its newline; lines come out by key, which has no tab. Raises OSError."""
        self._held.append((key, line))
        self._bytes += len(key) + len(line) + 200  # of what Python keeps beside the text
        if self._bytes >= self._limit:
            self._write()

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """Keys and lines, sorted. Raises OSError."""
        self._write()
        return heapq.merge(*map(_read, self._runs))

    def _write(self) -> None:
        if not self._held:
            return
        self._run(sorted(self._held))
        self._held, self._bytes = [], 0
        if len(self._runs) >= MOST_RUNS:
            merged, self._runs = self._runs, []
            self._run(heapq.merge(*map(_read, merged)))
            for path in merged:
                path.unlink()

    def _run(self, lines: Iterable[tuple[str, str]]) -> None:
        path = self._folder / f"run-{self._written}.tsv"
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(f"{key}\t{line}" for key, line in lines)
        self._runs.append(path)
        self._written += 1


def _read(path: Path) -> Iterator[tuple[str, str]]:
    with path.open(encoding="utf-8", newline="\n") as file:
        for text in file:
            key, _, line = text.partition("\t")
            yield key, line
