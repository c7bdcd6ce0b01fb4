"""`omnireward train --dry-run`: what a run would read, how long it would be, and how much memory a step would take.

The backbone is built on the meta device, so weights are neither read nor needed. Text is tokenised and media of a
sample of pairs are decoded and cut as in training, because how much a pass keeps hangs on what its rows share.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Literal

import torch

from omnireward.ahead import Response, response_of
from omnireward.backbones import Backbone, Prepared
from omnireward.backbones._weights import shapes_only
from omnireward.checkpoint import load_backbone
from omnireward.checkpoint_json import read_json
from omnireward.encoded import Encoded
from omnireward.errors import MediaError, PromptError, RecipeError
from omnireward.hub import find
from omnireward.on_base import is_on_base
from omnireward.prompts import conversation
from omnireward.reward_model import RECORD, TIES, RewardModel
from omnireward.sources import BadRows
from omnireward.tie_head import TieHead, read_tie_head
from omnireward.train import sizes
from omnireward.train.bradley_terry import set_ties
from omnireward.train.config import TrainConfig
from omnireward.train.memory import Memory, Pass, Settings, estimate, kept
from omnireward.train.mixing import Mixture, mixture_of, texts
from omnireward.train.passes import in_passes
from omnireward.train.tiny import is_tiny, make
from omnireward.train.tuning import tune
from omnireward.types import Media, Sample, Side, Turn

SAMPLED = 64  # pairs that are tokenised
SHARED: Mapping[str, Literal["none", "states", "whole"]] = {"none": "none", "zero2": "states", "fsdp": "whole"}
SIDES: tuple[Side, ...] = ("a", "b")


@dataclass(frozen=True, slots=True)
class Device:
    """Where it would run: a GPU's name and its memory in bytes, or a CPU and the machine's memory."""

    name: str
    memory: int
    cuda: bool


@dataclass(frozen=True, slots=True)
class DryRun:
    """What a run would be.

    Attributes:
        mixture: what is read.
        bad_rows: rows that cannot be used, as far as they were read.
        pairs_per_step, steps_per_epoch, steps: of all processes together.
        tokens: of each sampled response with its prompt.
        sampled, unusable: pairs that were tokenised, and those among them whose media or length cannot be used.
        one: the heaviest pass.
        parts: parameters.
        memory: on each device; None where no sampled pair can be used.
        longest: the same for a pass of one pair, both of as many tokens as are allowed.
        device: this machine's.
        processes: that the run was started with.
    """

    mixture: Mixture
    bad_rows: int
    pairs_per_step: int
    steps_per_epoch: int
    steps: int
    tokens: tuple[int, ...]
    sampled: int
    unusable: int
    one: Pass | None
    parts: tuple[sizes.Part, ...]
    memory: Memory | None
    longest: Memory
    device: Device
    processes: int

    @property
    def median_tokens(self) -> float:
        """Of the sampled responses."""
        return median(self.tokens) if self.tokens else 0


def dry_run(config: TrainConfig) -> DryRun:
    """Read the data and the model's config, and count.

    Raises:
        RecipeError, SourceError: as training would.
        CheckpointError: a folder without config.json or tokenizer.
    """
    bad_rows = BadRows(skip=config.skip_bad_rows)
    mixture = mixture_of(config, bad_rows)
    model = _model(config, mixture)
    model.ties = _recorded_ties(config, model)
    set_ties(model, config, mixture)
    processes = max(1, int(os.environ.get("WORLD_SIZE", "1")))
    device = _device()
    pairs = config.per_step
    order = mixture.order(config.seed, 0)
    per_epoch = math.ceil(len(order) / pairs)
    picked = [mixture.samples[i] for i in order[:SAMPLED]]
    rows: dict[Response, Encoded] = {}
    usable, unusable = _encode(model, picked, rows, config.max_tokens)
    settings = _settings(config, model, processes, device)
    weights, layers = sizes.weights(model, config.quantize), sizes.layers(model)
    one = heaviest(model, usable, rows, config, settings) if usable else None
    return DryRun(
        mixture=mixture,
        bad_rows=len(bad_rows.errors),
        pairs_per_step=pairs,
        steps_per_epoch=per_epoch,
        steps=config.steps or math.ceil(per_epoch * config.epochs),
        tokens=tuple(len(row.row.ids) for row in rows.values()),
        sampled=len(picked),
        unusable=unusable,
        one=one,
        parts=tuple(sizes.parts(model)),
        memory=estimate(weights, layers, one, settings) if one else None,
        longest=estimate(weights, layers, Pass.of_pair(config.max_tokens), settings),
        device=device,
        processes=processes,
    )


def heaviest(
    model: RewardModel,
    pairs: Sequence[tuple[Response, Response]],
    rows: dict[Response, Encoded],
    config: TrainConfig,
    settings: Settings,
) -> Pass:
    """The pass of sampled pairs that keeps most, grown to what a whole step or the budget would fill."""
    layers = sizes.layers(model)
    found = [sizes.a_pass(one["encoded"]) for one in in_passes(pairs, rows, config.tokens_per_pass)]
    most = max(found, key=lambda one: kept(layers, one, settings))
    step = sum(one.tokens for one in found) / len(pairs) * config.per_step / settings.devices
    full = round(min(config.tokens_per_pass, step))
    return sizes.grown(most, full) if full > most.tokens else most


def _recorded_ties(config: TrainConfig, model: RewardModel) -> TieHead | None:
    """The tie head of the model that is trained on, which decides what `--ties` may be."""
    if is_tiny(config.model):
        return None
    folder = find(config.model).folder
    kind = read_json(folder / RECORD).get(TIES) if (folder / RECORD).is_file() else None
    return read_tie_head(folder, kind, model.backbone.hidden_size)


def _model(config: TrainConfig, mixture: Mixture) -> RewardModel:
    """The model as it would be trained, without its numbers."""
    if is_tiny(config.model):
        family, backbone = make(config.model, texts(mixture.samples), config.seed)
    else:
        folder = find(config.model).folder
        if is_on_base(folder, folder / RECORD):
            raise RecipeError(f"{folder} holds adapters, which a dry run does not read; name their base as the model.")
        with shapes_only():
            family, backbone = load_backbone(folder)
    model = RewardModel(backbone, family, config.layout or "natural", config.head_dropout)
    with TemporaryDirectory() as out:  # where a base that the run made itself would be written
        # What 4 bits take is counted, not tried; teaching changes no sizes.
        tune(model, replace(config, out=Path(out), quantize="none", teach_towers=0, teach_language=0))
    return model


def _encode(
    model: RewardModel, samples: Sequence[Sample], rows: dict[Response, Encoded], most: int
) -> tuple[list[tuple[Response, Response]], int]:
    """Pairs that can be used, their rows, and how many cannot."""
    usable: list[tuple[Response, Response]] = []
    seen: dict[str, Prepared] = {}
    for sample in samples:
        pair = tuple(response_of(sample.comparison, side) for side in SIDES)
        try:
            for response, side in zip(pair, SIDES, strict=True):
                if response not in rows:
                    rows[response] = _row(model.backbone, conversation(sample.comparison, side, model.layout), seen)
        except (MediaError, PromptError):
            continue
        if all(len(rows[response].row.ids) <= most for response in pair):
            usable.append((pair[0], pair[1]))
    model.backbone.close()
    return usable, len(samples) - len(usable)


def _row(backbone: Backbone, turns: Sequence[Turn], seen: dict[str, Prepared]) -> Encoded:
    media = [part for turn in turns for part in turn.content if isinstance(part, Media)]
    digests = tuple(medium.digest() for medium in media)
    for digest, medium in zip(digests, media, strict=True):
        if digest not in seen:
            seen[digest] = backbone.prepare(medium)
    prepared = tuple(seen[digest] for digest in digests)
    return Encoded(backbone.tokenize(turns, prepared), prepared, digests)


def _settings(config: TrainConfig, model: RewardModel, processes: int, device: Device) -> Settings:
    return Settings(
        trained=sizes.trained(model),
        autocast=config.bf16,
        checkpointing=config.gradient_checkpointing,
        rank=config.lora_rank,
        adapter_dropout=config.lora_dropout > 0,
        devices=processes,
        shared=SHARED[config.sharding],
        cuda=device.cuda,
    )


def _device() -> Device:
    if torch.cuda.is_available():
        told = torch.cuda.get_device_properties(0)
        return Device(told.name, told.total_memory, cuda=True)
    return Device("CPU", os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), cuda=False)
