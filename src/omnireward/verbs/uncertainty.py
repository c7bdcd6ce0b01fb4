"""omnireward uncertainty: fit to a checkpoint what it does not know."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from omnireward.verbs import parse, require_torch


@dataclass(frozen=True)
class UncertaintyConfig:
    """Which checkpoint, and the data that it was trained on."""

    folder: tyro.conf.Positional[Path]
    """A reward model's folder; `uncertainty.safetensors` is written into it."""
    datasets: dict[str, float] = field(default_factory=lambda: {"miniature": 1.0})
    """What it was trained on, as for `omnireward train`: PLACE WEIGHT [PLACE WEIGHT ...]."""
    comparisons: int = 2_000
    """At most so many of them are looked at, evenly from all."""
    limit: int | None = None
    """Read at most this many samples from each dataset."""


def run(words: list[str]) -> None:
    """Fit to a reward model where its training data lie, so that it says what is unlike them.

    `omnireward train` does it by itself at its end; this is for checkpoints of older versions, of other programs, and
    of runs with --sharding fsdp. Rows that cannot be used are skipped.

    Examples:
      omnireward uncertainty out/run --datasets miniature 1
    """
    config = parse("uncertainty", run, UncertaintyConfig, words)
    require_torch("a reward model")
    from omnireward.train.fitting import fit_folder

    found = fit_folder(config.folder, config.datasets, config.comparisons, config.limit)
    print(f"{config.folder} now says how familiar a comparison is; counted on {len(found.comparisons):,} of training.")
