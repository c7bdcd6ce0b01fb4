"""Checkpoints of a run: published whole, and checked before they are believed.

A checkpoint is written below `.saving-new`, beside where it will be. When every file is on the disk, `manifest.json`
says what each holds, and one rename makes it `checkpoint-<step>`. A run that is killed at any moment so leaves whole
checkpoints, and leftovers whose names begin with `.saving-`, which the next start removes. What the disk did to a file
later is found by its sha256: a flipped bit in weights would load and train on without a word.
"""

from __future__ import annotations

import errno
import json
import shutil
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from omnireward.atomic import SAVING, synced
from omnireward.checkpoint import HASHED_AT_ONCE, sha256_of
from omnireward.errors import CheckpointError, RecipeError, TrainingError

CHECKPOINT = "checkpoint-"
MANIFEST = "manifest.json"
KEEP = 2  # whole checkpoints: the newest, and one more in case the disk damages it
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def staging(out: Path) -> Path:
    """Where all processes write the next checkpoint, as a folder `checkpoint-<step>`."""
    return out / f"{SAVING}new"


def expect(fresh: Path, names: Iterable[str]) -> None:
    """Refuse to publish what one of the processes wrote elsewhere, or this one does not see yet.

    Raises:
        TrainingError: a file is not there.
    """
    lost = [name for name in names if not (fresh / name).is_file()]
    if lost:
        raise TrainingError(
            f"{fresh.name} is not whole: other processes wrote {', '.join(lost)}, and the first one does not see it. "
            "All processes need --out on one file system that shows to all what one has written."
        )


def publish(fresh: Path, out: Path) -> Path:
    """Make a finished folder a checkpoint of `out`, and remove those that are no longer needed.

    Call it from one process, when no process writes to `fresh` any more. Whichever process wrote them, and in whatever
    subfolders: all files below `fresh` are part of the checkpoint.
    """
    files = sorted(path for path in fresh.rglob("*") if path.is_file())
    with ThreadPoolExecutor(HASHED_AT_ONCE, "hash") as pool:
        known = dict(zip((path.relative_to(fresh).as_posix() for path in files), pool.map(_kept, files), strict=True))
    (fresh / MANIFEST).write_text(json.dumps({"files": known}, indent=1, sort_keys=True) + "\n")
    synced(fresh / MANIFEST)
    for folder in (*(path for path in fresh.rglob("*") if path.is_dir()), fresh):
        synced(folder)
    target = out / fresh.name
    if target.exists():  # a damaged one of an earlier start
        _remove(target)
    fresh.rename(target)
    synced(out)
    for old in [folder for folder in _of(out) if fault(folder, read=False) is None][KEEP:]:
        _remove(old)
    return target


def fault(folder: Path, read: bool = True) -> str | None:
    """What is wrong with a checkpoint, or None.

    Args:
        folder: the checkpoint.
        read: compare every byte; without it, only which files there are, and their sizes.
    """
    if not (folder / MANIFEST).is_file():
        return f"{MANIFEST} is missing, so it was not written to its end"
    try:
        files = json.loads((folder / MANIFEST).read_bytes())["files"]
        known = {str(name): (int(kept["bytes"]), str(kept["sha256"])) for name, kept in files.items()}
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        return f"{MANIFEST} cannot be read: {error!r}"
    for name, (size, _) in known.items():
        if not (folder / name).is_file():
            return f"{name} is missing"
        if (there := (folder / name).stat().st_size) != size:
            return f"{name} has {there:,} bytes, and {size:,} were written"
    if not read:
        return None
    with ThreadPoolExecutor(HASHED_AT_ONCE, "hash") as pool:
        found = pool.map(sha256_of, (folder / name for name in known))
        changed = [name for (name, (_, sha256)), now in zip(known.items(), found, strict=True) if now != sha256]
    return f"{changed[0]} no longer has the bytes that were written: its sha256 is another" if changed else None


def newest(out: Path, say: bool = True) -> Path | None:
    """The newest whole checkpoint; None where there is none at all. Damaged ones are named on stderr and passed over.

    Raises:
        RecipeError: there are checkpoints, and every one is damaged.
    """
    faults: list[str] = []
    for folder in _of(out):
        found = fault(folder)
        if found is None:
            return folder
        faults.append(f"{folder.name}: {found}")
        if say:
            sys.stderr.write(f"warning: {folder} is damaged and passed over: {found}.\n")
    if not faults:
        return None
    raise RecipeError(
        f"nothing to resume in {out}: no checkpoint is whole ({'; '.join(faults)}). Remove them to begin again from "
        "the start, or train anew into another --out."
    )


def last(out: Path) -> Path | None:
    """The newest checkpoint that has all its files in their sizes. Quick, because no byte is read."""
    return next((folder for folder in _of(out) if fault(folder, read=False) is None), None)


def there(out: Path) -> bool:
    """Whether a run left checkpoints, whole or not."""
    return bool(_of(out))


def clear(out: Path) -> None:
    """Remove what interrupted saves left over. Only for a process that knows that no other trains into `out`."""
    for left in out.glob(f"{SAVING}*"):
        shutil.rmtree(left)


@contextmanager
def saving(what: str, out: Path, needed: int) -> Iterator[None]:
    """Check that there is room, and say it clearly when writing fails; what was begun is then removed.

    Args:
        what: named in the error.
        out: the run's folder.
        needed: bytes, about.

    Raises:
        TrainingError: the disk is full, or cannot be written to.
    """
    if shutil.disk_usage(out).free < needed:
        raise TrainingError(_no_room(what, out, needed, "the disk is too full"))
    try:
        yield
    except (OSError, SafetensorError, CheckpointError, RuntimeError) as error:
        # torch's writer says of a full disk that it is at an "unexpected pos", as a RuntimeError like any other.
        if isinstance(error, RuntimeError) and "inline_container" not in str(error):
            raise
        clear(out)
        full = getattr(error, "errno", None) in _NO_ROOM or any(
            f"os error {number}" in str(error) for number in _NO_ROOM
        )
        raise TrainingError(_no_room(what, out, needed, "the disk is full" if full else str(error))) from error


def _no_room(what: str, out: Path, needed: int, why: str) -> str:
    before = last(out)
    return (
        f"{what} could not be written: {why}. It needs about {needed / 1e6:,.1f} MB, and "
        f"{shutil.disk_usage(out).free / 1e6:,.1f} MB are free in {out}. "
        + (f"{before.name} is whole: make room, and go on with --resume." if before else "There is no checkpoint yet.")
    )


def _of(out: Path) -> list[Path]:
    """Checkpoints, the newest step first."""
    numbered = [(path.name.removeprefix(CHECKPOINT), path) for path in out.glob(f"{CHECKPOINT}*") if path.is_dir()]
    steps = [(int(number), path) for number, path in numbered if number.isdecimal()]
    return [path for _, path in sorted(steps, reverse=True)]


def _remove(folder: Path) -> None:
    """Take the name away first: a kill half-way must not leave half a checkpoint under it."""
    gone = folder.with_name(f"{SAVING}gone-{folder.name}")
    folder.rename(gone)
    shutil.rmtree(gone)


def _kept(path: Path) -> dict[str, int | str]:
    synced(path)
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
