"""A file that was cut into parts, read as if it were whole: no second copy of it is written."""

from __future__ import annotations

import errno
import io
import os
from bisect import bisect_right
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class JoinedFile(io.RawIOBase):
    """The bytes of several files, one behind the other. Wrap it in `io.BufferedReader`.

    Args:
        parts: at least one file, in their order.

    Raises:
        OSError: a part cannot be opened.
    """

    def __init__(self, parts: Sequence[Path]) -> None:
        super().__init__()
        self._closing = ExitStack()
        with ExitStack() as opened:
            self._files = [opened.enter_context(part.open("rb", buffering=0)) for part in parts]
            self._closing = opened.pop_all()
        sizes = [os.fstat(file.fileno()).st_size for file in self._files]
        self._starts = list(accumulate(sizes, initial=0))  # of each part, and the end of the last
        self._at = 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def tell(self) -> int:
        """The position in the whole."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move in the whole; behind its end nothing is read."""
        at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._starts[-1]}[whence]
        if at < 0:
            raise OSError(errno.EINVAL, "there is nothing before the beginning")
        self._at = at
        return at

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read what one part holds from here on, at most."""
        if self._at >= self._starts[-1]:
            return 0
        which = bisect_right(self._starts, self._at) - 1  # past parts that are empty
        file, left = self._files[which], self._starts[which + 1] - self._at
        file.seek(self._at - self._starts[which])
        count = file.readinto(memoryview(buffer).cast("B")[:left]) or 0
        if not count:
            raise OSError(errno.EIO, f"{file.name} became shorter while it was read")
        self._at += count
        return count

    def close(self) -> None:
        """Close the parts too."""
        self._closing.close()
        super().close()
