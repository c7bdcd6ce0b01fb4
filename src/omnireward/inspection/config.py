"""What to inspect."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from omnireward.errors import RecipeError
from omnireward.sources import SourceFolder


@dataclass(frozen=True, kw_only=True)
class InspectConfig:
    """Find out what a source holds: counts, ties, sides, media, duplicates, overlap with benchmarks.

    Example: omnireward data inspect ultrafeedback:data/uf --against data/OmniRewardBench --out out/look
    """

    place: tyro.conf.Positional[str]
    """A name, a folder, or NAME:LOCATION."""
    kind: SourceFolder = "datasets"
    """Where the name is looked up."""
    against: tuple[str, ...] = ()
    """Benchmarks to look for in it: names, folders, or NAME:LOCATION."""
    limit: int | None = None
    """Read only the first so many samples."""
    decode: bool = False
    """Decode all media: finds what is broken, and pictures, videos, sounds and meshes that are nearly the same."""
    near: bool = True
    """Look for prompts and responses that are nearly the same."""
    out: Path | None = None
    """Folder for inspection.json and the page inspection.html."""
    shown: int = 3
    """Samples of each task that the page shows with their media."""

    def __post_init__(self) -> None:
        for name, value, least in (("limit", 1 if self.limit is None else self.limit, 1), ("shown", self.shown, 0)):
            if value < least:
                raise RecipeError(f"{name} must be at least {least}, not {value}.")
