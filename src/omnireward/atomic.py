"""Write a file whole or not at all, and not at all when it already says the same.

A result that is made again from the same inputs so keeps its bytes and its time stamp, and a reader never sees half a
file.

A folder of several files cannot be replaced in one step where other things live in it too. `published` writes them
beside it, waits until the disk has them, and lets the file come last without which no reader takes the folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TextIO

SAVING = ".saving-"  # how the names of unfinished things begin; whoever starts next may remove them


def write_text(path: Path, text: str) -> None:
    """Make `path` hold `text` in UTF-8, with its folder. Lone surrogates, which untrusted text may hold, are kept."""
    data = text.encode("utf-8", "surrogatepass")
    if path.is_file() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(data)
    fresh.replace(path)


@contextmanager
def whole(path: Path) -> Iterator[TextIO]:
    """A fresh file to write text into, in UTF-8; it takes the place of `path` when the block ends well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    try:
        with fresh.open("w", encoding="utf-8") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def synced(path: Path) -> None:
    """Wait until the disk has a file, or the names in a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def published(folder: Path, first: str, last: str, stale: tuple[str, ...]) -> Iterator[Path]:
    """A fresh folder to write files into; when the block ends they come into `folder`.

    Whenever the process is killed, the power fails or the disk is full, `folder` holds what it held before, or all of
    the new, or lacks `last`.

    Args:
        folder: where the files come; made if it is not there.
        first: the file that comes before all others.
        last: the file that comes when the disk has all others. An old one goes before anything is replaced.
        stale: files of `folder` matched by one of these that were not written again are removed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=SAVING) as temporary:
        fresh = Path(temporary)
        yield fresh
        written = sorted((path.name for path in fresh.iterdir()), key=lambda name: (name == last, name != first, name))
        for name in written:
            synced(fresh / name)
        (folder / last).unlink(missing_ok=True)
        synced(folder)
        for old in {path for pattern in stale for path in folder.glob(pattern)}:
            if old.name not in written:
                old.unlink()
        for name in written:
            if name == last:
                synced(folder)
            (fresh / name).replace(folder / name)
        synced(folder)
