"""Which files of a folder hold a source's rows, and their samples one row after the other.

Files are known by the columns that they have, because names in a repository change. Unusual: a file of a *published*
name is read whatever its first row looks like, so that a broken first row is reported and does not hide the file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from omnireward.errors import BadRowError
from omnireward.parquet_files import parquet_files
from omnireward.rows import Row, columns, rows
from omnireward.sources import BadRows
from omnireward.types import Media, Sample

Fits = Callable[[frozenset[str]], bool]


def tables(place: Path, fits: Fits) -> tuple[Path, ...]:
    """The Parquet files at or below a place whose columns fit, in name order; hidden folders are passed over.

    Raises:
        SourceError: a Parquet file cannot be read.
    """
    if place.is_file():
        return (place,) if place.suffix == ".parquet" and fits(columns(place)) else ()
    return tuple(path for path in parquet_files(place) if fits(columns(path)))


def lines(place: Path, fits: Fits, published: Collection[str] = ()) -> tuple[Path, ...]:
    """The JSON Lines files of a folder, or the one file, that are published under a name or whose first row fits.

    Args:
        place: a folder, of which only the top is looked at, or a file.
        fits: says whether the names of a first row's fields are the source's.
        published: file names without .jsonl.

    Raises:
        SourceError: a file cannot be read.
    """
    found = [place] if place.is_file() else sorted(place.glob("*.jsonl"))
    found = [path for path in found if path.suffix == ".jsonl" and path.is_file()]
    return tuple(path for path in found if path.stem in published or fits(columns(path)))


def root_of(place: Path) -> Path:
    """The folder below which files are named and media are looked for."""
    return place.parent if place.is_file() else place


def read(
    files: Iterable[Path], root: Path, bad_rows: BadRows, samples: Callable[[Row], Iterable[Sample]]
) -> Iterator[Sample]:
    """The samples of files, lazily; a row that raises BadRowError gives none."""
    for path in files:
        for row in rows(path, root, bad_rows):
            try:
                found = list(samples(row))
            except BadRowError as error:
                bad_rows.add(error)
                continue
            yield from found


def identity(media: Media, root: Path) -> str:
    """What names a medium of one piece: its path below the root, or its content where the row holds it."""
    (piece,) = media.pieces()
    return media.digest() if isinstance(piece, bytes) else piece.relative_to(root).as_posix()
