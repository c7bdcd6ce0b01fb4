"""Samples -> samples with criteria: a writer sees prompt and both responses, and says what could tell them apart.

This is the first half of how the paper made its criterion-conditioned data (section 4): a pair from any source, a
criterion, and the preference under it. What is unusual:

* The writer's word is a claim. `omnireward construct verify` has others look before it becomes data.
* An answer that is not in the form that was asked for is refused as a whole, and counted.
* Criteria are refused by rules, each with a name (`criteria_rules`), and by a second model where one is given.

Files in the output folder: ``samples.jsonl`` with ``media/`` (a folder of samples), ``rejected.jsonl`` (what was
refused and why), ``report.json``, ``run.json``, ``config.yaml``, and ``parts/`` with every answer that was paid for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from omnireward import provenance
from omnireward.construct import parts as all_parts
from omnireward.construct.chats import Chat, open_chat
from omnireward.construct.criteria_config import (
    CHECKER_ANSWERS,
    CHECKER_CALLS,
    WRITER_ANSWERS,
    WRITER_CALLS,
    CriteriaConfig,
)
from omnireward.construct.criteria_report import write_report
from omnireward.construct.criteria_rules import MOST_CHARACTERS
from omnireward.construct.drafts import Candidate, Draft
from omnireward.construct.parts import Part
from omnireward.construct.running import Outcome, end, is_done, nothing, run_step, size, watched
from omnireward.construct.siblings import merge_siblings
from omnireward.construct.writer_wording import wording_digest
from omnireward.construct.written import Results
from omnireward.errors import MediaError, PromptError
from omnireward.judges import Estimate
from omnireward.prompts.conversation import check_prompt
from omnireward.sample_rows import FILE, SampleWriter
from omnireward.sources import BadRows

__all__ = ["CriteriaConfig", "DryRun", "Outcome", "criteria", "dry_run"]

REJECTED = "rejected.jsonl"
_BLOCK = 4  # times a worker's concurrency: samples worked on together, so that a slow call holds up few others


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a run from its beginning would take at most. `unreadable` samples could not be shown."""

    samples: int
    unreadable: int
    estimate: Estimate


def criteria(config: CriteriaConfig) -> Outcome:
    """Have criteria written, and put the folder together when all parts are done.

    Raises:
        UnknownNameError, SourceError, RecipeError: the source or a model cannot be opened; no sample.
        BadRowError: a row cannot be used, and `skip_bad_rows` is off.
        JournalError: the folder holds another run, or another process is at work on the same samples.
    """
    return run_step(
        "construct criteria",
        config,
        _run(config),
        config.accounts,
        config.budget,
        (WRITER_ANSWERS, CHECKER_ANSWERS),
        partial(_part, config),
        partial(_merge, config),
    )


def dry_run(config: CriteriaConfig) -> DryRun:
    """What a shard would take from the beginning, at most; sends nothing, writes nothing. Raises as `criteria`."""
    part, asking = Part.parse(config.shard), config.asking
    total, samples, unreadable = Estimate(cost=0.0), 0, 0
    longest = Candidate("a", "m" * MOST_CHARACTERS, 0, 0)
    with ExitStack() as stack:
        writer, checker = (
            stack.enter_context(closing(open_chat(name, options, Path(), 1))) if name.startswith("api:") else None
            for name, options in ((config.writer, config.writer_options), (config.checker, config.checker_options))
        )
        for sample in config.read(part, BadRows(skip=config.skip_bad_rows)):
            samples += 1
            draft = Draft(sample, asking.wanted(sample), asking.swapped(sample))
            wanted = sum(draft.wanted.values())
            try:
                check_prompt(sample.comparison.prompt)
                if wanted and writer is not None:
                    total = total.plus(_times(writer.estimate(draft.question()), config.most))
                if wanted and checker is not None:
                    total = total.plus(_times(checker.estimate(draft.check(longest)), config.most * wanted))
            except (MediaError, PromptError, OSError):
                unreadable += 1
    if not samples:
        raise nothing(config)
    return DryRun(samples, unreadable, total)


def _times(one: Estimate, times: int) -> Estimate:
    cost = None if one.cost is None else one.cost * times
    return Estimate(one.calls * times, 0, one.prompt_tokens * times, one.answer_tokens * times, cost)


def _part(config: CriteriaConfig, allowance: float | None, part: Part) -> None:
    found = size(config, part)
    if is_done(config, part, found):
        return
    folder = all_parts.begin(part, config.out)
    source, named = config.source, _provenance(config)
    results = Results(source, config.settle)
    with ExitStack() as stack:
        writer, checker = _models(config, stack, folder, allowance)
        advance = stack.enter_context(watched(config, part, "criteria", found.samples))
        written = stack.enter_context(SampleWriter(folder, media=config.out))
        fresh = folder / f".{REJECTED}.new"
        refused = stack.enter_context(fresh.open("w", encoding="utf-8"))
        samples = config.read(part, BadRows(skip=config.skip_bad_rows))
        while block := list(islice(samples, _BLOCK * config.writer_options.concurrency)):
            drafts = [Draft(one, config.asking.wanted(one), config.asking.swapped(one)) for one in block]
            _write(drafts, writer, checker, config.most)
            for draft in filter(results.take, drafts):
                for made in draft.samples(source, named):
                    written.add(made)
                refused.writelines(json.dumps(one.record(draft.sample)) + "\n" for one in draft.refused)
            advance(len(block))
    fresh.replace(folder / REJECTED)
    end(config, part, found, results.said())


def _write(drafts: Sequence[Draft], writer: Chat, checker: Chat | None, most: int) -> None:
    """Ask the writer, and the checker about what it wrote, until nothing is lacking or all tries are used up."""
    for attempt in range(most):
        lacking = [draft for draft in drafts if draft.lacking and draft.failure is None]
        answers = writer.answers([(draft.question(), attempt) for draft in lacking])
        for draft, answer in zip(lacking, answers, strict=True):
            draft.answered(answer)
        if checker is None:
            for draft in lacking:
                draft.accept()
            continue
        waiting = [(draft, one) for draft in lacking for one in draft.waiting]
        answers = checker.answers([(draft.check(one), 0) for draft, one in waiting])
        for (draft, one), answer in zip(waiting, answers, strict=True):
            draft.checked(one, answer)


def _merge(config: CriteriaConfig) -> None:
    folders = [part.folder(config.out) for part in all_parts.done(config.out)]
    siblings = merge_siblings(
        [folder / FILE for folder in folders],
        [folder / REJECTED for folder in folders],
        config.same_per_prompt,
        (config.out / FILE, config.out / REJECTED),
    )
    said = all_parts.said(config.out)
    tally = siblings.plus(one["tally"] for one in said)
    write_report(config.out, _run(config), tally, bad_rows=max(one["bad_rows"] for one in said))


def _models(
    config: CriteriaConfig, stack: ExitStack, folder: Path, allowance: float | None
) -> tuple[Chat, Chat | None]:
    """The writer and the checker; each may spend half of what the part may."""
    share = None if allowance is None else allowance / max(1, len(config.accounts))
    budgets = {account.file: None if share is None else account.spent(folder) + share for account in config.accounts}
    found = []
    for name, options, calls, answers in (
        (config.writer, config.writer_options, WRITER_CALLS, WRITER_ANSWERS),
        (config.checker, config.checker_options, CHECKER_CALLS, CHECKER_ANSWERS),
    ):
        if name:
            asked = replace(options, calls=folder / calls, budget=budgets.get(calls))
            chat = open_chat(name, asked, folder / answers, config.batch_size)
            stack.callback(chat.close)
            found.append(chat)
    return found[0], found[1] if len(found) > 1 else None


def _provenance(config: CriteriaConfig) -> dict[str, str]:
    """What each new sample says of how it was made."""
    out = config.out
    named = {
        "step": "criteria",
        "place": provenance.portable(config.samples, out),
        "writer": provenance.portable(config.writer, out),
    }
    return named | ({"checker": provenance.portable(config.checker, out)} if config.checker else {})


def _run(config: CriteriaConfig) -> dict[str, Any]:
    """What the results depend on."""
    asked = ("limit", "favour_a", "favour_b", "ties", "most", "keep_preference", "balance", "same_per_prompt")
    shown = ("seed", "temperature", "max_tokens", "frames", "views", "picture_side", "join_audio")
    settings = {name: getattr(config, name) for name in (*asked, *shown)}
    return {**_provenance(config), "settings": settings | {"tasks": list(config.tasks)}, "wording": wording_digest()}
