"""Samples x judge -> a journal of judgements. Judging is dear and resumes; the report is cheap and made from the files.

What is unusual:

* A judgement is journaled when it comes. Running the same command again judges only what is missing and what failed; a
  finished run that is run again changes no byte.
* What a judge sees decides what is judged again: a judgement is reused while judge and comparison are the same. What
  people said about the sample is taken from the benchmark each time, so a corrected preference costs nothing.
* A failure is a record with a reason and without a margin. It never becomes a number; the next run tries it again.

Files in the output folder: ``judgements.jsonl`` (the journal), ``run.json`` (what was run), ``shown.jsonl`` (a few
samples of each task with their media), ``config.yaml`` (the resolved config, itself a recipe) and, from judges behind
an API, ``calls.jsonl`` (every answer that was paid for).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

import omnireward
from omnireward import atomic, gallery, provenance
from omnireward.errors import JournalError, MediaError, PromptError, RecipeError, SourceError
from omnireward.journal import Journal
from omnireward.judges import (
    ASKING,
    SHOWING,
    Estimate,
    Judge,
    JudgeOptions,
    PatientJudge,
    SelectiveJudge,
    judge_kind,
    open_judge,
)
from omnireward.judging import Outcome, judge_all
from omnireward.progress import Progress
from omnireward.sources import BadRows, open_place, read_place
from omnireward.types import Sample, Task
from omnireward.voting import Order, Plan, entries


@dataclass(frozen=True, kw_only=True)
class Matter:
    """What to judge, who judges, and where the results go."""

    judge: str
    """KIND or KIND:ARGUMENT, such as longer or reward:out/run. 'omnireward list' shows the kinds."""
    benchmark: str
    """A benchmark's name, a folder that holds one, or NAME:PLACE."""
    out: Path
    """Folder for the results. Running again with the same folder resumes."""
    order: Order = "random"
    """Which response is shown first: always a, drawn for each sample, or each sample in both orders."""
    repeats: int = 1
    """Votes on each sample, in each order; the majority counts."""
    criterion: bool = True
    """Tell the judge the criterion; without it, one sees what the judge prefers by itself."""
    limit: int | None = None
    """Judge only the first so many samples."""
    tasks: tuple[str, ...] = ()
    """Judge only these tasks, such as T2T TI2T; all when empty."""
    batch_size: int = 16
    """Samples judged together, and written to the disk together, by judges that compute here."""
    skip_bad_rows: bool = False
    """Count rows that cannot be used and go on, instead of stopping at the first."""
    shown: int = 6
    """Samples of each task that the report shows with their media."""
    dry_run: bool = False
    """Judge nothing; print how many calls, tokens and how much money it would take at most."""


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig(JudgeOptions, Matter):  # in this order, `--help` shows the matter first
    """What to judge, who judges and how it is asked, and where the results go."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value, least in (
            ("batch_size", self.batch_size, 1),
            ("repeats", self.repeats, 1),
            ("shown", self.shown, 0),
            ("limit", 1 if self.limit is None else self.limit, 1),
        ):
            if value < least:
                raise RecipeError(f"{name} must be at least {least}, not {value}.")

    @property
    def plan(self) -> Plan:
        """The votes on each sample."""
        return Plan(self.order, self.repeats, self.seed, self.criterion)

    @property
    def options(self) -> JudgeOptions:
        """What the judge is opened with."""
        return JudgeOptions(**{field.name: getattr(self, field.name) for field in fields(JudgeOptions)})


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a run would take. `estimate` is None for judges that compute here; `unreadable` votes could not be asked."""

    votes: int
    unreadable: int
    estimate: Estimate | None


def evaluate(config: EvaluateConfig) -> Outcome:
    """Judge a benchmark and write the files that a report is made from.

    Raises:
        UnknownNameError, SourceError, RecipeError: the judge, the benchmark or a task cannot be opened; no sample.
        BadRowError: a row cannot be used, and `skip_bad_rows` is off.
        JournalError: the folder holds another run, cannot be written to, or another process is writing to it.
    """
    with ExitStack() as stack:
        judge = _opened(config, stack, config.calls or config.out / "calls.jsonl")
        # Read once before judging: a bad row or a journal of other data must not come to light after hours of it.
        bad_rows, skipped = BadRows(skip=config.skip_bad_rows), Counter[str]()
        keys = [entry.key for entry in entries(_numbered(config, bad_rows, skipped), judge.fingerprint, config.plan)]
        if not keys:
            raise _nothing(config, bad_rows, skipped)
        run = _run(config, judge, len(keys), bad_rows, skipped)
        shelf = gallery.Shelf(config.shown)
        with Journal(config.out / "judgements.jsonl") as journal:
            _claim(config.out / "run.json", run, journal, keys)
            provenance.save_config("evaluate", config, config.out)
            with Progress("judge", len(keys)) as progress:
                numbered = shelf.watch(_numbered(config, BadRows(skip=config.skip_bad_rows), Counter()))
                outcome = judge_all(
                    entries(numbered, judge.fingerprint, config.plan),
                    judge,
                    journal,
                    config.batch_size,
                    lambda steps: progress.advance(by=steps),
                )
            journal.compact()
            gallery.write(shelf.samples(), config.out / "shown.jsonl")
    return outcome


def dry_run(config: EvaluateConfig) -> DryRun:
    """What `evaluate` would take, as an upper bound; sends nothing and writes nothing. Raises as `evaluate`."""
    calls = config.calls or config.out / "calls.jsonl"
    with ExitStack() as stack:
        judge = _opened(config, stack, calls if calls.is_file() else None)
        skipped = Counter[str]()
        bad_rows = BadRows(skip=config.skip_bad_rows)
        total, votes, unreadable = Estimate(cost=0.0), 0, 0
        for entry in entries(_numbered(config, bad_rows, skipped), judge.fingerprint, config.plan):
            votes += 1
            if not isinstance(judge, PatientJudge):
                continue
            try:
                total = total.plus(judge.estimate(entry.shown, entry.repeat))
            except (MediaError, PromptError, OSError):
                unreadable += 1
        if not votes:
            raise _nothing(config, bad_rows, skipped)
    return DryRun(votes, unreadable, total if isinstance(judge, PatientJudge) else None)


def _opened(config: EvaluateConfig, stack: ExitStack, calls: Path | None) -> Judge:
    reads = judge_kind(config.judge).reads
    judge = open_judge(config.judge, replace(config.options, calls=calls if "calls" in reads else config.calls))
    if isinstance(judge, PatientJudge):
        stack.callback(judge.close)
    return judge


def _run(config: EvaluateConfig, judge: Judge, votes: int, bad_rows: BadRows, skipped: Counter[str]) -> dict[str, Any]:
    """What run.json says."""
    own = judge.reads if isinstance(judge, SelectiveJudge) else judge_kind(config.judge).reads
    reads = own & (ASKING | SHOWING | {"join_audio"})
    per_sample = config.repeats * (2 if config.order == "both" else 1)
    return {
        "judge": provenance.portable(config.judge, config.out),
        "benchmark": provenance.portable(_named(config.benchmark), config.out),
        "seed": config.seed,
        "fingerprint": judge.fingerprint,
        "settings": {"order": config.order, "repeats": config.repeats, "criterion": config.criterion}
        | config.told(reads),
        "command": provenance.command("evaluate", config, config.out),
        "version": omnireward.__version__,
        "samples": votes // per_sample,
        "skipped": dict(sorted(skipped.items())),
        "bad_rows": [
            {"file": provenance.portable(e.file, config.out), "row": e.row, "field": e.field, "problem": e.problem}
            for e in bad_rows.errors
        ],
    }


def _named(place: str) -> str:
    """NAME or NAME:LOCATION, also where a folder alone was given: reports compare by name."""
    name, _, location = open_place("benchmarks", place)
    return f"{name}:{location}" if location else name


def _numbered(config: EvaluateConfig, bad_rows: BadRows, skipped: Counter[str]) -> Iterator[tuple[int, Sample]]:
    """The samples asked for, with their positions in the whole benchmark; counts those that the judge cannot judge."""
    asked = {Task.parse(name) for name in config.tasks} or set(Task)
    return islice(_able(config, asked, bad_rows, skipped), config.limit)


def _able(
    config: EvaluateConfig, asked: set[Task], bad_rows: BadRows, skipped: Counter[str]
) -> Iterator[tuple[int, Sample]]:
    able = judge_kind(config.judge).tasks
    for index, sample in enumerate(read_place("benchmarks", config.benchmark, bad_rows)):
        if sample.task not in asked:
            continue
        if able is None or sample.task in able:
            yield index, sample
        else:
            skipped[sample.task.short] += 1


def _nothing(config: EvaluateConfig, bad_rows: BadRows, skipped: Counter[str]) -> SourceError:
    """The error where there is no sample to judge."""
    said = f"{config.benchmark} holds no sample"
    if config.tasks:
        said += f" of the tasks {', '.join(config.tasks)}"
    if skipped:
        able = ", ".join(task.short for task in Task if task in (judge_kind(config.judge).tasks or ()))
        said += f" that the judge {config.judge} can judge: it judges {able}, and these are {', '.join(skipped)}"
    if bad_rows.errors:
        said += f"; {len(bad_rows.errors)} rows cannot be used, the first: {bad_rows.errors[0]}"
    return SourceError(f"{said} Nothing was judged." if bad_rows.errors else f"{said}. Nothing was judged.")


def _claim(path: Path, run: dict[str, Any], journal: Journal, keys: Iterable[str]) -> None:
    """Refuse a folder that holds another run; write down whose it is from now on, before anything is judged."""
    advice = "Choose another --out, or remove the folder to judge anew."
    mend = f"Remove this file alone; what {journal.path.name} holds is checked without it, and stays."
    if path.is_file():
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise JournalError(f"{path} is not JSON ({error}). {mend}") from error
        if not isinstance(found, dict):
            raise JournalError(f"{path} is a {type(found).__name__}, not an object. {mend}")
        for name in ("judge", "benchmark", "seed", "settings", "fingerprint"):
            if found.get(name) != run[name]:
                raise JournalError(
                    f"{path.parent} holds another run: its {name} is {found.get(name)!r}, this run's is {run[name]!r}. "
                    f"{advice}"
                )
    others = len({record["key"] for record in journal}.difference(keys))
    if others:
        raise JournalError(
            f"{journal.path} holds {others} judgements of samples that are not part of this run: they were made with a "
            f"higher limit, with other tasks, or from other data. {advice}"
        )
    atomic.write_text(path, json.dumps(run, indent=2, sort_keys=True) + "\n")
