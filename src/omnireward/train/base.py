"""A base to train from: what `--model tiny` is before it meets a preference, taught, and kept as a folder.

Trainings that are compared should differ in what they are compared for. So the tiny model is made and taught once, its
tokenizer is learned of all the data of a recipe, and each training begins with it as with any chat model's folder: it
gets a new head.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import torch

from omnireward.errors import RecipeError
from omnireward.miniature.lessons import lessons
from omnireward.miniature.world import World
from omnireward.reward_model import RewardModel
from omnireward.sources import BadRows
from omnireward.train.config import TrainConfig
from omnireward.train.mixing import mixture_of, texts
from omnireward.train.teach import in_sight, teach
from omnireward.train.tiny import is_tiny, make


def make_base(config: TrainConfig, folder: Path) -> None:
    """Make a tiny backbone, teach it as the config says, and write it, without a head.

    Args:
        config: of it `model`, `seed`, what is taught and in which layout, and the data whose texts the tokenizer learns
            with what chooses among them (tasks, criteria, ties and their share). Who keeps bases by what they were made
            of has all of this in the name.
        folder: to write; it is there whole or not at all.

    Raises:
        RecipeError: `model` is not `tiny`; or as `mix`.
    """
    if not is_tiny(config.model):
        raise RecipeError(f"a base is made of --model tiny; {config.model} is one already.")
    if not torch.cuda.is_available():
        torch.set_num_threads(1)  # two threads on two busy cores are several times slower than one
    bad_rows = BadRows(skip=config.skip_bad_rows)
    mixture = mixture_of(config, bad_rows)
    torch.manual_seed(config.seed)
    family, backbone = make(config.model, texts(mixture.samples), config.seed)
    if config.taught:
        teach_first(RewardModel(backbone, family, config.layout or "natural"), config)
    fresh = folder.with_name(f"{folder.name}.saving")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    backbone.save(fresh)
    fresh.replace(folder)


def teach_first(model: RewardModel, config: TrainConfig) -> None:
    """Teach a model what the config says that it is to know before it meets a preference; its towers stay frozen."""
    taught = list(lessons(World(turns=config.teach_turns)))
    with in_sight(len(taught), config.teach_towers, config.teach_language) as tick:
        teach(model.requires_grad_(True), taught, config.teach_towers, config.teach_language, config.seed, tick)
