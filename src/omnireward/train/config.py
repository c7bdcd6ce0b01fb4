"""What training a reward model can be told. Importing this loads no torch, so that `--help` is quick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from omnireward.train.learning import Learning
from omnireward.types import Layout, Task


@dataclass(frozen=True, slots=True)
class TrainConfig(Learning):
    """Train a scalar reward model on preferences (Bradley-Terry).

    Example: omnireward train --recipe miniature --out runs/first
    """

    VERB: ClassVar[str] = "train"
    BEFORE: ClassVar[Mapping[str, object]] = {"ties": "drop"}
    datasets: dict[str, float] = field(default_factory=lambda: {"miniature": 1.0})
    """Where preferences come from, and how often an epoch shows each sample: PLACE WEIGHT [PLACE WEIGHT ...].
    A place is a dataset's name, NAME:LOCATION, or a folder."""
    tasks: tuple[str, ...] = ()
    """Train on samples of these tasks only, such as `T2I T2V`; all by default."""
    criteria: Literal["all", "with", "without"] = "all"
    """Train on samples `with` a criterion only, or on those `without` one (overall quality); all by default."""
    ties: Literal["drop", "rao_kupper", "davidson", "videoalign"] = "rao_kupper"
    """What becomes of samples that people tied. `drop` leaves them out, as the paper does. Others learn from them, and
    the model then says how likely a tie is, with no threshold fitted on a benchmark: Rao and Kupper's model (1967),
    Davidson's (1970), or Rao and Kupper's with its theta fixed at 5, as VideoAlign has it. Data without ties are
    trained on as with `drop`."""
    tie_threshold: Literal["one", "each"] = "each"
    """What is learned of ties: `one` number for all, or for `each` response one that depends on what is asked."""
    tie_share: float = 0.12
    """At most this share of the samples are ties; others are left out, by a hash of their ids. A model expects as many
    ties as it has seen: Omni-RewardBench has 441 in 3,725."""
    layout: Layout | None = None
    """Where a media response is put: `paper` or `natural`. By default what the checkpoint records, else `natural`."""
    teach_towers: int = 0
    """Steps of teaching the towers to name attributes of made-up media first; for `tiny`, which knows nothing."""
    teach_language: int = 0
    """Steps of teaching the language model to name what is in made-up conversations, after the towers."""
    teach_turns: int = 1
    """Requests of a made-up conversation in that teaching, at most; those before the last have replies."""
    packing: bool = True
    """Compute what rows share once, without padding. Switch it off only to look for a fault in it."""
    head_dropout: float = 0.0
    """Dropout on the hidden state before the head (the published run: 0.1)."""
    dry_run: bool = False
    """Train nothing: read the data, and say how many pairs, steps, tokens and parameters there would be, and how much
    memory a step would take. A model's folder needs config.json and the tokenizer only."""

    @property
    def taught(self) -> bool:
        """Whether towers or language model are taught first."""
        return bool(self.teach_towers or self.teach_language)

    def __post_init__(self) -> None:
        Learning.__post_init__(self)  # `super()` does not know a class with slots
        self.at_least({"head_dropout": 0, "teach_towers": 0, "teach_language": 0, "tie_share": 0})
        self.at_least({"teach_turns": 1})
        self.below_one("head_dropout", "tie_share")
        for task in self.tasks:
            Task.parse(task)  # raises, with the known names
