"""What to write questions of, for whom, and how an answer is rewarded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from omnireward.errors import RecipeError
from omnireward.prompts import Form
from omnireward.sources import SourceFolder
from omnireward.verdict_rewards import DEFAULT_TERMS, RewardTerms

Trainer = Literal["easyr1", "verl"]


@dataclass(frozen=True, kw_only=True)
class QuestionsConfig:
    """Write the questions that a judge is asked for EasyR1 or verl, with their reward function and settings.

    Example: omnireward data questions miniature --to easyr1 --swapped --out out/easyr1
    """

    place: tyro.conf.Positional[str]
    """A name, a folder, or NAME:LOCATION."""
    to: Trainer
    """Who trains."""
    out: Path
    """A new folder."""
    kind: SourceFolder = "datasets"
    """Where the name is looked up."""
    limit: int | None = None
    """Read only the first so many samples."""
    ties: bool = True
    """Allow the verdict that neither response is better. Without it, samples that are ties are left out."""
    critique: bool = True
    """Ask for a critique before the verdict."""
    swapped: bool = False
    """Ask about each sample a second time, with the responses in the other order."""
    frames: int | None = None
    """Pictures of each video; by default 10 of one in the prompt and 5 of one in a response."""
    views: int = 4
    """Pictures of each 3D object."""
    picture_side: int = 768
    """Longest side of a picture, in pixels."""
    skip_bad_rows: bool = False
    """Count rows that cannot be used and go on, instead of stopping at the first."""
    reward: RewardTerms = DEFAULT_TERMS
    """What counts for how much in the reward of an answer."""

    def __post_init__(self) -> None:
        numbers = {"limit": self.limit, "frames": self.frames, "views": self.views, "picture_side": self.picture_side}
        for name, value in numbers.items():
            if value is not None and value < 1:
                raise RecipeError(f"{name} must be at least 1, not {value}.")
        if (self.reward.length or self.reward.language) and not self.critique:
            raise RecipeError("length and language are about a critique, and none is asked for; drop --no-critique.")

    @property
    def form(self) -> Form:
        """In which form the judge is asked."""
        return Form("pairwise", critique=self.critique, ties=self.ties)
