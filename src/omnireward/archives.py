"""A zip of media is unpacked once, beside itself.

What the archive claims is checked before anything is written: how many files, how large, how strongly compressed, and
whether two names collide or a name leaves the folder. Unusual: files are written to a temporary folder that is renamed
at the end, so a folder that exists is complete, also after a crash or when two processes unpack at once.
"""

from __future__ import annotations

import logging
import lzma
import shutil
import stat
import tempfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from omnireward.errors import OutsideRootError, SourceError
from omnireward.media_files import confined

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class UnpackLimits:
    """What an archive may hold. Omni-RewardBench's is 3.5 GB in some ten thousand files.

    Attributes:
        files: number of entries.
        total_bytes: uncompressed, over all files.
        ratio: uncompressed over compressed bytes of one file; media hardly compress, a bomb does by 1000 and more.
    """

    files: int = 200_000
    total_bytes: int = 64 * 2**30
    ratio: float = 100.0


def unpack_zip(archive: Path, into: Path, limits: UnpackLimits | None = None) -> Path:
    """Unpack an archive into a folder, unless that folder exists already; returns the folder.

    Raises:
        SourceError: the archive is broken, over the limits, or cannot be written; nothing is left behind.
        OutsideRootError: an entry's name leaves the folder.
    """
    if into.is_dir():
        return into
    by_hand = f"If you trust it, unpack it yourself: unzip {archive} -d {into}"
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = _checked(opened, into, limits or UnpackLimits(), by_hand)
            _log.info("unpacking %s (%d files) into %s", archive, len(entries), into)
            _extract(opened, entries, into)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError) as error:
        raise SourceError(
            f"{archive} is not a readable zip archive ({type(error).__name__}: {error}). Download it again."
        ) from error
    except OSError as error:
        raise SourceError(f"cannot unpack {archive} into {into}: {error}. {by_hand}") from error
    return into


def _checked(opened: zipfile.ZipFile, into: Path, limits: UnpackLimits, by_hand: str) -> list[zipfile.ZipInfo]:
    entries = [entry for entry in opened.infolist() if not entry.is_dir()]
    total = sum(entry.file_size for entry in entries)
    if len(entries) > limits.files or total > limits.total_bytes:
        raise SourceError(
            f"{opened.filename} holds {len(entries)} files of {total} bytes; the limits are {limits.files} files and "
            f"{limits.total_bytes} bytes. {by_hand}"
        )
    seen: set[str] = set()
    for entry in entries:
        try:
            name = str(confined(into, entry.filename)).casefold()  # file systems of Windows and macOS ignore case
        except OutsideRootError as error:
            raise OutsideRootError(f"{opened.filename}: {error}") from error
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise SourceError(f"{opened.filename}: {entry.filename!r} is a symbolic link; links are not unpacked.")
        if entry.flag_bits & 1:
            raise SourceError(f"{opened.filename}: {entry.filename!r} is encrypted.")
        if entry.file_size > limits.ratio * max(entry.compress_size, 1):
            raise SourceError(
                f"{opened.filename}: {entry.filename!r} grows from {entry.compress_size} to {entry.file_size} bytes; "
                f"the limit is {limits.ratio:g} times. {by_hand}"
            )
        if name in seen:
            raise SourceError(f"{opened.filename} holds {entry.filename!r} twice; which one is meant is unknown.")
        seen.add(name)
    return entries


def _extract(opened: zipfile.ZipFile, entries: list[zipfile.ZipInfo], into: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=f".{into.name}-", dir=into.parent) as partial:
        complete = Path(partial) / into.name
        for entry in entries:
            target = confined(complete, entry.filename)
            target.parent.mkdir(parents=True, exist_ok=True)
            # zipfile stops at the size that the entry states, which was checked above, and compares the checksum.
            with opened.open(entry) as packed, target.open("wb") as file:
                shutil.copyfileobj(packed, file)
        complete.mkdir(exist_ok=True)
        if not into.is_dir():  # another process may have been faster
            complete.rename(into)
