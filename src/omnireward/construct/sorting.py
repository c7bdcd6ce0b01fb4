"""Files of JSON lines become one file, sorted by id, in memory that does not depend on how many lines there are."""

from __future__ import annotations

import heapq
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

CHUNK = 50_000  # lines sorted in memory at once
_Keyed = tuple[str, str]  # what is sorted by, the line


def sort_lines(found: Sequence[Path], out: Path, key: str = "id", chunk: int = CHUNK) -> int:
    """Write the lines of several files into one, sorted by a field and then by the line itself.

    Lines that are equal are written once: parts that were run twice say the same. Returns how many were written. `out`
    appears whole, and may be one of the files.

    Raises:
        OSError: a file cannot be read or written.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=".sorting-") as temporary:
        runs: list[Iterator[_Keyed]] = []
        lines = _lines(found, key)
        while part := sorted(islice(lines, chunk)):
            path = Path(temporary) / f"{len(runs)}.jsonl"
            path.write_text("".join(text for _, text in part), encoding="utf-8")
            runs.append(_lines([path], key))
        fresh = Path(temporary) / "sorted"
        with fresh.open("w", encoding="utf-8") as file:
            before, written = "", 0
            for _, text in heapq.merge(*runs):
                if text != before:
                    file.write(text)
                    written += 1
                before = text
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(out)
    return written


def _lines(found: Iterable[Path], key: str) -> Iterator[_Keyed]:
    for path in found:
        with path.open(encoding="utf-8") as file:
            for text in file:
                yield str(json.loads(text)[key]), text
