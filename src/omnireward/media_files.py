"""A name in a row becomes a media file, or an error.

Rows come from strangers, so a name in a row must not decide which file of the machine is opened: it is resolved below
folders that the user named, and nowhere else. Unusual: the folders themselves may be symbolic links (people keep media
on another disk), and files of a Hub snapshot are links into its `blobs` folder; both are followed, other links out of
the folder are not.
"""

from __future__ import annotations

import os
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PureWindowsPath

from omnireward.errors import OutsideRootError, SourceError
from omnireward.rows import Row

_SHOWN = 500  # characters of a refused name that a message repeats; a row may hold millions


def confined(root: Path, relative: str) -> Path:
    """The file that a name from untrusted data means below a folder. It need not exist.

    Slashes and backslashes both separate, on every system.

    Raises:
        OutsideRootError: the name is empty, absolute, has a drive, ``..`` or a NUL in it, or is a link that leads out.
    """
    name = PureWindowsPath(relative)  # understands / too, so one check covers the names of both worlds
    if not name.parts or name.drive or name.root or ".." in name.parts or "\0" in relative:
        raise OutsideRootError(
            f"{relative[:_SHOWN]!r} is not a path below {root}; only relative paths without '..' are read."
        )
    path = root.joinpath(*name.parts)
    real = Path(os.path.realpath(path))
    if not any(real.is_relative_to(home) for home in _homes(root.absolute())):
        raise OutsideRootError(f"{relative!r} is a link that leads out of {root}, to {real}; it is not followed.")
    return path


@lru_cache(maxsize=256)  # it is asked for every medium of every row
def _homes(root: Path) -> tuple[Path, ...]:
    """An absolute root, and the blobs of the same repository when it lies in a snapshot of the Hub's cache."""
    for folder in (root, *root.parents):
        if folder.parent.name == "snapshots" and (folder.parent.parent / "blobs").is_dir():
            return Path(os.path.realpath(root)), Path(os.path.realpath(folder.parent.parent / "blobs"))
    return (Path(os.path.realpath(root)),)


def as_is(given: str) -> tuple[str, ...]:
    """The one spelling of a path that a row gives."""
    return (given,)


@dataclass(frozen=True, slots=True)
class MediaFiles:
    """Where the media of a source lie.

    Attributes:
        roots: folders to look below, in order; those that do not exist are passed over.
        spellings: the paths to try for one that a row gives, in order.
    """

    roots: Sequence[Path]
    spellings: Callable[[str], Sequence[str]] = as_is

    def find(self, given: str) -> Path:
        """The first existing file.

        Raises:
            OutsideRootError: the name leaves its root (`confined`).
            SourceError: no such file; says what was tried.
        """
        tried = []
        for path in (confined(root, name) for root in self.roots for name in self.spellings(given)):
            tried.append(path)
            try:
                if path.is_file():
                    return path
            except OSError as error:  # such as a name longer than the file system takes
                raise SourceError(f"cannot look for {reprlib.repr(given)}: {error.strerror}.") from error
        raise SourceError(f"there is no file {given!r}. Tried: {', '.join(map(str, dict.fromkeys(tried)))}.")

    def source(self, row: Row, field: str, value: object) -> Path | bytes:
        """What a media cell holds: a path, or a struct of `bytes` and `path` of which the bytes count first.

        Raises:
            BadRowError: neither, or a path that leads nowhere or out of the roots.
        """
        if isinstance(value, Mapping):
            data, value = value.get("bytes"), value.get("path")
            if isinstance(data, bytes) and data:
                return data
        if not isinstance(value, str) or not value:
            raise row.bad(
                field, f"holds no media: neither bytes nor a path, but {reprlib.repr(row.fields.get(field))}."
            )
        try:
            return self.find(row.checked_text(field, value))
        except (OutsideRootError, SourceError) as error:
            raise row.bad(field, str(error)) from error
