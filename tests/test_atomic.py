"""A file is written whole, and left alone when it says the same already."""

from __future__ import annotations

from pathlib import Path

from omnireward import atomic


def test_the_same_text_again_touches_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    atomic.write_text(path, "é\n")
    first = path.stat()
    atomic.write_text(path, "é\n")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (first.st_ino, first.st_mtime_ns)
    atomic.write_text(path, "other \ud800")
    assert path.read_text(errors="surrogatepass") == "other \ud800"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]
