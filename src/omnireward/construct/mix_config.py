"""What a mixture can be told."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from omnireward import provenance
from omnireward.construct.mix_choice import Wishes
from omnireward.construct.mix_form import FormName
from omnireward.construct.parts import Engine
from omnireward.errors import RecipeError
from omnireward.plugins import suggest
from omnireward.types import Task

_SPLIT = re.compile(r"\w+", re.ASCII)
_RENDERS = re.compile(r"t23d|text_to_3d", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class MixConfig:
    """What to mix, how much of it, what to keep out, and where it goes."""

    sources: dict[str, float]
    """Where samples come from, and how much of each, relative to the others: PLACE WEIGHT [PLACE WEIGHT ...]. Weights 1
    and 0.5 take all of one and half of the other. No sample is taken twice."""
    out: Path
    """A new folder for the dataset. The same command again writes the same bytes."""
    task_weights: dict[str, float] = field(default_factory=dict)
    """How much of each task, as with sources: TASK WEIGHT [TASK WEIGHT ...], such as T2I 0.5; 1 where none is given."""
    source_caps: dict[str, float] = field(default_factory=dict)
    """Take at most so many samples of a source: PLACE COUNT [PLACE COUNT ...]."""
    task_caps: dict[str, float] = field(default_factory=dict)
    """Take at most so many samples of a task: TASK COUNT [TASK COUNT ...]."""
    total: int | None = None
    """Take at most so many samples in all; sources and tasks then grow in proportion to their weights until there are
    so many, and what is used up or capped leaves its place to the others."""
    splits: dict[str, float] = field(default_factory=lambda: {"train": 1.0})
    """Splits and their shares, such as train 0.98 validation 0.02. What shares a prompt or a medium is in one split."""
    benchmarks: tuple[str, ...] = ()
    """Leave out what shares a prompt (its words and media) or any medium with these benchmarks."""
    near: bool = False
    """Also look at what is nearly the same (re-encoded or resized media, reworded prompts): leave it out where it is in
    a benchmark, and keep it in one split. Decodes all media; needs the extra `construct`."""
    balance: bool = True
    """Swap sides so that the preferred response is a as often as b, in each source, task and split."""
    form: FormName = "samples"
    """What to write: a folder of samples, Parquet with media inside or beside it, or Omni-RewardData's JSON."""
    seed: int = 0
    """Draws another selection, other splits and another order."""
    skip_bad_rows: bool = False
    """Count rows and media that cannot be read and go on, instead of stopping at the first."""
    dry_run: bool = False
    """Write nothing; say what would be taken and what left out."""
    workers: int = 1
    """Processes for the first pass."""
    shard: str = "0/1"
    """Do part i of n of the first pass, on one of n machines that share the folder; the last to end writes."""
    engine: Engine = "local"
    """What runs the workers: this machine, or a Ray cluster."""

    def __post_init__(self) -> None:
        if not self.sources:
            raise RecipeError("no source was given; name at least one under `sources`, with its weight.")
        if not self.splits:
            raise RecipeError("splits is empty; name at least one, such as train 1.")
        if self.total is not None and self.total < 1:
            raise RecipeError(f"total must be at least 1, not {self.total}.")
        for kind in ("sources", "task_weights", "splits"):
            for name, weight in getattr(self, kind).items():
                if not 0 < weight < float("inf"):
                    raise RecipeError(f"{kind}: the weight of {name!r} must be positive; got {weight}.")
        for kind in ("source_caps", "task_caps"):
            for name, cap in getattr(self, kind).items():
                if not 0 <= cap < float("inf") or cap != int(cap):
                    raise RecipeError(f"{kind}: the cap of {name!r} is a whole number; got {cap}.")
        for name in self.source_caps:
            if name not in self.sources:
                raise RecipeError(f"source_caps: {name!r} is no source. {suggest(name, list(self.sources))}")
        self._check_splits()

    def _check_splits(self) -> None:
        for name in self.splits:
            if not _SPLIT.fullmatch(name):
                raise RecipeError(f"splits: a name is letters, digits and underscores; got {name!r}.")
            if self.form == "omni-rewarddata" and _RENDERS.search(name):
                raise RecipeError(f"splits: in this form, a file of the name {name!r} would say that it holds renders.")

    @property
    def wishes(self) -> Wishes:
        """Weights and caps, by places as they are written down and tasks' short names."""
        return Wishes(
            sources={provenance.portable(place, self.out): weight for place, weight in self.sources.items()},
            tasks={Task.parse(name).short: weight for name, weight in self.task_weights.items()},
            source_caps={provenance.portable(place, self.out): int(cap) for place, cap in self.source_caps.items()},
            task_caps={Task.parse(name).short: int(cap) for name, cap in self.task_caps.items()},
            total=self.total,
        )

    @property
    def lasting(self) -> MixConfig:
        """The config without what changes nothing in the result: how the work is divided, and the order of names."""
        return replace(
            self,
            sources=_sorted(self.sources),
            task_weights=_sorted(self.task_weights),
            source_caps=_sorted(self.source_caps),
            task_caps=_sorted(self.task_caps),
            splits=_sorted(self.splits),
            benchmarks=tuple(sorted(self.benchmarks)),
            dry_run=False,
            workers=1,
            shard="0/1",
            engine="local",
        )


def _sorted(numbers: dict[str, float]) -> dict[str, float]:
    return dict(sorted(numbers.items()))
