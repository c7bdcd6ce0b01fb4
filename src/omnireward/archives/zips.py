"""Zip archives. What one claims is checked before anything is written."""

from __future__ import annotations

import logging
import reprlib
import shutil
import stat
import zipfile
import zlib
from pathlib import Path

from omnireward.archives.limits import Names, UnpackLimits
from omnireward.archives.publish import Opening, published
from omnireward.errors import SourceError
from omnireward.media_files import confined

_log = logging.getLogger(__name__)
# LZMA is not among them: a file of that kind chooses how much memory its reader takes.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2)


def unpack_zip(archive: Path, into: Path, limits: UnpackLimits | None = None) -> Path:
    """Unpack an archive into a folder, unless that folder exists already; returns the folder.

    Raises:
        SourceError: the archive is broken, over the limits, or cannot be written; nothing is left behind.
        OutsideRootError: an entry's name leaves the folder.
    """
    by_hand = f"If you trust it, unpack it yourself: unzip {archive} -d {into}"
    return unpack_zip_file(lambda: archive.open("rb"), str(archive), into, limits or UnpackLimits(), by_hand)


def unpack_zip_file(opening: Opening, name: str, into: Path, limits: UnpackLimits, by_hand: str) -> Path:
    """Unpack a zip from an open file that can seek, as `unpack_zip` does from a path.

    Args:
        opening: opens the file.
        name: what messages call it.
        into: the folder.
        limits: what it may hold.
        by_hand: what a message says about doing it oneself.
    """
    if into.is_dir():
        return into
    try:
        with opening() as file, zipfile.ZipFile(file) as opened:
            entries = _checked(opened, name, into, limits, by_hand)
            _log.info("unpacking %s (%d files) into %s", name, len(entries), into)
            _extract(opened, entries, into)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise SourceError(
            f"{name} is not a readable zip archive ({type(error).__name__}: {error}). Download it again. {by_hand}"
        ) from error
    except OSError as error:
        raise SourceError(f"cannot unpack {name} into {into}: {error}. {by_hand}") from error
    return into


def _checked(
    opened: zipfile.ZipFile, name: str, into: Path, limits: UnpackLimits, by_hand: str
) -> list[zipfile.ZipInfo]:
    entries = [entry for entry in opened.infolist() if not entry.is_dir()]
    total = sum(entry.file_size for entry in entries)
    if len(entries) > limits.files or total > limits.total_bytes:
        raise SourceError(
            f"{name} holds {len(entries)} files of {total} bytes; the limits are {limits.files} files and "
            f"{limits.total_bytes} bytes. {by_hand}"
        )
    names = Names(name, into)
    for entry in entries:
        names.add(entry.filename)
        told = reprlib.repr(entry.filename)
        # A type is stated by Unix only; from elsewhere the bits are 0.
        if (kind := stat.S_IFMT(entry.external_attr >> 16)) not in (0, stat.S_IFREG):
            what = "a symbolic link; links are" if kind == stat.S_IFLNK else "a device or a pipe; those are"
            raise SourceError(f"{name}: {told} is {what} not unpacked.")
        if entry.flag_bits & 1:
            raise SourceError(f"{name}: {told} is encrypted.")
        if entry.compress_type not in _METHODS:
            raise SourceError(
                f"{name}: {told} is compressed by method {entry.compress_type}; stored, deflated and bzip2 are read. "
                f"{by_hand}"
            )
        if entry.file_size > limits.ratio * max(entry.compress_size, 1):
            raise SourceError(
                f"{name}: {told} grows from {entry.compress_size} to {entry.file_size} bytes; "
                f"the limit is {limits.ratio:g} times. {by_hand}"
            )
    return entries


def _extract(opened: zipfile.ZipFile, entries: list[zipfile.ZipInfo], into: Path) -> None:
    with published(into) as folder:
        for entry in entries:
            target = confined(folder, entry.filename)
            target.parent.mkdir(parents=True, exist_ok=True)
            # zipfile stops at the size that the entry states, which was checked above, and compares the checksum.
            with opened.open(entry) as packed, target.open("xb") as file:
                shutil.copyfileobj(packed, file)
