"""A step runs in parts: in several processes, on several machines, or on a Ray cluster, and says the same each time.

A sample belongs to the part that a hash of its id says, so every part finds its own samples without asking anyone. Part
i of n splits into the parts i, i + n, i + 2n, … of n·k, which is how ``--shard`` and ``--workers`` nest. What a part
makes lies in a folder of its own below ``parts/``; when the parts that are done cover everything, their lines are
merged, sorted by id. So the result does not depend on how the work was divided, byte for byte.

The engines differ only in who calls the step: this process, several processes here, or Ray Data. Several machines need
nothing but a folder that all of them can write to, or one that the parts are copied into.
"""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import os
import re
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from omnireward import atomic, errors
from omnireward.construct.sorting import sort_lines
from omnireward.errors import JournalError, MissingExtraError, OmniRewardError, RecipeError

Engine = Literal["local", "ray"]
DONE = "done.json"
_NAME = re.compile(r"(\d+)-of-(\d+)")


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """Part `index` of `of`, counted from 0."""

    index: int = 0
    of: int = 1

    @classmethod
    def parse(cls, written: str) -> Self:
        """Read ``i/n``.

        Raises:
            RecipeError: it is something else, or i is not below n.

        >>> Part.parse("1/4").split(2)
        [Part(index=1, of=8), Part(index=5, of=8)]
        """
        index, slash, of = written.partition("/")
        if not (slash and index.isdecimal() and of.isdecimal() and int(index) < int(of)):
            raise RecipeError(f"a shard is written i/n with i from 0 to n - 1, such as 0/4; got {written!r}.")
        return cls(int(index), int(of))

    def holds(self, name: str) -> bool:
        """Whether the sample of this id belongs to the part."""
        data = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
        return int.from_bytes(data[:8], "big") % self.of == self.index

    def split(self, count: int) -> list[Self]:
        """The same samples in `count` parts."""
        return [type(self)(self.index + self.of * k, self.of * count) for k in range(count)]

    def folder(self, out: Path) -> Path:
        """Where the part keeps what it makes."""
        return out / "parts" / f"{self.index}-of-{self.of}"

    def overlaps(self, other: Part) -> bool:
        """Whether some sample could belong to both."""
        return (self.index - other.index) % math.gcd(self.of, other.of) == 0


Step = Callable[[Part], None]
"""Does one part, and writes into ``part.folder(out)``. Is pickled, so a module's function or a partial of one."""


def run_parts(step: Step, shard: Part, workers: int, engine: Engine) -> None:
    """Do a shard's parts.

    Raises:
        RecipeError: no worker.
        MissingExtraError: the engine ``ray`` without its extra.
        JournalError: a worker process died.
        What `step` raises.
    """
    if workers < 1:
        raise RecipeError(f"workers must be at least 1, not {workers}.")
    parts = shard.split(workers)
    if engine == "ray":
        _on_ray(step, parts)
    elif workers == 1:
        step(parts[0])
    else:
        # Spawned, not forked: the parent may hold threads, which a fork would lose in the middle of what they do.
        spawn = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, spawn, initializer=_end_with_parent) as pool:
            try:
                for future in [pool.submit(step, part) for part in parts]:
                    future.result()
            except BrokenProcessPool as error:
                raise JournalError(
                    "a worker process died, perhaps for want of memory. Run the same command again: what is in the "
                    "journals is not done again."
                ) from error


def _end_with_parent() -> None:
    """Let no worker outlive who started it: it would go on for nobody, spend money, and write beside the next run."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)  # the main thread may be anywhere

    threading.Thread(target=wait, daemon=True).start()


def _on_ray(step: Step, parts: Sequence[Part]) -> None:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("the engine ray", "ray") from error

    def one(row: dict[str, Any]) -> dict[str, Any]:
        try:
            step(Part(int(row["index"]), int(row["of"])))
        except OmniRewardError as error:  # Ray would wrap it in two of its own
            return {"error": json.dumps([type(error).__name__, error.args, vars(error)], default=str)}
        return {"error": ""}

    if not ray.is_initialized():
        ray.init(log_to_driver=False, include_dashboard=False)
    rows = [{"index": part.index, "of": part.of} for part in parts]
    for row in ray.data.from_items(rows, override_num_blocks=len(rows)).map(one).take_all():
        if row["error"]:
            name, args, state = json.loads(row["error"])
            kind = getattr(errors, name)
            again = kind.__new__(kind, *args)
            vars(again).update(state)
            raise again


def finish(part: Part, out: Path, said: dict[str, Any]) -> None:
    """Mark a part as done; `said` is what a report adds up. Its files must be complete."""
    atomic.write_text(part.folder(out) / DONE, json.dumps(said, sort_keys=True) + "\n")


def begin(part: Part, out: Path) -> Path:
    """The part's folder, no longer marked as done; nor are parts of another division that overlap with it."""
    for other in done(out):
        if other.overlaps(part):
            (other.folder(out) / DONE).unlink(missing_ok=True)
    folder = part.folder(out)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def done(out: Path) -> list[Part]:
    """The parts that are done, in order."""
    return [part for part in folders(out) if (part.folder(out) / DONE).is_file()]


def folders(out: Path) -> list[Part]:
    """The parts that have a folder, done or not, of every division there has been; in order."""
    matches = [_NAME.fullmatch(path.name) for path in (out / "parts").glob("*")]
    found = [Part(int(match[1]), int(match[2])) for match in matches if match]
    return sorted(found, key=lambda part: (part.of, part.index))


def missing(parts: Sequence[Part]) -> list[Part]:
    """What parts that do not overlap leave uncovered: none when they are everything."""
    whole = math.lcm(*(part.of for part in parts)) if parts else 1
    covered = {index for part in parts for index in range(part.index, whole, part.of)}
    return [Part(index, whole) for index in range(whole) if index not in covered]


def merge(out: Path, names: Sequence[str]) -> bool:
    """Merge the parts' files of these names into `out`, sorted by id, if the parts that are done cover everything.

    Returns whether they do.
    """
    parts = done(out)
    if missing(parts):
        return False
    for name in names:
        sort_lines([path for part in parts if (path := part.folder(out) / name).is_file()], out / name)
    return True


def said(out: Path) -> list[dict[str, Any]]:
    """What the parts that are done have said, in order."""
    return [json.loads((part.folder(out) / DONE).read_text(encoding="utf-8")) for part in done(out)]
