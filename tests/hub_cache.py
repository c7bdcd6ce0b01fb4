"""A cache laid out as the Hub's own client lays it out: files are links to blobs."""

from __future__ import annotations

from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def cache_entry(cache: Path, folder: Path, repo: str) -> Path:
    """Put a folder into a cache under a repository's name, at COMMIT and as its main branch; returns the snapshot."""
    entry = cache / f"models--{repo.replace('/', '--')}"
    snapshot = entry / "snapshots" / COMMIT
    for each in (snapshot, entry / "blobs", entry / "refs"):
        each.mkdir(parents=True)
    (entry / "refs" / "main").write_text(COMMIT)
    for number, path in enumerate(sorted(folder.iterdir())):
        blob = entry / "blobs" / f"{number:040x}"
        blob.write_bytes(path.read_bytes())
        (snapshot / path.name).symlink_to(Path("../../blobs") / blob.name)
    return snapshot
