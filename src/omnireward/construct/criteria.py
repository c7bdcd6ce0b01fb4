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
from functools import partial
from typing import Any

from omnireward import atomic, provenance
from omnireward.construct import parts as all_parts
from omnireward.construct.chats import Chat
from omnireward.construct.criteria_config import CHECKER_ANSWERS, CriteriaConfig
from omnireward.construct.criteria_report import write_report
from omnireward.construct.criteria_rules import MOST_CHARACTERS
from omnireward.construct.drafts import Candidate, Draft
from omnireward.construct.parts import Part
from omnireward.construct.running import Outcome, end, is_done, run_step, size
from omnireward.construct.siblings import merge_siblings
from omnireward.construct.writer_config import WRITER_ANSWERS
from omnireward.construct.writer_steps import DryRun, blocks, estimated
from omnireward.construct.writer_wording import wording_digest
from omnireward.construct.written import Results
from omnireward.judges import Estimate
from omnireward.sample_rows import FILE, SampleWriter
from omnireward.types import Sample

__all__ = ["CriteriaConfig", "DryRun", "Outcome", "criteria", "dry_run"]

REJECTED = "rejected.jsonl"


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
    return estimated(config, partial(_estimate, config))


def _estimate(config: CriteriaConfig, sample: Sample, chats: Sequence[Chat | None]) -> Estimate:
    writer, checker = chats[0], chats[1] if len(chats) > 1 else None
    draft = _draft(config, sample)
    wanted = sum(draft.wanted.values())
    total = Estimate(cost=0.0)
    if wanted and writer is not None:
        total = total.plus(writer.estimate(draft.question()).times(config.most))
    if wanted and checker is not None:
        longest = Candidate("a", "m" * MOST_CHARACTERS, 0, 0)
        total = total.plus(checker.estimate(draft.check(longest)).times(config.most * wanted))
    return total


def _draft(config: CriteriaConfig, sample: Sample) -> Draft:
    return Draft(sample, config.asking.wanted(sample), config.asking.swapped(sample))


def _part(config: CriteriaConfig, allowance: float | None, part: Part) -> None:
    found = size(config, part)
    if is_done(config, part, found):
        return
    folder = all_parts.begin(part, config.out)
    source, named = config.source, _provenance(config)
    results = Results(source, config.settle)
    with ExitStack() as stack:
        written = stack.enter_context(SampleWriter(folder, media=config.out))
        refused = stack.enter_context(atomic.whole(folder / REJECTED))
        for block, chats in stack.enter_context(closing(blocks(config, part, found, "criteria", allowance))):
            drafts = [_draft(config, sample) for sample in block]
            _write(drafts, chats[0], chats[1] if len(chats) > 1 else None, config.most)
            for draft in filter(results.take, drafts):
                for made in draft.samples(source, named):
                    written.add(made)
                refused.writelines(json.dumps(one.record(draft.sample)) + "\n" for one in draft.refused)
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
