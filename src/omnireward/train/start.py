"""What every training verb does around its own work: one thread, one run in a folder, and nothing where all is done."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch

from omnireward.train import resuming
from omnireward.train.arguments import check
from omnireward.train.learning import Learning

Config = TypeVar("Config", bound=Learning)


def started(config: Config, work: Callable[[Config], None]) -> Path:
    """Check a config and run its work, unless the folder holds what it would make; returns the folder.

    Raises:
        RecipeError: the config cannot be used, another run is in the folder, or what lies there is not to go on from.
    """
    if not torch.cuda.is_available():
        torch.set_num_threads(1)  # two threads on two busy cores are several times slower than one
    check(config)
    with resuming.alone(config.out):
        if resuming.begin(config):
            work(config)
    return config.out
