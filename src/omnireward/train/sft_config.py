"""What a warm start can be told. Importing this loads no torch, so that `--help` is quick."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from omnireward.train.learning import Learning


@dataclass(frozen=True, slots=True)
class SFTConfig(Learning):
    """Teach a judge the form of its answers with critiques: the warm start before GRPO.

    Example: omnireward sft --recipe miniature_sft --out runs/warm
    """

    VERB: ClassVar[str] = "sft"
    critiques: dict[str, float] = field(default_factory=lambda: {"miniature": 1.0})
    """Where critiques come from, and how often an epoch shows each: PLACE WEIGHT [PLACE WEIGHT ...]. A place is a
    folder with samples and critiques.jsonl, as `construct critiques` writes it, or `miniature`."""
    critique: bool = True
    """Ask for a critique before the verdict; otherwise for the verdict alone."""
    ties: bool = True
    """Allow the verdict that neither response is better."""
    teach_towers: int = 0
    """Steps of teaching the towers to name attributes of made-up media first; for `tiny`, which knows nothing."""
    teach_language: int = 0
    """Steps of teaching the language model to know what the responses to made-up questions are, after the towers."""
    epochs: float = 1.0
    """How often the critiques are gone through."""
    accumulation: int = 32
    """An optimizer step takes batch_size x accumulation critiques, however many processes share them."""
    learning_rate: float = 1e-5
    """Peak learning rate."""
    weight_decay: float = 0.0
    """AdamW's weight decay."""
    warmup: float = 0.03
    """Share of the steps in which the learning rate rises, before its cosine."""
    max_tokens: int = 18_000
    """Longest question. A longer one is a bad row; nothing is cut."""

    @property
    def taught(self) -> bool:
        """Whether towers or language model are taught first."""
        return bool(self.teach_towers or self.teach_language)

    def __post_init__(self) -> None:
        Learning.__post_init__(self)  # `super()` does not know a class with slots
        self.at_least({"teach_towers": 0, "teach_language": 0})
