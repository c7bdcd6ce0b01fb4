"""A folder of results belongs to one run, and each of its shards to one process at a time."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from omnireward import atomic
from omnireward.construct.parts import Part
from omnireward.errors import JournalError

SHARDS = "shards"


@contextmanager
def held(out: Path, shard: Part) -> Iterator[None]:
    """Hold a shard. The lock is dropped with the process.

    Raises:
        JournalError: another process is at work on some of its samples.
    """
    home = home_of(out, shard)
    with ExitStack() as stack:
        try:
            home.mkdir(parents=True, exist_ok=True)
            own = stack.enter_context((home / ".lock").open("a"))
            _lock(own.fileno(), home)
        except OSError as error:
            raise JournalError(f"cannot write to {home}: {error}. Choose another --out.") from error
        for path in sorted((out / SHARDS).glob("[0-9]*-of-[0-9]*/.lock")):
            index, _, of = path.parent.name.partition("-of-")
            if path.parent != home and Part(int(index), int(of)).overlaps(shard):
                with path.open("a") as other:
                    _lock(other.fileno(), path.parent)
        yield


@contextmanager
def merging(out: Path) -> Iterator[None]:
    """Wait until nobody else puts the parts together: the shards that end last may end at once."""
    with (out / SHARDS / ".merging.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _lock(descriptor: int, home: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise JournalError(
            f"another process is at work on shard {home.name.replace('-of-', '/')} of {home.parent.parent}. Wait for "
            "it to end, or choose another --out."
        ) from error
    if not os.fstat(descriptor).st_nlink:  # opened before, locked after another process has cleared the folder
        raise JournalError(f"another process has just ended its work in {home.parent.parent}. Run the command again.")


def home_of(out: Path, shard: Part) -> Path:
    """Where a shard keeps what is its own: its lock, and its config where there are several."""
    return out / SHARDS / f"{shard.index}-of-{shard.of}"


def claim(path: Path, said: dict[str, Any]) -> None:
    """Write down whose folder it is. Several shards may come at once.

    Raises:
        JournalError: it is another run's.
    """
    text = json.dumps(said, indent=2, sort_keys=True) + "\n"
    if not path.is_file():
        with TemporaryDirectory(dir=path.parent, prefix=".claiming-") as temporary:
            fresh = Path(temporary) / path.name
            fresh.write_text(text, encoding="utf-8")
            try:
                os.link(fresh, path)
            except FileExistsError:
                pass  # another shard was faster; what it wrote is looked at below
            except OSError:  # a file system without links
                atomic.write_text(path, text)
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise JournalError(f"{path} is not JSON ({error}). Remove it; the parts' own files stay.") from error
    if not isinstance(found, dict):
        raise JournalError(f"{path} is a {type(found).__name__}, not an object. Remove it; the parts' own files stay.")
    expected = json.loads(text)
    for name in sorted(expected.keys() | found.keys()):
        if found.get(name) != expected.get(name):
            raise JournalError(
                f"{path.parent} holds another run: its {name} is {found.get(name)!r}, this run's is "
                f"{expected.get(name)!r}. Choose another --out, or remove the folder to begin anew."
            )
