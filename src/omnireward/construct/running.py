"""What every step that asks models has in common: whose folder it is, who is at work in it, what was said before.

* A folder belongs to one run: ``run.json`` says which, and another run is refused; so is a folder that holds anything
  else, such as the very samples that are read. A run that ends before anything was asked, such as one with a mistyped
  source, takes its name away again.
* Two processes never work on the same samples: each holds a lock on its shard, and looks at those that overlap.
* Answers that lie in parts of another division are copied into this one's, as paid for. So a run goes on where it
  stopped, also with other workers or shards.
* A part that has failures is not done. The same command tries them again; ``--settle`` gives them up.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from omnireward import atomic, provenance
from omnireward.construct.claims import SHARDS, claim, held, home_of, merging
from omnireward.construct.money import Account, allowance, spent
from omnireward.construct.parts import DONE, Engine, Part, done, folders, missing, run_parts
from omnireward.construct.parts import said as all_said
from omnireward.errors import JournalError, RecipeError, SourceError
from omnireward.journal import Journal, Record
from omnireward.progress import Progress
from omnireward.sample_rows import line
from omnireward.sources import BadRows, open_place, read_place
from omnireward.types import Media, Sample, Task

RUN, LEFT, PARTS = "run.json", "left.json", "parts"


@dataclass(frozen=True, kw_only=True)
class Division:
    """What is worked on, where results go, and how the work is divided."""

    samples: str
    """A dataset's name, a folder that holds one, or NAME:PLACE."""
    out: Path
    """Folder for the results. Running again with the same folder resumes, also with other workers or shards."""
    limit: int | None = None
    """Only the first so many samples."""
    tasks: tuple[str, ...] = ()
    """Only these tasks, such as T2T TI2T; all when empty."""
    skip_bad_rows: bool = False
    """Count rows that cannot be used and go on, instead of stopping at the first."""
    workers: int = 1
    """Processes on this machine."""
    shard: str = "0/1"
    """Part i of n, counted from 0, where several machines share the work: i/n."""
    engine: Engine = "local"
    """Run the workers as processes here (local), or on a Ray cluster (ray)."""
    settle: bool = False
    """Reject samples that still fail, instead of leaving them for the next run."""
    dry_run: bool = False
    """Ask nothing; print how many calls, tokens and how much money it would take at most."""

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise RecipeError(f"limit must be at least 1, not {self.limit}.")
        if self.workers < 1:
            raise RecipeError(f"workers must be at least 1, not {self.workers}.")
        Part.parse(self.shard)
        for name in self.tasks:
            Task.parse(name)

    @property
    def source(self) -> str:
        """The dataset's name; what samples that don't say so are said to come from."""
        return open_place("datasets", self.samples)[0]

    def read(self, part: Part, bad_rows: BadRows) -> Iterator[Sample]:
        """The part's samples, lazily. Raises as `read_place`."""
        asked = {Task.parse(name) for name in self.tasks} or set(Task)
        found = (sample for sample in read_place("datasets", self.samples, bad_rows) if sample.task in asked)
        return (sample for sample in islice(found, self.limit) if part.holds(sample.id))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one call did.

    Attributes:
        samples: that the shard holds.
        kept, rejected: samples written, and refusals written, by the shard's parts.
        failed: samples that wait for another run; `first_error` is one of the reasons.
        merged: whether everything is done, so that the folder's own files are there.
        waiting: parts that other shards, or another run, have still to do.
        spent: money that this shard has taken in all its runs; None without prices.
    """

    samples: int
    kept: int
    rejected: int
    failed: int
    first_error: str
    merged: bool
    waiting: tuple[Part, ...]
    spent: float | None


@dataclass(frozen=True, slots=True)
class Size:
    """How many samples a part holds, and a digest of them; of media only names and sizes count. `bad_rows` are all."""

    samples: int
    digest: str
    bad_rows: int


Step = Callable[[float | None, Part], None]
"""Does one part with so much money; ends with `end`. Pickled, so a partial of a module's function."""


def run_step(
    verb: str,
    config: Division,
    said: dict[str, Any],
    accounts: Sequence[Account],
    budget: float | None,
    journals: Sequence[str],
    step: Step,
    merge: Callable[[], None],
) -> Outcome:
    """Do a shard's parts, and merge when everything is done.

    Args:
        verb: of the command.
        config: what the run was given.
        said: what the results depend on; another run in the same folder is refused.
        accounts: files of calls.
        budget: most money of all parts, runs and shards together.
        journals: other files of a part's folder whose records are answers.
        step: does one part.
        merge: makes the folder's own files from the parts that are done.

    Raises:
        JournalError: the folder holds another run or something else, or another process is at work on the same samples.
        What `step` raises.
    """
    shard = Part.parse(config.shard)
    parts = shard.split(config.workers)
    _check_empty(config.out)
    with held(config.out, shard), _claimed(config.out, shard, said):
        # Shards on many machines must not write one file.
        provenance.save_config(verb, config, config.out if shard.of == 1 else home_of(config.out, shard))
        _seed(config.out, parts, [account.file for account in accounts], journals)
        each = allowance(budget, shard, len(parts), spent(config.out, accounts, shard) if budget is not None else 0.0)
        run_parts(partial(step, each), shard, config.workers, config.engine)
        waiting = tuple(missing(done(config.out)))
        if not waiting:
            if not any(one["samples"] for one in all_said(config.out)):
                raise nothing(config)
            with merging(config.out):
                merge()
        return _outcome(config.out, shard, parts, waiting, accounts)


@contextmanager
def _claimed(out: Path, shard: Part, said: dict[str, Any]) -> Iterator[None]:
    path = out / RUN
    others = path.is_file() or shard.of > 1  # other shards may be at work under the same name
    claim(path, said)
    ended = False
    try:
        yield
        ended = True
    finally:
        asked = (file for part in folders(out) for file in part.folder(out).iterdir() if file.is_file())
        if not ended and not others and not any(file.stat().st_size for file in asked):
            path.unlink(missing_ok=True)
            (out / provenance.CONFIG).unlink(missing_ok=True)


def _check_empty(out: Path) -> None:
    """Refuse a folder that holds anything else; what begins with a dot is of a process that was killed."""
    if (out / RUN).is_file() or not out.is_dir():
        return
    names = [path.name for path in out.iterdir() if not path.name.startswith(".")]
    if foreign := sorted(name for name in names if name not in (SHARDS, PARTS)):
        raise JournalError(f"{out} is not empty, and no such run made it ({foreign[0]}). Choose a new --out.")


def size(config: Division, part: Part) -> Size:
    """Read a part's samples once, before anything is asked: a bad row must not come to light after hours.

    Raises:
        SourceError, BadRowError: the samples cannot be read.
    """
    sha, count, bad_rows = hashlib.sha256(), 0, BadRows(skip=config.skip_bad_rows)
    for sample in config.read(part, bad_rows):
        sha.update(line(sample, _named).encode("utf-8", "surrogatepass"))
        count += 1
    return Size(count, sha.hexdigest(), len(bad_rows.errors))


def is_done(config: Division, part: Part, found: Size) -> bool:
    """Whether a part is done with just these samples."""
    path = part.folder(config.out) / DONE
    return path.is_file() and json.loads(path.read_text(encoding="utf-8")).get("digest") == found.digest


def end(config: Division, part: Part, found: Size, said: dict[str, Any]) -> None:
    """Mark a part as done, or as left for another run where some of its samples failed.

    Args:
        config: of the run.
        part: its files are complete.
        found: its samples.
        said: what a report adds up; `failed` and `first_error` among it.
    """
    said = {**said, "samples": found.samples, "digest": found.digest, "bad_rows": found.bad_rows}
    folder = part.folder(config.out)
    if said["failed"] and not config.settle:
        atomic.write_text(folder / LEFT, json.dumps(said, sort_keys=True) + "\n")
        return
    (folder / LEFT).unlink(missing_ok=True)
    atomic.write_text(folder / DONE, json.dumps(said, sort_keys=True) + "\n")


@contextmanager
def watched(config: Division, part: Part, title: str, total: int) -> Iterator[Callable[[int], None]]:
    """Progress of a part. Of several workers the first shows it: their parts are equally large."""
    if part.index != Part.parse(config.shard).index:
        yield lambda _by: None
        return
    with Progress(f"{title}, part {part.index + 1} of {part.of}" if part.of > 1 else title, total) as progress:
        yield lambda by: progress.advance(by=by)


def nothing(config: Division) -> SourceError:
    """The error where there is no sample."""
    tasks = f" of the tasks {', '.join(config.tasks)}" if config.tasks else ""
    return SourceError(f"{config.samples} holds no sample{tasks}. Nothing was done.")


def _outcome(
    out: Path, shard: Part, parts: Sequence[Part], waiting: tuple[Part, ...], accounts: Sequence[Account]
) -> Outcome:
    said = []
    for part in parts:
        paths = [part.folder(out) / name for name in (DONE, LEFT)]
        said += [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]
    priced = all(account.price_in is not None and account.price_out is not None for account in accounts)
    return Outcome(
        samples=sum(one["samples"] for one in said),
        kept=sum(one["kept"] for one in said),
        rejected=sum(one["rejected"] for one in said),
        failed=sum(one["failed"] for one in said),
        first_error=next((one["first_error"] for one in said if one["first_error"]), ""),
        merged=not waiting,
        waiting=waiting,
        spent=spent(out, accounts, shard) if priced else None,
    )


def _seed(out: Path, parts: Sequence[Part], calls: Iterable[str], journals: Iterable[str]) -> None:
    """Copy what parts of other divisions have been answered into these parts; calls as paid for already."""
    for part in parts:
        others = [other for other in folders(out) if other.overlaps(part) and other != part]
        for file, paid in [*((file, True) for file in calls), *((file, False) for file in journals)]:
            found = [path for other in others if (path := other.folder(out) / file).is_file()]
            if not found:
                continue
            with Journal(part.folder(out) / file) as own:
                for path in found:
                    with Journal(path) as journal:
                        own.append(
                            _paid(record) if paid else record
                            for record in journal
                            if own.get(record["key"]) is None and _is_for(part, record)
                        )


def _paid(record: Record) -> Record:
    """The same answer, costing nothing: what it did cost stands where it was asked."""
    return {**record, "prompt_tokens": 0, "answer_tokens": 0, "lost": [0, 0]}


def _is_for(part: Part, record: Record) -> bool:
    if record["key"].startswith("lost:"):
        return False
    return "id" not in record or part.holds(record["id"])


def _named(media: Media) -> list[Any]:
    """What stands for a medium that nobody has opened."""
    return [
        hashlib.sha256(piece).hexdigest() if isinstance(piece, bytes) else [str(piece), piece.stat().st_size]
        for piece in media.pieces()
    ]
