"""Samples -> critiques of them: a writer is asked as a judge is, and what it got right teaches a judge.

A model is asked our question about a sample, several times where it must be, and an answer is kept that comes to the
sample's preference: rejection sampling. What is unusual:

* The writer is not told the preference. One that is told argues for it, whatever there is to see.
* It is asked again only for what it has not got right; with a budget, and resumed, as every step is.
* The report says how often it is right at the first attempt, and how far it leans to a place: what is kept leans, too,
  because a writer that prefers A is more often right where A is.

Files in the output folder: ``critiques.jsonl`` beside ``samples.jsonl`` and ``media/`` (a folder of critiques, which is
a folder of samples), ``rejected.jsonl`` (what was refused and why), ``answers.jsonl`` (of each answer everything but
its words), ``report.json``, ``report.html``, ``run.json``, ``config.yaml``, and ``parts/`` with every answer that was
paid for.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from typing import Any

from omnireward import atomic, provenance
from omnireward.construct import parts as all_parts
from omnireward.construct.chats import Chat
from omnireward.construct.critique_drafts import Draft
from omnireward.construct.critiques_config import CritiquesConfig
from omnireward.construct.critiques_merge import ANSWERS, Merging, merge_critiques
from omnireward.construct.parts import Part
from omnireward.construct.running import Outcome, end, is_done, run_step, size
from omnireward.construct.writer_config import WRITER_ANSWERS
from omnireward.construct.writer_steps import DryRun, blocks, estimated
from omnireward.judges import Estimate
from omnireward.prompts import wording_digest
from omnireward.sample_rows import SampleWriter
from omnireward.types import Sample

__all__ = ["CritiquesConfig", "DryRun", "Outcome", "critiques", "dry_run"]


def critiques(config: CritiquesConfig) -> Outcome:
    """Have critiques written, and put the folder together when all parts are done.

    Raises:
        UnknownNameError, SourceError, RecipeError: the source or the writer cannot be opened; no sample.
        BadRowError: a row cannot be used, and `skip_bad_rows` is off.
        JournalError: the folder holds another run, or another process is at work on the same samples.
    """
    return run_step(
        "construct critiques",
        config,
        _run(config),
        config.accounts,
        config.budget,
        (WRITER_ANSWERS,),
        partial(_part, config),
        partial(_merge, config),
    )


def dry_run(config: CritiquesConfig) -> DryRun:
    """What a shard would take from the beginning, at most; sends nothing, writes nothing. Raises as `critiques`."""
    return estimated(config, partial(_estimate, config))


def _estimate(config: CritiquesConfig, sample: Sample, chats: Sequence[Chat | None]) -> Estimate:
    total = Estimate(cost=0.0)
    for draft in _drafts(config, sample):
        if chats[0] is not None and draft.lacking:
            total = total.plus(chats[0].estimate(draft.question()).times(config.most))
    return total


def _drafts(config: CritiquesConfig, sample: Sample) -> list[Draft]:
    return [Draft(sample, swapped, config.rules) for _, swapped in config.plan.votes((sample.task.short, sample.id))]


def _part(config: CritiquesConfig, allowance: float | None, part: Part) -> None:
    found = size(config, part)
    if is_done(config, part, found):
        return
    folder, source = all_parts.begin(part, config.out), config.source
    kept = rejected = failed = 0
    first_error = ""
    with ExitStack() as stack:
        samples = stack.enter_context(SampleWriter(folder, media=config.out))
        answers = stack.enter_context(atomic.whole(folder / ANSWERS))
        found_blocks = stack.enter_context(closing(blocks(config, part, found, "critiques", allowance)))
        for sample, drafts in (one for block, chats in found_blocks for one in _asked(config, block, chats[0])):
            errors = [one.failure.reason for one in drafts if one.failure is not None and not one.failure.lasting]
            if errors:
                failed += 1
                first_error = first_error or errors[0]
                if not config.settle:
                    continue
            records = [record for draft in drafts for record in draft.records(source)]
            answers.writelines(json.dumps(record) + "\n" for record in records)
            refused = sum(bool(record["reason"]) for record in records)
            kept, rejected = kept + len(records) - refused, rejected + refused
            if any(draft.useful for draft in drafts):
                samples.add(replace(sample, provenance={"source": source, **sample.provenance}))
    end(config, part, found, {"kept": kept, "rejected": rejected, "failed": failed, "first_error": first_error})


def _asked(config: CritiquesConfig, block: Sequence[Sample], writer: Chat) -> list[tuple[Sample, list[Draft]]]:
    """Ask the writer about some samples, until nothing is lacking or all attempts are used up."""
    asked = [(sample, _drafts(config, sample)) for sample in block]
    for attempt in range(config.most):
        lacking = [draft for _, drafts in asked for draft in drafts if draft.lacking]
        answers = writer.answers([(draft.question(), attempt) for draft in lacking])
        for draft, answer in zip(lacking, answers, strict=True):
            draft.answered(answer)
    return asked


def _merge(config: CritiquesConfig) -> None:
    from omnireward.construct.critiques_report import write_report  # it loads what plots; no worker needs that

    out, parts = config.out, all_parts.done(config.out)
    writer = provenance.portable(config.writer, out)
    merging = Merging(config.same, config.balance, config.seed, config.rules.wrong, writer)
    merge_critiques([part.folder(out) for part in parts], out, merging)
    write_report(out, out / ANSWERS, _run(config), bad_rows=max(one["bad_rows"] for one in all_parts.said(out)))


def _run(config: CritiquesConfig) -> dict[str, Any]:
    """What the results depend on."""
    asked = ("limit", "order", "ties", "most", "keep_per_sample", "keep", "fewest_words", "same", "balance")
    shown = ("seed", "temperature", "max_tokens", "frames", "views", "picture_side", "join_audio")
    return {
        "step": "critiques",
        "place": provenance.portable(config.samples, config.out),
        "writer": provenance.portable(config.writer, config.out),
        "settings": {name: getattr(config, name) for name in (*asked, *shown)} | {"tasks": list(config.tasks)},
        "wording": wording_digest(config.form),
    }
