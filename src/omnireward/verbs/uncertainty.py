"""omnireward uncertainty: fit to a checkpoint what it does not know."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from omnireward.verbs import parse, require_torch


@dataclass(frozen=True)
class UncertaintyConfig:
    """Which checkpoint, and the data that it was trained on."""

    folder: tyro.conf.Positional[Path]
    """A reward model's folder; `uncertainty.safetensors` is written into it."""
    datasets: dict[str, float] = field(default_factory=dict)
    """What it was trained on, as for `omnireward train`: PLACE WEIGHT [PLACE WEIGHT ...]. By default this, and all that
    follows but the number of comparisons, is as the folder's config.yaml says."""
    tasks: tuple[str, ...] = ()
    """Only these tasks."""
    criteria: Literal["all", "with", "without"] | None = None
    """Only samples with a criterion, or only those without."""
    comparisons: int = 2_000
    """At most so many of them are looked at, evenly from all."""
    limit: int | None = None
    """Read at most this many samples from each dataset."""


def run(words: list[str]) -> None:
    """Fit to a reward model where its training data lie, so that it says what is unlike them.

    `omnireward train` does it by itself at its end; this is for checkpoints of older versions, of short runs, and of
    runs with --sharding fsdp. Those of other programs become such a folder by `omnireward convert MODEL OUT --to
    published`. Rows that cannot be used are skipped.

    Examples:
      omnireward uncertainty out/run
      omnireward uncertainty out/published --datasets miniature 1
    """
    config = parse("uncertainty", run, UncertaintyConfig, words)
    require_torch("a reward model")
    from omnireward.train.fitting import fit_folder

    found = fit_folder(config.folder, config.datasets, config.comparisons, config.limit, config.tasks, config.criteria)
    print(f"{config.folder} now says how familiar a comparison is; counted on {len(found.comparisons):,} of training.")
