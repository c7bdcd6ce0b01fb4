"""Tar archives, plain or compressed.

A tar has no list of contents, so it is read once from its beginning, and the limits are checked at each entry, before
it is written. Unusual: Python's reader takes a damaged entry for the end of the archive, and so does tar where a
download was cut off between two entries. Here an archive must end with the mark that the format asks for.
"""

from __future__ import annotations

import bz2
import gzip
import logging
import math
import reprlib
import shutil
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, Self

from omnireward.archives.limits import Names, UnpackLimits
from omnireward.archives.publish import Opening, published
from omnireward.errors import OmniRewardError, SourceError

_log = logging.getLogger(__name__)
_CHUNK = 2**13
_HEAD = 2 * _CHUNK  # bytes of one entry's headers, held in memory; a long name has its own
_GLOBALS = 1000  # settings of an archive that hold for all entries after them
_SLACK = 2**20  # bytes that may come out before the ratio counts: an empty tar is 10 KB of zeros

# xz is not among them: a file of that kind chooses how much memory its reader takes.
_OPENERS: dict[str, Callable[[IO[bytes]], Any]] = {
    ".tar": lambda file: file,
    ".tar.gz": lambda file: gzip.GzipFile(fileobj=file),
    ".tgz": lambda file: gzip.GzipFile(fileobj=file),
    ".tar.bz2": bz2.BZ2File,
}
TAR_SUFFIXES = tuple(_OPENERS)


def unpack_tar(archive: Path, into: Path, limits: UnpackLimits | None = None) -> Path:
    """Unpack a tar, by its suffix compressed or not, unless the folder exists already; returns the folder.

    Raises:
        SourceError: the archive is broken or cut off, over the limits, holds what is no plain file, or cannot be
            written; nothing is left behind.
        OutsideRootError: an entry's name leaves the folder.
    """
    by_hand = f"If you trust it, unpack it yourself: mkdir {into} && tar -xf {archive} -C {into}"
    suffix = next(suffix for suffix in TAR_SUFFIXES if archive.name.lower().endswith(suffix))
    return unpack_tar_file(lambda: archive.open("rb"), suffix, str(archive), into, limits or UnpackLimits(), by_hand)


def unpack_tar_file(opening: Opening, suffix: str, name: str, into: Path, limits: UnpackLimits, by_hand: str) -> Path:
    """Unpack a tar from an open file, as `unpack_tar` does from a path.

    Args:
        opening: opens the file, to be read from its beginning.
        suffix: one of `TAR_SUFFIXES`.
        name: what messages call it.
        into: the folder.
        limits: what it may hold.
        by_hand: what a message says about doing it oneself.
    """
    if into.is_dir():
        return into
    try:
        with opening() as file, published(into) as folder:
            _log.info("unpacking %s into %s", name, into)
            _Unpacking(name, into, folder, limits, by_hand).run(_OPENERS[suffix](file), file)
    except OmniRewardError:
        raise
    except OSError as error:
        if error.errno is None:  # gzip and bz2 say so that the bytes are wrong
            raise _broken(name, error, by_hand) from error
        raise SourceError(f"cannot unpack {name} into {into}: {error}. {by_hand}") from error
    except (tarfile.TarError, zlib.error, EOFError, ValueError) as error:  # the last: a number in a header
        raise _broken(name, error, by_hand) from error
    return into


class _Unpacking:
    """One archive on its way into `folder`, which will be `into`."""

    def __init__(self, archive: str, into: Path, folder: Path, limits: UnpackLimits, by_hand: str) -> None:
        self.archive, self.into, self.folder, self.limits, self.by_hand = archive, into, folder, limits, by_hand

    def run(self, unpacked: Any, packed: IO[bytes]) -> None:
        """Write all files. `unpacked` is a stream of the tar's bytes, and `packed` the file that they come from."""
        stream = _Bounded(self, unpacked, packed)
        readable: Any = stream  # tarfile asks for nothing else where it reads a stream
        names = Names(self.archive, self.into)
        files = total = 0
        with tarfile.open(fileobj=readable, mode="r|", bufsize=_CHUNK, tarinfo=_Entry) as tar:
            while (entry := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # or it would keep them all
                if len(tar.pax_headers) > _GLOBALS:
                    raise SourceError(f"{self.archive} has over {_GLOBALS} settings. {self.by_hand}")
                if not entry.isdir():
                    files, total = files + 1, total + entry.size
                    self._check(entry, files, total)
                    target = self.folder / names.add(entry.name)  # where nothing is that a name could lead through
                    stream.left = math.inf
                    self._write(tar, entry, target)
                stream.left = _HEAD
            stream.left = math.inf
            self._drain(tar)

    def _check(self, entry: tarfile.TarInfo, files: int, total: int) -> None:
        name = reprlib.repr(entry.name)
        if entry.issym() or entry.islnk():
            raise SourceError(f"{self.archive}: {name} is a link; links are not unpacked. {self.by_hand}")
        if not entry.isreg() or entry.issparse() or entry.size < 0:
            raise SourceError(f"{self.archive}: {name} is no plain file; others are not unpacked. {self.by_hand}")
        if files > self.limits.files or total > self.limits.total_bytes:
            raise SourceError(
                f"{self.archive} holds {files} files of {total} bytes up to {name}; the limits are "
                f"{self.limits.files} files and {self.limits.total_bytes} bytes. {self.by_hand}"
            )

    def _write(self, tar: tarfile.TarFile, entry: tarfile.TarInfo, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        packed = tar.extractfile(entry)
        if packed is None:
            raise SourceError(f"{self.archive}: {reprlib.repr(entry.name)} has no content.")
        with packed, target.open("xb") as file:
            shutil.copyfileobj(packed, file)

    def _drain(self, tar: tarfile.TarFile) -> None:
        """To the end, where gzip compares its checksum. Only zeros may follow the mark of the end."""
        stream: Any = tar.fileobj
        while chunk := stream.read(_CHUNK):
            if chunk.count(0) != len(chunk):
                raise SourceError(f"{self.archive} goes on after its end. {self.by_hand}")


class _Bounded:
    """A tar's bytes, counted: none of it grows beyond the ratio, and no header beyond what is left."""

    def __init__(self, of: _Unpacking, unpacked: Any, packed: IO[bytes]) -> None:
        self._of, self._unpacked, self._packed = of, unpacked, packed
        self._out = 0
        self.left: float = _HEAD

    def read(self, size: int) -> bytes:
        """Up to so many bytes."""
        data: bytes = self._unpacked.read(size)
        self._out += len(data)
        self.left -= len(data)
        if self.left < 0:
            raise SourceError(f"{self._of.archive}: the headers of an entry are over {_HEAD} bytes. {self._of.by_hand}")
        if self._out > _SLACK + self._of.limits.ratio * self._packed.tell():
            raise SourceError(
                f"{self._of.archive} grows from {self._packed.tell()} to over {self._out} bytes; the limit is "
                f"{self._of.limits.ratio:g} times. {self._of.by_hand}"
            )
        return data


class _Entry(tarfile.TarInfo):
    """An entry whose damaged header is an error instead of the end."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tar)
        except tarfile.HeaderError as error:
            if type(error).__name__ == "EOFHeaderError":  # the mark of the end: zeros
                raise
            raise tarfile.ReadError(f"no header where one belongs, nor the mark of the end: {error}") from error


def _broken(archive: str, error: Exception, by_hand: str) -> SourceError:
    return SourceError(
        f"{archive} is not a readable tar archive, or was cut off ({type(error).__name__}: {error}). Download it "
        f"again. {by_hand}"
    )
