"""The folder of a mixture: whose it is, what it holds, and who is writing to it."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import omnireward
from omnireward import atomic, provenance
from omnireward.construct.mix_config import MixConfig
from omnireward.errors import JournalError

WORK, STATE = ".mixing", "mix.json"


def claim(config: MixConfig) -> None:
    """Refuse a folder that holds something else; write down what it is from now on."""
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
    elif config.out.is_dir() and any(config.out.iterdir()):
        raise JournalError(f"{config.out} is not empty, and holds no mixture. Choose a new folder for --out.")
    else:
        save(config, {})
    (config.out / WORK).mkdir(exist_ok=True)


def save(config: MixConfig, told: Mapping[str, Any]) -> None:
    """Write down whose the folder is, and what is told beside."""
    state = {"settings": _settings(config), "version": omnireward.__version__, **told}
    atomic.write_text(config.out / STATE, json.dumps(state, indent=2, ensure_ascii=False) + "\n")


def files_before(config: MixConfig) -> list[str]:
    """The files of an earlier run into the same folder."""
    found = json.loads((config.out / STATE).read_text(encoding="utf-8")).get("files", ())
    return [name for name in found if isinstance(name, str) and (config.out / name).is_relative_to(config.out)]


def _settings(config: MixConfig) -> dict[str, Any]:
    """What decides the result, in the plainest form."""
    told = provenance.plain(config.lasting, config.out)
    if not isinstance(told, dict):
        raise TypeError(f"a config is a dataclass, not {config!r}")
    del told["out"]  # the folder may have been moved
    return told


@contextmanager
def alone(work: Path) -> Iterator[Path]:
    """A folder for temporary files, while no other process of this machine is writing the same mixture."""
    with (work / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in work.glob("new-*"):  # by a process that was killed
            shutil.rmtree(left)
        with TemporaryDirectory(dir=work, prefix="new-") as fresh:
            yield Path(fresh)
