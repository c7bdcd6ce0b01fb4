"""Which files of a copy of align-anything hold rows, of which config and split, and where their media lie."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path, PurePosixPath

from omnireward.archives import SUFFIXES
from omnireward.datasets._align_anything_shapes import CONFIGS, Shape, config_of, shape_of
from omnireward.datasets._archived_media import ArchivedMedia, Packed
from omnireward.errors import SourceError
from omnireward.media_files import MediaFiles
from omnireward.parquet_files import parquet_files
from omnireward.rows import columns

_VAL = frozenset({"val", "validation", "test"})
_ARCHIVE = re.compile(
    rf"(?P<name>.+)(?P<suffix>{'|'.join(re.escape(s) for s in sorted(SUFFIXES, key=len, reverse=True))})"
    r"(?P<part>\.?(?:part)?[-_]?(?:[0-9]{1,4}|a[a-z]))?"  # up to 26 parts by letters; .gz is none
)


@dataclass(frozen=True, slots=True)
class RowFile:
    """A file of rows; `shape` is None where its columns are of none that is known."""

    path: Path
    config: str
    split: str
    columns: frozenset[str]
    shape: Shape | None


def row_files(place: Path, choice: str) -> list[RowFile]:
    """The files at or below a place, config by config.

    Files whose path names a config are looked for first. Only where there are none do columns alone decide, so that
    a folder of one config can be given.

    Args:
        place: a folder or a file.
        choice: the column of the choice, where it is not the usual one; empty: the usual one.

    Raises:
        SourceError: a Parquet file cannot be read.
    """
    if place.is_file():
        paths = [place]
    else:
        lists = (*place.glob("*.json"), *(path for config in CONFIGS for path in place.glob(f"{config}/*.json")))
        paths = [*parquet_files(place), *sorted(lists)]
    # The folder that is given may be one of the configs' itself.
    base = place.parent if place.is_file() or place.absolute().name in CONFIGS else place
    found = []
    for path in paths:
        config = config_of(PurePosixPath(path.relative_to(base).as_posix()))
        names = _columns(path)
        shape = shape_of(names, config, choice)
        if config or shape:
            found.append(RowFile(path, config or (shape.config if shape else ""), _split(path), names, shape))
    named = [file for file in found if config_of(PurePosixPath(file.path.relative_to(base).as_posix()))]
    return sorted(named or found, key=lambda file: (CONFIGS.index(file.config), file.path))


def archived_media(root: Path, folder: Path) -> ArchivedMedia:
    """The media of a file of rows: beside it, below the root, or in archives beside it, some of them cut into parts."""
    packed = list(_packed(folder))
    homes = dict.fromkeys((folder, root))
    unpacked = [place for one in packed for place in (one.into, one.into / one.into.name)]
    return ArchivedMedia(MediaFiles((*homes, *unpacked)), packed)


def _packed(folder: Path) -> Iterator[Packed]:
    matches = [(match, path) for path in folder.iterdir() if (match := _ARCHIVE.fullmatch(path.name))]
    ordered = sorted(matches, key=lambda one: (one[0]["name"], one[0]["suffix"], _place(one[0]["part"])))
    for (name, _), group in groupby(ordered, key=lambda one: (one[0]["name"], one[0]["suffix"])):
        files = list(group)
        whole = [path for match, path in files if not match["part"]]  # there where somebody joined the parts
        yield Packed(tuple(whole or (path for _, path in files)), folder / name)


def _place(part: str | None) -> tuple[int, str]:
    """Where a part stands among the others: 9 before 10, aa before ab.

    >>> sorted(["10", "9", ".part-aa", None], key=_place)
    [None, '.part-aa', '9', '10']
    """
    mark = (part or "").lstrip(".part-_")
    return (int(mark), "") if mark.isdecimal() else (-1, part or "")


def _columns(path: Path) -> frozenset[str]:
    try:
        return columns(path)
    except SourceError:
        if path.suffix == ".json":  # JSON of something else is no list
            return frozenset()
        raise


def _split(path: Path) -> str:
    words = set(re.split(r"[_\-.]", path.stem))
    return "example" if "example" in words else "val" if words & _VAL else "train"
