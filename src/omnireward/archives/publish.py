"""How an archive is opened, and a folder that appears whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO

Opening = Callable[[], AbstractContextManager[IO[bytes]]]


@contextmanager
def published(into: Path) -> Iterator[Path]:
    """A new folder to write to, which becomes `into` at the end unless something was raised.

    Raises:
        OSError: it cannot be written or renamed.
    """
    with tempfile.TemporaryDirectory(prefix=f".{into.name}-", dir=into.parent) as partial:
        complete = Path(partial) / into.name
        complete.mkdir()
        yield complete
        try:
            complete.rename(into)
        except OSError:
            if not into.is_dir():  # another process may have been faster
                raise
