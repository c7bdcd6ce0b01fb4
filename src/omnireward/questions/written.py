"""What became of the samples: the numbers that the README and the terminal say."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from omnireward.questions.settings import Sizes


@dataclass(slots=True)
class Written:
    """Counts.

    Attributes:
        samples: asked about.
        left_out: samples and rows of the source that were not, by reason.
        shown: questions by the preference, as it is shown.
        tasks: questions by task.
        origins: samples by where they say that they come from, where they do.
        sizes: of the questions, and their number.
    """

    samples: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    shown: Counter[str] = field(default_factory=Counter)
    tasks: Counter[str] = field(default_factory=Counter)
    origins: Counter[str] = field(default_factory=Counter)
    sizes: Sizes = field(default_factory=Sizes)

    @property
    def reasons(self) -> str:
        """Why samples were left out, on one line."""
        return ", ".join(f"{count:,} with {reason}" for reason, count in self.left_out.items())
