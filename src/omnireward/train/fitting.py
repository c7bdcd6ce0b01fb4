"""After training: where the comparisons that were trained on lie for the finished model (see `omnireward.uncertainty`).

A twelfth of them is enough, and a pass without gradients takes about a third of one with them, so this adds a few
percent to a run, however large model and data are. Dropout is off. Processes share the work, and the first one fits.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from omnireward.ahead import Ahead, Coming
from omnireward.atomic import SAVING, synced, write_text
from omnireward.checkpoint import sha256_of
from omnireward.checkpoint_json import read_json
from omnireward.encoded import Encoded
from omnireward.errors import MediaError, PromptError, RecipeError
from omnireward.progress import Progress
from omnireward.reward_model import RECORD, SIDES, UNCERTAINTY, RewardModel
from omnireward.sources import BadRows
from omnireward.train.mixing import Mixture, mix
from omnireward.train.together import collected, rank, world
from omnireward.types import Sample
from omnireward.uncertainty import FILE, LEAST, MOST, Uncertainty, fit

SHARE = 1 / 12  # of what was trained on
TOGETHER = 32  # comparisons encoded at once


def trained_on(mixture: Mixture, seed: int, trained: int) -> list[Sample]:
    """Samples to fit to, evenly from those that a run saw; none where it saw too few.

    Args:
        mixture: what it trained on.
        seed: of its order.
        trained: how many samples it was shown, the same one more than once too.
    """
    order = mixture.order(seed, 0)[:trained]
    return spread(mixture, order, min(MOST, int(trained * SHARE)))


def spread(mixture: Mixture, order: Sequence[int], wanted: int) -> list[Sample]:
    """At most so many samples, evenly from an order of them, each once."""
    distinct = list(dict.fromkeys(order))
    wanted = min(wanted, len(distinct))
    if wanted < LEAST:
        return []
    return [mixture.samples[distinct[place * len(distinct) // wanted]] for place in range(wanted)]


def fit_model(
    model: RewardModel, samples: Sequence[Sample], bf16: bool, unusable: Collection[int] = (), split: bool = False
) -> None:
    """Give a model its `uncertainty`, in the first of all processes. All of them call it, with the same arguments.

    Args:
        model: trained.
        samples: of training.
        bf16: compute as training did.
        unusable: `id` of samples that are left out; those whose media cannot be read are left out too.
        split: the weights lie split over the processes, which could not each compute something else.
    """
    model.uncertainty = None
    if not samples:
        return
    if split:
        if rank() == 0:
            sys.stderr.write(
                "note: with weights split over processes nothing is fitted of what the model does not know. Do it "
                "afterwards, in one process: omnireward uncertainty OUT --datasets ...\n"
            )
        return
    mine = [sample for sample in samples[rank() :: world()] if id(sample) not in unusable]
    with torch.autocast(model.head.weight.device.type, torch.bfloat16, enabled=bf16):
        found = _states(model, mine)
    shares = collected(found)
    if rank() == 0:
        hidden, criteria, margins, clusters = zip(*shares, strict=True)
        prompts = [name for share in clusters for name in share]
        model.uncertainty = fit(torch.cat(hidden), torch.cat(criteria), torch.cat(margins), prompts)


def fit_folder(folder: Path, datasets: Mapping[str, float], most: int, limit: int | None) -> Uncertainty:
    """Fit a checkpoint's `uncertainty` to the data that it was trained on, and write it into its folder.

    Raises:
        CheckpointError: the folder holds no reward model.
        SourceError: rows that cannot be read.
        RecipeError: too few comparisons.
    """
    model = RewardModel.load(folder).requires_grad_(False)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    mixture = mix(datasets, BadRows(skip=True), limit, ties=True)
    samples = spread(mixture, mixture.order(0, 0), most)
    with Progress("look at training's data", len(samples)) as progress:
        hidden, criteria, margins, clusters = _states(model, samples, lambda done: progress.advance(by=done))
    found = fit(hidden, criteria, margins, clusters)
    if found is None:
        raise RecipeError(
            f"{len(clusters)} comparisons of {len(set(clusters))} prompts are too few to fit to: at least {LEAST} are "
            "needed, of several prompts. Name more of the data that it was trained on, or allow more comparisons."
        )
    _write(found, folder)
    return found


States = tuple[Tensor, Tensor, Tensor, list[str]]


def _states(model: RewardModel, samples: Sequence[Sample], advance: Callable[[int], None] = lambda _: None) -> States:
    """Hidden states of responses (n, 2, hidden) and criteria (n, hidden), margins (n,), and prompts."""
    size = model.backbone.hidden_size
    hidden, criteria, margins = [torch.empty(0, 2, size)], [torch.empty(0, size)], [torch.empty(0)]
    clusters: list[str] = []
    known: dict[str, Tensor] = {}
    model.eval()  # before anything is encoded ahead
    for batch, coming in _ahead(model, samples):
        usable, rows = _encoded(batch, coming)
        if usable:
            states = model.states(rows, heads=True)
            rewards = states[:, 0].view(-1, 2)
            hidden.append(states[:, -size:].view(-1, 2, size))
            margins.append(rewards[:, 0] - rewards[:, 1])
            asked = [sample.comparison.criterion for sample in usable]
            fresh = [one for one in dict.fromkeys(asked) if one not in known]
            known |= dict(zip(fresh, model.states_of_criteria(fresh), strict=True))
            criteria.append(torch.stack([known[one] for one in asked]))
            clusters += [sample.cluster for sample in usable]
        advance(len(batch))
    return torch.cat(hidden), torch.cat(criteria), torch.cat(margins), clusters


def _encoded(batch: Sequence[Sample], coming: Coming) -> tuple[list[Sample], list[Encoded]]:
    usable: list[Sample] = []
    rows: list[Encoded] = []
    for sample in batch:
        try:
            rows += [coming.encoded(sample.comparison, side) for side in SIDES]
        except (MediaError, PromptError):
            continue
        usable.append(sample)
    return usable, rows


def _ahead(model: RewardModel, samples: Sequence[Sample]) -> Iterator[tuple[Sequence[Sample], Coming]]:
    """Batches whose media are being decoded, each begun before the one before it is computed."""
    ahead = Ahead(model)
    begun: tuple[Sequence[Sample], Coming] | None = None
    try:
        for start in range(0, len(samples), TOGETHER):
            batch, before = samples[start : start + TOGETHER], begun
            begun = batch, ahead.begin((sample.comparison, side) for sample in batch for side in SIDES)
            if before is not None:
                yield before
        if begun is not None:
            yield begun
    finally:
        ahead.close()


def _write(found: Uncertainty, folder: Path) -> None:
    """Put it into a checkpoint's folder. Killed half-way, the record names none, and what lies there is not read."""
    record = read_json(folder / RECORD)
    weights = record.get("weights")
    digests = dict(weights) if isinstance(weights, dict) else None
    record.pop(UNCERTAINTY, None)
    if digests is not None:
        digests.pop(FILE, None)
        record["weights"] = digests
    _record(folder, record)
    with TemporaryDirectory(dir=folder, prefix=SAVING) as fresh:
        found.write(Path(fresh))
        synced(Path(fresh, FILE))
        Path(fresh, FILE).replace(folder / FILE)
    record[UNCERTAINTY] = FILE
    if digests is not None:
        digests[FILE] = sha256_of(folder / FILE)
    _record(folder, record)


def _record(folder: Path, record: Mapping[str, Any]) -> None:
    write_text(folder / RECORD, json.dumps(record, indent=2, sort_keys=True) + "\n")
    synced(folder)
