"""Samples with criteria -> those that several judges agree with: the second half of how the paper made its data.

Each verifier judges each sample in both orders, ties allowed, and a rule says what is kept (`verdicts`). What is
unusual:

* Verifiers never see the claim. They judge as in evaluation, by the same code and journals.
* The report says how far verifiers agree beyond chance (Krippendorff's alpha with its interval), with the claims and
  among each other: a high yield from verifiers that agree on nothing is worth little.

Files in the output folder: ``samples.jsonl`` with ``media/`` (a folder of samples), ``rejected.jsonl`` (what each
verifier said of what was refused), ``says.jsonl`` (of everything), ``report.json``, ``report.html``, ``run.json``,
``config.yaml``, and ``parts/`` with journals and every answer that was paid for.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from omnireward import atomic, provenance
from omnireward.construct import parts as all_parts
from omnireward.construct.parts import Part
from omnireward.construct.running import Outcome, end, is_done, nothing, run_step, size, watched
from omnireward.construct.verdicts import Say, Vote, say, verdict
from omnireward.construct.verify_config import VerifyConfig, calls_file, judgements_file
from omnireward.errors import MediaError, PromptError
from omnireward.journal import Journal
from omnireward.judges import Estimate, PatientJudge, judge_kind, open_judge
from omnireward.judging import judge_all
from omnireward.sample_rows import FILE, SampleWriter
from omnireward.sources import BadRows
from omnireward.types import Sample
from omnireward.voting import Entry, Plan, entries

__all__ = ["DryRun", "Outcome", "VerifyConfig", "dry_run", "verify"]

REJECTED, SAYS = "rejected.jsonl", "says.jsonl"
_PLAN = Plan(order="both")


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a run from its beginning would take at most. `unreadable` votes could not be asked."""

    samples: int
    votes: int
    unreadable: int
    estimate: Estimate


@dataclass(frozen=True, slots=True)
class _Votes:
    """A verifier's votes in a part, by key."""

    fingerprint: str
    by_key: dict[str, Vote]


def verify(config: VerifyConfig) -> Outcome:
    """Have samples judged, keep what the rule says, and put the folder together when all parts are done.

    Raises:
        UnknownNameError, SourceError, RecipeError: the source or a judge cannot be opened; no sample.
        BadRowError: a row cannot be used, and `skip_bad_rows` is off.
        JournalError: the folder holds another run, or another process is at work on the same samples.
    """
    return run_step(
        "construct verify",
        config,
        _run(config),
        config.accounts,
        config.budget,
        [judgements_file(place) for place in range(len(config.verifiers))],
        partial(_part, config),
        partial(_merge, config),
    )


def dry_run(config: VerifyConfig) -> DryRun:
    """What a shard would take from the beginning, at most; sends nothing, writes nothing. Raises as `verify`."""
    part = Part.parse(config.shard)
    total, samples, votes, unreadable = Estimate(cost=0.0), 0, 0, 0
    samples = sum(1 for _ in config.read(part, BadRows(skip=config.skip_bad_rows)))
    if not samples:
        raise nothing(config)
    for place, name in enumerate(config.verifiers):
        if "calls" not in judge_kind(name).reads:
            votes += 2 * sum(1 for _ in _able(config, part, name))
            continue
        with ExitStack() as stack:
            judge = open_judge(name, config.options(place, None, None))
            assert isinstance(judge, PatientJudge)
            stack.callback(judge.close)
            for entry in entries(enumerate(_able(config, part, name)), judge.fingerprint, _PLAN):
                votes += 1
                try:
                    total = total.plus(judge.estimate(entry.shown))
                except (MediaError, PromptError, OSError):
                    unreadable += 1
    return DryRun(samples, votes, unreadable, total)


def _part(config: VerifyConfig, allowance: float | None, part: Part) -> None:
    found = size(config, part)
    if is_done(config, part, found):
        return
    folder = all_parts.begin(part, config.out)
    left, votes = allowance, []
    for place in range(len(config.verifiers)):
        account = config.accounts[place]
        before = account.spent(folder)
        votes.append(_judge(config, place, part, found.samples, None if left is None else before + left))
        left = None if left is None else max(0.0, left - (account.spent(folder) - before))
    end(config, part, found, _decide(config, part, votes))


def _judge(config: VerifyConfig, place: int, part: Part, samples: int, budget: float | None) -> _Votes:
    """All votes of one verifier on a part's samples."""
    name, folder = config.verifiers[place], part.folder(config.out)
    with ExitStack() as stack:
        judge = open_judge(name, config.options(place, folder / calls_file(place), budget))
        if isinstance(judge, PatientJudge):
            stack.callback(judge.close)
        journal = stack.enter_context(Journal(folder / judgements_file(place)))
        advance = stack.enter_context(watched(config, part, name, 2 * samples))
        stream = entries(enumerate(_able(config, part, name)), judge.fingerprint, _PLAN)
        judge_all(stream, judge, journal, config.batch_size, advance)
        journal.compact()
        return _Votes(judge.fingerprint, {record["key"]: Vote.of(record) for record in journal})


def _decide(config: VerifyConfig, part: Part, votes: Sequence[_Votes]) -> dict[str, Any]:
    """Write down what is kept, what is refused and what everybody said; returns the counts."""
    folder, source = part.folder(config.out), config.source
    kept = rejected = failed = 0
    first_error = ""
    named, labels = _provenance(config), config.labels
    with ExitStack() as stack:
        writer = stack.enter_context(SampleWriter(folder, media=config.out))
        refused, says_file = (stack.enter_context(atomic.whole(folder / name)) for name in (REJECTED, SAYS))
        samples = config.read(part, BadRows(skip=config.skip_bad_rows))
        for sample, by_verifier in _gathered(config, samples, votes):
            says = [say(found) for found in by_verifier]
            if "failed" in says:
                failed += 1
                first_error = first_error or next(vote.error for one in by_verifier for vote in one if vote.error)
                if not config.settle:
                    continue
            why = verdict(says, sample.preference, config.rule)
            record = _record(sample, source, says, why)
            says_file.write(json.dumps(record) + "\n")
            if why:
                rejected += 1
                told = {"criterion": sample.comparison.criterion, "says": dict(zip(labels, says, strict=True))}
                refused.write(json.dumps(record | told) + "\n")
            else:
                kept += 1
                writer.add(replace(sample, provenance={"source": source, **sample.provenance, **named}))
    return {"kept": kept, "rejected": rejected, "failed": failed, "first_error": first_error}


def _gathered(
    config: VerifyConfig, samples: Iterator[Sample], votes: Sequence[_Votes]
) -> Iterator[tuple[Sample, list[list[Vote]]]]:
    """Each sample with each verifier's votes on it; none from a verifier that cannot judge such samples."""
    streams = []
    for name, found in zip(config.verifiers, votes, strict=True):
        queue: deque[Sample] = deque()
        streams.append((judge_kind(name).tasks, queue, entries(enumerate(_taken(queue)), found.fingerprint, _PLAN)))
    for sample in samples:
        gathered = []
        for (able, queue, stream), found in zip(streams, votes, strict=True):
            asked: list[Entry] = []
            if able is None or sample.task in able:
                queue.append(sample)
                asked = [next(stream), next(stream)]
            gathered.append([found.by_key[entry.key] for entry in asked])
        yield sample, gathered


def _taken(queue: deque[Sample]) -> Iterator[Sample]:
    """What is put into a queue, each when it is there."""
    while True:
        yield queue.popleft()


def _able(config: VerifyConfig, part: Part, name: str) -> Iterator[Sample]:
    """A part's samples that a verifier can judge."""
    able = judge_kind(name).tasks
    samples = config.read(part, BadRows(skip=config.skip_bad_rows))
    return samples if able is None else (sample for sample in samples if sample.task in able)


def _record(sample: Sample, source: str, says: Sequence[Say], why: str) -> dict[str, Any]:
    return {
        "id": sample.id,
        "source": sample.provenance.get("source", source),
        "task": sample.task.short,
        "cluster": sample.cluster,
        "preference": sample.preference,
        "says": list(says),
        "reason": why,
    }


def _merge(config: VerifyConfig) -> None:
    from omnireward.construct.verify_report import write_report  # it loads what plots; no worker needs that

    all_parts.merge(config.out, (FILE, REJECTED, SAYS))
    bad_rows = max(one["bad_rows"] for one in all_parts.said(config.out))
    write_report(config.out, config.out / SAYS, _run(config), bad_rows)


def _provenance(config: VerifyConfig) -> dict[str, str]:
    return {"step": "verify", "verifiers": " ".join(config.labels), "rule": config.rule}


def _run(config: VerifyConfig) -> dict[str, Any]:
    """What the results depend on."""
    asked = ("limit", "rule", "seed", "critique", "temperature", "max_tokens")
    shown = ("frames", "views", "picture_side", "join_audio")
    return {
        "step": "verify",
        "place": provenance.portable(config.samples, config.out),
        "verifiers": list(config.labels),
        "settings": {name: getattr(config, name) for name in (*asked, *shown)} | {"tasks": list(config.tasks)},
    }
