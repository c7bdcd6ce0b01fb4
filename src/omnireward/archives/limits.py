"""What an archive may hold, and which names its files may have."""

from __future__ import annotations

import reprlib
import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

from omnireward.errors import OutsideRootError, SourceError
from omnireward.media_files import confined


@dataclass(frozen=True, slots=True)
class UnpackLimits:
    """What an archive may hold. Omni-RewardBench's is 3.5 GB in some ten thousand files.

    Attributes:
        files: number of entries.
        total_bytes: uncompressed, over all files.
        ratio: uncompressed over compressed bytes, of one file in a zip, of the whole where a tar is compressed; media
            hardly compress, a bomb does by 1000 and more.
    """

    files: int = 200_000
    total_bytes: int = 64 * 2**30
    ratio: float = 100.0


@dataclass(slots=True)
class Names:
    """The names seen so far of one archive's files.

    Attributes:
        archive: what messages call it.
        into: the folder that every file must stay below.
    """

    archive: str
    into: Path
    _seen: set[str] = field(default_factory=set)

    def add(self, name: str) -> Path:
        """Take one more; returns it as a path below the folder.

        Raises:
            OutsideRootError: it leaves the folder.
            SourceError: it came before, if only in another spelling.
        """
        try:
            path = confined(self.into, name)
        except OutsideRootError as error:
            raise OutsideRootError(f"{self.archive}: {error}") from error
        # File systems of Windows and macOS ignore case, and macOS how an accent is composed.
        key = unicodedata.normalize("NFC", str(path).casefold())
        if key in self._seen:
            raise SourceError(f"{self.archive} holds {reprlib.repr(name)} twice; which one is meant is unknown.")
        self._seen.add(key)
        return path.relative_to(self.into)
