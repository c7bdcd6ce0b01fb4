"""After training: where the comparisons that were trained on lie for the finished model (see `omnireward.uncertainty`).

A twelfth of them is enough, and a pass without gradients takes about a third of one with them, so this adds a few
percent to a run, however large model and data are. Dropout is off. Processes share the work, and the first one fits.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from torch import Tensor

from omnireward import plugins, provenance, recipes
from omnireward.ahead import Ahead, Coming
from omnireward.atomic import SAVING, synced, write_text
from omnireward.checkpoint import sha256_of
from omnireward.checkpoint_json import read_json
from omnireward.encoded import Encoded
from omnireward.errors import CheckpointError, MediaError, OmniRewardError, PromptError, RecipeError
from omnireward.flags import from_flags, to_flags
from omnireward.progress import Progress
from omnireward.reward_model import RECORD, SIDES, TOKENS_PER_PASS, UNCERTAINTY, RewardModel
from omnireward.sources import BadRows
from omnireward.train.config import TrainConfig
from omnireward.train.mixing import Mixture, mixture_of
from omnireward.train.together import collected, rank, world
from omnireward.types import Sample
from omnireward.uncertainty import FILE, LEAST, MOST, Uncertainty, fit

SHARE = 1 / 12  # of what was trained on
States = tuple[Tensor, Tensor, Tensor, list[str]]
TOGETHER = 32  # comparisons encoded at once
# Too little memory, on whatever device, is a RuntimeError or a MemoryError; no convergence a RuntimeError too.
FAILURES = (ValueError, RuntimeError, MemoryError, OSError, SafetensorError, OmniRewardError)


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


def fit_final(
    model: RewardModel,
    samples: Sequence[Sample],
    out: Path,
    bf16: bool,
    tokens: int = TOKENS_PER_PASS,
    unusable: Collection[int] = (),
    split: bool = False,
) -> None:
    """Fit a saved model's `uncertainty`, and write it into its folder. All processes call it, with the same arguments.

    The model stays as it was saved, without it, where that does not work, and a note on stderr says why: a run that
    took weeks is not lost to what can be made up for.

    Args:
        model: trained, whole, and saved in `out`.
        samples: of training, from `trained_on`.
        out: its folder.
        bf16: compute as training did.
        tokens: of a pass in training, which fitted into the memory.
        unusable: `id` of samples that are left out; those whose media cannot be read are left out too.
        split: the weights lie split over the processes, which could not each compute something else.
    """
    try:
        found = fit_model(model, samples, bf16, tokens, unusable, split)
        if found is not None:
            _write(found, out)
    except FAILURES as error:
        _note(f"{type(error).__name__}: {error}", out)
        with suppress(OSError):  # the record does not name it
            (out / FILE).unlink(missing_ok=True)
        return
    if found is not None:
        model.uncertainty = found


def fit_model(
    model: RewardModel,
    samples: Sequence[Sample],
    bf16: bool,
    tokens: int = TOKENS_PER_PASS,
    unusable: Collection[int] = (),
    split: bool = False,
) -> Uncertainty | None:
    """What `fit_final` writes: in the first of all processes, where it can be fitted. Else None, and it is noted why.

    What one process meets it says by itself; the others do not wait for it for ever.
    """
    model.uncertainty = None
    if split or not samples:
        least = f"{math.ceil(LEAST / SHARE):,} comparisons, of which {LEAST} are different ones"
        _note("the weights lie split over processes" if split else f"the run was too short; it takes {least}")
        return None
    mine = [sample for sample in samples[rank() :: world()] if id(sample) not in unusable]
    states: States | None = None
    try:
        with torch.autocast(model.head.weight.device.type, torch.bfloat16, enabled=bf16):
            states = _states(model, mine, min(tokens, TOKENS_PER_PASS))
    except FAILURES as error:
        sys.stderr.write(f"note: process {rank()} of {world()}: {type(error).__name__}: {error}\n")
    shares = collected(states)
    if rank() != 0:
        return None
    whole = [share for share in shares if share is not None]
    if len(whole) < len(shares):
        _note("not every process could compute its share")
        return None
    hidden, criteria, margins, clusters = zip(*whole, strict=True)
    prompts = [name for share in clusters for name in share]
    found = fit(torch.cat(hidden), torch.cat(criteria), torch.cat(margins), prompts)
    if found is None:
        _note(_too_few(prompts))
    return found


def _note(why: str, out: Path | None = None) -> None:
    """Say once, on stderr, that a model does not know what is unlike its training, and how it learns that."""
    if rank() == 0:
        sys.stderr.write(
            f"note: nothing was fitted of what the model does not know: {why}. The model itself is whole. To fit it "
            f"afterwards, in one process: omnireward uncertainty {out or 'OUT'}\n"
        )


def fit_folder(
    folder: Path,
    datasets: Mapping[str, float],
    most: int,
    limit: int | None,
    tasks: Sequence[str] = (),
    criteria: Literal["all", "with", "without"] | None = None,
) -> Uncertainty:
    """Fit a checkpoint's `uncertainty` to the data that it was trained on, and write it into its folder.

    Args:
        folder: of the checkpoint.
        datasets: place -> weight; none: as the folder's `config.yaml` says, which `omnireward train` wrote.
        most: comparisons.
        limit: of samples of each dataset; None: as the config says.
        tasks: names of tasks; none: as the config says.
        criteria: which samples, by their having a criterion; None: as the config says.

    Raises:
        CheckpointError: the folder holds no reward model, or no record of one.
        SourceError: rows that cannot be read.
        RecipeError: no data are named, or they hold too few comparisons.
    """
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is no folder here; name the one that 'omnireward train --out' wrote.")
    if not (folder / RECORD).is_file():
        raise CheckpointError(
            f"{folder} has no {RECORD}, which says what belongs to a model, so nothing can be added. Make a "
            f"folder that has one first: omnireward convert {folder} OUT --to published"
        )
    config = _config(folder, datasets)
    config = replace(
        config,
        limit=config.limit if limit is None else limit,
        tasks=tuple(tasks) or config.tasks,
        criteria=criteria or config.criteria,
    )
    mixture = mixture_of(config, BadRows(skip=True))
    samples = spread(mixture, _shown(mixture, config), most)
    if not samples:
        raise RecipeError(_too_few([sample.cluster for sample in mixture.samples]))
    model = RewardModel.load(folder, uncertainty=False).requires_grad_(False)
    model.max_tokens = config.max_tokens
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    with Progress("look at training's data", len(samples)) as progress:
        tokens = min(config.tokens_per_pass, TOKENS_PER_PASS)
        hidden, of_criteria, margins, clusters = _states(model, samples, tokens, lambda done: progress.advance(by=done))
    found = fit(hidden, of_criteria, margins, clusters)
    if found is None:
        raise RecipeError(f"{_too_few(clusters)}. Name more of the data that it was trained on, or allow more.")
    _write(found, folder)
    return found


def _too_few(clusters: Sequence[str]) -> str:
    return (
        f"{len(clusters)} comparisons of {len(set(clusters))} prompts are too few, or all alike: at least {LEAST} are "
        "needed, spread over many prompts, a quarter of which is only counted on"
    )


def _config(folder: Path, datasets: Mapping[str, float]) -> TrainConfig:
    """How a checkpoint was trained, with places as they are named from here; other datasets take the place of its own.

    Raises:
        RecipeError: neither tells of data.
    """
    path = folder / provenance.CONFIG
    if not path.is_file() and datasets:
        return TrainConfig(out=folder, datasets=dict(datasets), ties="rao_kupper")
    try:
        values = recipes.read(str(path))[1]
        unsaid = {name: value for name, value in TrainConfig.BEFORE.items() if name not in values}
        flags = [*recipes.flags(str(path), TrainConfig.VERB, TrainConfig), *to_flags(unsaid, TrainConfig)]
        config = from_flags(TrainConfig, flags, "omnireward train", "")
    except (RecipeError, SystemExit) as error:
        raise RecipeError(
            f"{path} does not tell what the model was trained on ({error}). Without that file, name the data: "
            f"omnireward uncertainty {folder} --datasets PLACE WEIGHT"
        ) from error
    places = {_from_here(place, folder.resolve().parent): weight for place, weight in config.datasets.items()}
    return replace(config, datasets=dict(datasets) or places)


def _from_here(place: str, parent: Path) -> str:
    """A place of a config, in which paths are relative to the parent of the run's folder (see `provenance`)."""
    if place in plugins.names("datasets"):
        return place
    kind, colon, argument = place.partition(":")
    start, path = (f"{kind}:", argument) if colon and "/" not in kind else ("", place)
    where, mark, settings = path.rpartition("?")
    for one, rest in ((path, ""), (where, mark + settings)):
        if one and (parent / one).exists():
            return f"{start}{parent / one}{rest}"
    return place


def _shown(mixture: Mixture, config: TrainConfig) -> list[int]:
    """What the run saw of its first epoch."""
    order = mixture.order(config.seed, 0)
    seen = config.epochs * len(order) if config.steps is None else config.steps * config.per_step
    return order[: math.ceil(seen)]


def _states(
    model: RewardModel,
    samples: Sequence[Sample],
    tokens: int = TOKENS_PER_PASS,
    advance: Callable[[int], None] = lambda _: None,
) -> States:
    """Hidden states of responses (n, 2, hidden) and criteria (n, hidden), margins (n,), and prompts."""
    size = model.backbone.hidden_size
    hidden, criteria, margins = [torch.empty(0, 2, size)], [torch.empty(0, size)], [torch.empty(0)]
    clusters: list[str] = []
    known: dict[str, Tensor] = {}
    model.eval()  # before anything is encoded ahead
    for batch, coming in _ahead(model, samples):
        usable, rows = _encoded(batch, coming)
        if usable:
            states = model.states(rows, heads=True, tokens=tokens)
            rewards = states[:, 0].view(-1, 2)
            hidden.append(states[:, -size:].view(-1, 2, size))
            margins.append(rewards[:, 0] - rewards[:, 1])
            asked = [sample.comparison.criterion for sample in usable]
            fresh = [one for one in dict.fromkeys(asked) if one not in known]
            known |= dict(zip(fresh, model.states_of_criteria(fresh, tokens), strict=True))
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
