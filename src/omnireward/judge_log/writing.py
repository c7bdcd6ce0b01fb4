"""Replace a file that two processes may write at once: the run itself, and somebody who makes its page again."""

from __future__ import annotations

import os
from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Make `path` hold `text` whole, with characters that UTF-8 lacks as references of HTML. Raises OSError."""
    fresh = path.with_name(f".{os.getpid()}-{path.name}")
    fresh.write_bytes(text.encode("utf-8", "xmlcharrefreplace"))
    fresh.replace(path)
