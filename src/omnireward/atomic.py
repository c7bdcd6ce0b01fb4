"""Write a file whole or not at all, and not at all when it already says the same.

A result that is made again from the same inputs so keeps its bytes and its time stamp, and a reader never sees half a
file.
"""

from __future__ import annotations

from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Make `path` hold `text` in UTF-8, with its folder. Lone surrogates, which untrusted text may hold, are kept."""
    data = text.encode("utf-8", "surrogatepass")
    if path.is_file() and path.read_bytes() == data:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(data)
    fresh.replace(path)
