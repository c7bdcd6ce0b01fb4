"""What steps do alike that have a chat model write: open it with its share of the money, ask in blocks, estimate.

Samples are worked on in blocks of several times a worker's concurrency, so that a slow call holds up few others.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from omnireward.construct.chats import Chat, open_chat
from omnireward.construct.parts import Part
from omnireward.construct.running import Size, nothing, watched
from omnireward.construct.writer_config import WriterConfig
from omnireward.errors import MediaError, PromptError
from omnireward.judges import Estimate
from omnireward.prompts.conversation import check_prompt
from omnireward.sources import BadRows
from omnireward.types import Sample

_BLOCK = 4  # times a worker's concurrency


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a run from its beginning would take at most. `unreadable` samples could not be shown."""

    samples: int
    unreadable: int
    estimate: Estimate


def estimated(config: WriterConfig, one: Callable[[Sample, Sequence[Chat | None]], Estimate]) -> DryRun:
    """What a shard would take from the beginning, at most; sends nothing, writes nothing.

    Args:
        config: of the step.
        one: what a sample takes; None stands for a model that costs nothing. May raise what makes it unreadable.

    Raises:
        UnknownNameError, SourceError, RecipeError: the source or a model cannot be opened; no sample.
        BadRowError: a row cannot be used, and `skip_bad_rows` is off.
    """
    total, samples, unreadable = Estimate(cost=0.0), 0, 0
    with ExitStack() as stack:
        chats = [
            stack.enter_context(closing(open_chat(model.name, model.options, Path(), 1))) if model.called else None
            for model in config.models
        ]
        for sample in config.read(Part.parse(config.shard), BadRows(skip=config.skip_bad_rows)):
            samples += 1
            try:
                check_prompt(sample.comparison.prompt)
                total = total.plus(one(sample, chats))
            except (MediaError, PromptError, OSError):
                unreadable += 1
    if not samples:
        raise nothing(config)
    return DryRun(samples, unreadable, total)


def blocks(
    config: WriterConfig, part: Part, found: Size, title: str, allowance: float | None
) -> Generator[tuple[list[Sample], list[Chat]], None, None]:
    """A part's samples, some at a time, with the models to ask about them. Close it, and the models are closed.

    Args:
        config: of the step.
        part: its folder is there.
        found: how many samples it has.
        title: of the progress that is shown.
        allowance: money that the part may spend in this run; each model that can cost some may spend its share.
    """
    folder = part.folder(config.out)
    with ExitStack() as stack:
        chats = _opened(config, stack, folder, allowance)
        advance = stack.enter_context(watched(config, part, title, found.samples))
        samples = config.read(part, BadRows(skip=config.skip_bad_rows))
        while block := list(islice(samples, _BLOCK * config.writer_options.concurrency)):
            yield block, chats
            advance(len(block))


def _opened(config: WriterConfig, stack: ExitStack, folder: Path, allowance: float | None) -> list[Chat]:
    share = None if allowance is None else allowance / max(1, len(config.accounts))
    budgets = {account.file: None if share is None else account.spent(folder) + share for account in config.accounts}
    chats = []
    for model in config.models:
        options = replace(model.options, calls=folder / model.calls, budget=budgets.get(model.calls))
        chats.append(open_chat(model.name, options, folder / model.answers, config.batch_size))
        stack.callback(chats[-1].close)
    return chats
