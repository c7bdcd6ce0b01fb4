"""The Parquet files below a folder.

Most sources know their folder by its Parquet files, and a folder that is given without a name is shown to all of them:
inside of `walked_once` each folder is walked once, however many ask. Hidden files and folders are passed over: what is
in them is a download's bookkeeping, or not yet whole.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_walked: ContextVar[dict[Path, tuple[Path, ...]] | None] = ContextVar("walked", default=None)


@contextmanager
def walked_once() -> Iterator[None]:
    """Remember, until the end, what `parquet_files` finds."""
    token = _walked.set({})
    try:
        yield
    finally:
        _walked.reset(token)


def parquet_files(folder: Path) -> tuple[Path, ...]:
    """All of them, in name order. Links to files count, links to folders are not followed."""
    known = _walked.get()
    if known is None:
        return _walk(folder)
    if folder not in known:
        known[folder] = _walk(folder)
    return known[folder]


def _walk(folder: Path) -> tuple[Path, ...]:
    found = []
    for home, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        here = Path(home)
        found += [here / name for name in files if name.endswith(".parquet") and not name.startswith(".")]
    return tuple(path for path in sorted(found) if path.is_file())
