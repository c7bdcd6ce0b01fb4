"""The folder of a mixture: whose it is, what it holds, and who is at work in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import omnireward
from omnireward import atomic, provenance
from omnireward.construct.claims import SHARDS, held, merging
from omnireward.construct.mix_config import MixConfig
from omnireward.construct.parts import Part
from omnireward.errors import JournalError

WORK, STATE = ".mixing", "mix.json"


@contextmanager
def at_work(config: MixConfig, shard: Part) -> Iterator[Path]:
    """The folder for what the first pass finds, while no other process is at work on the same shard.

    Raises:
        JournalError: another process is, or the output folder holds something else.
    """
    if config.dry_run:
        with TemporaryDirectory() as folder, held(Path(folder), shard):
            yield Path(folder)
        return
    check(config)  # before anything is written
    work = config.out / WORK
    with held(work, shard):
        with merging(work):  # several shards may come at once
            if not check(config):
                save(config, {})
        yield work


def check(config: MixConfig) -> bool:
    """Whether the folder holds this mixture, or a part of it. Raises JournalError if it holds something else."""
    path = config.out / STATE
    if path.is_file():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))["settings"]
        except (ValueError, RecursionError, LookupError, TypeError) as error:
            raise JournalError(f"{path} is not what mixing writes ({error!r}). Choose another --out.") from error
        for name, value in _settings(config).items():
            if found.get(name) != value:
                raise JournalError(
                    f"{config.out} holds another mixture: its {name} is {found.get(name)!r}, this one's is {value!r}. "
                    "Choose another --out, or remove the folder."
                )
        return True
    # What begins with a dot is of a process that has just begun, or was killed then.
    if config.out.is_dir() and not all(path.name.startswith(".") for path in config.out.iterdir()):
        raise JournalError(f"{config.out} is not empty, and holds no mixture. Choose a new folder for --out.")
    return False


def save(config: MixConfig, told: Mapping[str, Any]) -> None:
    """Write down whose the folder is, and what is told beside."""
    state = {"settings": _settings(config), "version": omnireward.__version__, **told}
    atomic.write_text(config.out / STATE, json.dumps(state, indent=2, ensure_ascii=False) + "\n")


def files_before(config: MixConfig) -> list[str]:
    """The files of an earlier run into the same folder."""
    found = json.loads((config.out / STATE).read_text(encoding="utf-8")).get("files", ())
    out = config.out.resolve()
    # What the file says may come from anywhere.
    return [name for name in found if isinstance(name, str) and (out / name).resolve().is_relative_to(out)]


def _settings(config: MixConfig) -> dict[str, Any]:
    """What decides the result, in the plainest form."""
    told = provenance.plain(config.lasting, config.out)
    if not isinstance(told, dict):
        raise TypeError(f"a config is a dataclass, not {config!r}")
    del told["out"]  # the folder may have been moved
    return told


@contextmanager
def alone(work: Path) -> Iterator[Path]:
    """A folder for temporary files, while no other process writes the same mixture: the last shards may end at once."""
    with merging(work):
        for left in work.glob("new-*"):  # by a process that was killed
            shutil.rmtree(left)
        with TemporaryDirectory(dir=work, prefix="new-") as fresh:
            yield Path(fresh)


def clear(work: Path) -> None:
    """Remove what the first pass has found; the locks come last."""
    for path in work.iterdir():
        if path.name != SHARDS:
            shutil.rmtree(path)
    shutil.rmtree(work / SHARDS, ignore_errors=True)  # who waits for the lock may begin at once
    with suppress(OSError):
        work.rmdir()
