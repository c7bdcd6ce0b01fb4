"""Which Parquet files are below a folder."""

from __future__ import annotations

from pathlib import Path

from omnireward.parquet_files import parquet_files, walked_once


def test_whole_files_that_nobody_hides(tmp_path: Path) -> None:
    for name in ("b/two", "a/one", "c", ".cache/three", "a/.four"):
        path = tmp_path / f"{name}.parquet"
        path.parent.mkdir(exist_ok=True)
        path.touch()
    (tmp_path / "a" / "notes.txt").touch()
    (tmp_path / "folder.parquet").mkdir()
    (tmp_path / "link.parquet").symlink_to(tmp_path / "c.parquet")  # as in a snapshot of the Hub
    (tmp_path / "broken.parquet").symlink_to(tmp_path / "nothing")
    (tmp_path / "round").symlink_to(tmp_path)
    found = ("a/one", "b/two", "c", "link")
    assert parquet_files(tmp_path) == tuple(tmp_path / f"{name}.parquet" for name in found)
    assert parquet_files(tmp_path / "c.parquet") == parquet_files(tmp_path / "none") == ()


def test_what_comes_later_is_seen_again_afterwards(tmp_path: Path) -> None:
    with walked_once():
        assert parquet_files(tmp_path) == ()
        (tmp_path / "new.parquet").touch()
        assert parquet_files(tmp_path) == ()
    assert parquet_files(tmp_path) == (tmp_path / "new.parquet",)
