"""Media that may still lie in an archive: it is unpacked when a file is asked for and not there, and not before.

Unusual: an archive is unpacked into a folder of its own name beside it. A folder that is there already is taken as it
is, whoever unpacked it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omnireward.archives import SUFFIXES, UnpackLimits, unpack_archive, unpack_parts
from omnireward.errors import BadRowError, OutsideRootError, SourceError
from omnireward.media_files import MediaFiles
from omnireward.rows import Row
from omnireward.types import Media, MediaKind

# The largest is HPDv2's, with 430,000 images in 32 GB; EvalMuse's has 54 GB.
LIMITS = UnpackLimits(files=1_000_000, total_bytes=128 * 2**30)


@dataclass(frozen=True, slots=True)
class Packed:
    """An archive, or the parts of one in their order, and the folder that it is unpacked into."""

    files: tuple[Path, ...]
    into: Path

    def unpack(self) -> Path:
        """Unpack unless the folder is there; returns the folder. Raises SourceError."""
        if len(self.files) == 1 and self.files[0].name.lower().endswith(SUFFIXES):
            return unpack_archive(self.files[0], self.into, LIMITS)
        return unpack_parts(self.files, self.into, LIMITS)


class ArchivedMedia:
    """Looks for files as `MediaFiles` does, and unpacks one more archive whenever a file is not there.

    Args:
        files: where to look; the folders of the archives are among its roots, whether they exist yet or not.
        packed: archives, in the order in which to open them.
    """

    def __init__(self, files: MediaFiles, packed: Sequence[Packed]) -> None:
        self._files = files
        self._packed = [one for one in packed if not one.into.is_dir()]

    def media(self, row: Row, field: str, kind: MediaKind, value: object) -> Media:
        """The medium that a cell names.

        Raises:
            BadRowError: there is none, or its name leads out of the folder.
            SourceError: an archive cannot be unpacked.
        """
        while True:
            try:
                return Media(kind, self._files.source(row, field, value))
            except BadRowError as error:
                cause = error.__cause__
                if not self._packed or not isinstance(cause, SourceError) or isinstance(cause, OutsideRootError):
                    raise
            self._packed.pop(0).unpack()
