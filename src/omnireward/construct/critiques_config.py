"""What `omnireward construct critiques` is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from omnireward.construct.critique_drafts import Rules
from omnireward.construct.writer_config import WriterConfig
from omnireward.errors import RecipeError
from omnireward.prompts import Form
from omnireward.voting import Plan


@dataclass(frozen=True, kw_only=True)
class CritiquesConfig(WriterConfig):
    """What critiques are written about, by whom, which are kept, and where they go."""

    temperature: float = 0.7
    """Of the writer; several answers about one sample need one above 0."""
    max_tokens: int = 1024
    """Most tokens of one answer; an answer cut off is refused."""
    order: Literal["random", "both"] = "random"
    """Show a sample's responses in an order that is drawn (random), or in both orders, each asked about by itself."""
    ties: bool = True
    """Allow the verdict that neither response is better; otherwise samples that tie are left out."""
    most: int = 4
    """Most answers that the writer is asked for about one sample, in each order that it is shown in."""
    keep_per_sample: int = 1
    """Most critiques kept of a sample, in each order; with enough of them, the writer is asked no more."""
    keep: Literal["right", "all"] = "right"
    """Keep answers whose verdict is what the sample prefers (right); or others too (all), marked, and not taught."""
    fewest_words: int = 5
    """Fewest words that a critique has before its verdict."""
    same: int = 1
    """Critiques of the whole that may be the same, word for word; 0 for any number."""
    balance: bool = False
    """Leave out as many as it takes for verdicts A and B, as shown, to be equally many in each task."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._at_least(most=1, keep_per_sample=1, fewest_words=1, same=0)
        if self.keep_per_sample > self.most:
            raise RecipeError(
                f"of {self.most} answers about a sample, {self.keep_per_sample} cannot be kept. Raise most, or lower "
                "keep_per_sample."
            )
        if self.most > 1 and not self.temperature > 0:
            raise RecipeError(
                f"{self.most} answers at temperature 0 would all be the same. Add a temperature, such as 0.7, or set "
                "most to 1."
            )

    @property
    def form(self) -> Form:
        """In which form the writer is asked: as a judge is, for a critique."""
        return Form("pairwise", critique=True, ties=self.ties)

    @property
    def rules(self) -> Rules:
        """Which answers are kept."""
        return Rules(self.form, self.fewest_words, self.keep_per_sample, wrong=self.keep == "all")

    @property
    def plan(self) -> Plan:
        """In which orders each sample is shown."""
        return Plan(self.order, seed=self.seed)
