"""Parquet files found by their columns, since the names of a repository's files change, and their rows in one count."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from omnireward.errors import SourceError
from omnireward.parquet_files import parquet_files
from omnireward.rows import Row, columns, rows
from omnireward.sources import BadRows


def tables(root: Path, wanted: frozenset[str]) -> tuple[Path, ...]:
    """The Parquet files below a folder that have the columns, in name order.

    Raises:
        SourceError: a Parquet file cannot be read.
    """
    return tuple(path for path in parquet_files(root) if columns(path) >= wanted)


def has_tables(root: Path, wanted: frozenset[str]) -> bool:
    """Whether there is such a file; False also where a file cannot be read."""
    try:
        return bool(tables(root, wanted))
    except SourceError:
        return False


def needed_tables(root: Path, wanted: frozenset[str], benchmark: str) -> tuple[Path, ...]:
    """The Parquet files that have the columns; there must be one.

    Raises:
        SourceError: there is none, or a Parquet file cannot be read.
    """
    found = tables(root, wanted)
    if not found:
        raise SourceError(
            f"{root} holds no {benchmark}: no .parquet file with the columns {', '.join(sorted(wanted))}. Give a "
            "folder with a copy of the repository."
        )
    return found


def numbered_rows(paths: Iterable[Path], root: Path, bad_rows: BadRows) -> Iterator[tuple[int, Row]]:
    """The rows of shards, each with its number over all of them.

    Raises:
        SourceError: as `omnireward.rows.rows`.
    """
    earlier = 0
    for path in paths:
        number = earlier - 1
        for row in rows(path, root, bad_rows):
            number = earlier + row.number
            yield number, row
        earlier = number + 1
