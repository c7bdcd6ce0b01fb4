"""A file is written whole, and left alone when it says the same already."""

from __future__ import annotations

from pathlib import Path

import pytest

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


def test_files_come_together_with_the_first_before_and_the_last_after_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While files are moved, the old last one is gone; old ones that match are removed, and no others."""
    for name in ("old.bin", "other.json", "last", "mine.txt"):
        (tmp_path / name).write_text("old")
    plain, moved = Path.replace, []

    def replace(self: Path, target: Path) -> Path:
        assert not (tmp_path / "last").exists()
        moved.append(self.name)
        return plain(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with atomic.published(tmp_path, first="record", last="last", stale=("*.bin", "other*")) as fresh:
        for name in ("last", "a.bin", "record", "z"):
            (fresh / name).write_text("new")
        assert (tmp_path / "last").read_text() == "old"
    assert moved == ["record", "a.bin", "z", "last"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.bin", "last", "mine.txt", "record", "z"]


def test_after_an_error_the_folder_is_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "last").write_text("old")

    def fail() -> None:
        with atomic.published(tmp_path, first="record", last="last", stale=("*",)) as fresh:
            (fresh / "last").write_text("new")
            raise OSError

    with pytest.raises(OSError, match=r"^$"):
        fail()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("last", "old")]
