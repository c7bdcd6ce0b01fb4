"""The samples that logged rollouts are about: written while training, read again for the page.

``shown/`` is a folder of samples (see `sample_rows`). Unusual: it grows a line at a time, and a sample one of whose
media could not be kept is in it all the same, with ``"error"`` in that part: other readers count it among the bad rows,
the page shows the rest of it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnireward import sample_rows
from omnireward.errors import MediaError
from omnireward.judge_log.lines import append, keep_while
from omnireward.media_store import MediaStore
from omnireward.types import Media, Sample

GONE = "media/not-kept"  # the name of what could not be kept; no such file is ever made
_DIGEST = 16  # bytes that a written sample is remembered by


class ShownSamples:
    """A folder of samples that grows; a sample is written once.

    Args:
        folder: made with the first sample. A torn last line, which a kill may leave, is dropped.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / sample_rows.FILE
        self._store = MediaStore(folder)
        self._written: set[bytes] = set()
        keep_while(self.path, self._remember)

    def forget(self) -> None:
        """Begin with no samples. Media stay: they are named by content, so they are never the wrong ones."""
        self.path.unlink(missing_ok=True)
        self._written.clear()

    def add(self, sample: Sample) -> None:
        """Write a sample and keep its media, unless it was written before. Raises OSError where no line can be."""
        digest = _digest(sample.id)
        if digest in self._written:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        append(self.path, json.dumps(self._row(sample), separators=(",", ":")) + "\n")
        self._written.add(digest)

    def _remember(self, line: bytes) -> bool:
        fields = _fields(line)
        if fields is not None:
            self._written.add(_digest(fields["id"]))
        return fields is not None

    def _row(self, sample: Sample) -> dict[str, Any]:
        problems: list[str] = []

        def keep(media: Media) -> list[str]:
            try:
                names = self._store.keep(media)
            except (OSError, ValueError, MediaError) as error:  # ValueError: a NUL in its name
                problems.append(str(error))
                return [GONE]
            problems.append("")
            return names

        row = sample_rows.to_row(sample, keep)
        for part, problem in zip(_media_parts(row), problems, strict=True):
            if problem:
                part["error"] = problem
        return row


@dataclass(frozen=True, slots=True)
class ShownRow:
    """A sample as it was written, and a digest of the line that it was written in."""

    fields: Mapping[str, Any]
    digest: str


def read_rows(folder: Path, wanted: Container[str], key: Callable[[str], str]) -> dict[str, ShownRow]:
    """The written samples whose `key(id)` is wanted, by that; none where nothing was written."""
    path = folder / sample_rows.FILE
    found: dict[str, ShownRow] = {}
    if path.is_file():
        with path.open("rb") as file:
            for line in file:
                fields = _fields(line)
                if fields is not None and (name := key(fields["id"])) in wanted:
                    found[name] = ShownRow(fields, hashlib.sha256(line).hexdigest())
    return found


def _fields(line: bytes) -> Mapping[str, Any] | None:
    """Of a sample; None where a line is torn or is none."""
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return fields if isinstance(fields, dict) and isinstance(fields.get("id"), str) else None


def _media_parts(row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The media of a row that `sample_rows.to_row` made, in the order in which it keeps them."""
    contents = [*(turn["content"] for turn in row["prompt"]), row["response_a"], row["response_b"]]
    return (part for content in contents for part in content if part["kind"] != "text")


def _digest(sample_id: str) -> bytes:
    return hashlib.sha256(sample_id.encode("utf-8", "surrogatepass")).digest()[:_DIGEST]
