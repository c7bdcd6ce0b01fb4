"""An archive of media is unpacked once, beside itself.

What an archive holds is checked before it is written: how many files, how large, how strongly compressed, whether two
names collide or a name leaves the folder; links, devices and file modes are never honoured. Unusual: files are written
to a temporary folder that is renamed at the end, so a folder that exists is complete, also after a crash or when two
processes unpack at once.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from omnireward.archives.joined import JoinedFile
from omnireward.archives.limits import UnpackLimits
from omnireward.archives.tars import TAR_SUFFIXES, unpack_tar, unpack_tar_file
from omnireward.archives.zips import unpack_zip, unpack_zip_file
from omnireward.errors import SourceError

__all__ = ["SUFFIXES", "UnpackLimits", "unpack_archive", "unpack_parts", "unpack_tar", "unpack_zip"]

SUFFIXES = (".zip", *TAR_SUFFIXES)
"""The archives that can be unpacked."""


def unpack_archive(archive: Path, into: Path, limits: UnpackLimits | None = None) -> Path:
    """Unpack an archive of any kind in `SUFFIXES`, unless the folder exists already; returns the folder.

    Raises:
        SourceError: another kind; or the archive is broken, over the limits, or cannot be written; nothing is left
            behind.
        OutsideRootError: an entry's name leaves the folder.
    """
    name = archive.name.lower()
    if name.endswith(".zip"):
        return unpack_zip(archive, into, limits)
    if name.endswith(TAR_SUFFIXES):
        return unpack_tar(archive, into, limits)
    raise SourceError(
        f"cannot unpack {archive}: known are {', '.join(SUFFIXES)}. Unpack it yourself into the folder {into}."
    )


def unpack_parts(parts: Sequence[Path], into: Path, limits: UnpackLimits | None = None) -> Path:
    """Unpack an archive that was cut into parts, given in their order; unless the folder exists already.

    The parts are read through, so the whole is never written. Which kind it is says the name of the first:
    ``images.zip.part-aa``, ``videos.tar.gz0``.

    Raises:
        SourceError: as `unpack_archive`; also when a part is missing, or there are none.
        OutsideRootError: an entry's name leaves the folder.
    """
    if not parts:
        raise SourceError(f"there are no parts of an archive to unpack into {into}.")
    first = parts[0].name.lower()
    # The longest, because .tar is in .tar.gz too.
    suffix = max((suffix for suffix in SUFFIXES if suffix in first), key=len, default="")
    if not suffix:
        raise SourceError(f"cannot unpack {parts[0]} and other parts: no name of {', '.join(SUFFIXES)} is in its own.")
    name = f"{parts[0]} and {len(parts) - 1} more parts"
    by_hand = f"Is a part missing? If you trust it, join the parts with cat and unpack them into {into} yourself."

    def opening() -> io.BufferedReader:
        return io.BufferedReader(JoinedFile(parts))

    if suffix == ".zip":
        return unpack_zip_file(opening, name, into, limits or UnpackLimits(), by_hand)
    return unpack_tar_file(opening, suffix, name, into, limits or UnpackLimits(), by_hand)
