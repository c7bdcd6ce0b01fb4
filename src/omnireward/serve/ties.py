"""What says how likely a tie is between two rewards of a server: the model's tie head, a threshold, or nothing.

Two that say so would contradict each other, so a server has one at most.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omnireward.errors import RecipeError
from omnireward.judges import Judge
from omnireward.judges.reward import RewardJudge
from omnireward.metrics import PairProbabilities, pair_probabilities, tie_log_odds
from omnireward.serve.asking import Problem, Scored, TieSource
from omnireward.serve.config import ServeConfig

if TYPE_CHECKING:
    from omnireward.tie_head import TieHead


@dataclass(frozen=True, slots=True)
class Ties:
    """At most one of the two."""

    head: TieHead | None
    threshold: float | None

    @classmethod
    def of(cls, config: ServeConfig, judge: Judge) -> Ties:
        """What a server's judge and settings say.

        Raises:
            RecipeError: a threshold, and a judge that has no rewards whose margins it could be of, or a tie head.
        """
        threshold = config.tie_threshold
        if not isinstance(judge, RewardJudge):
            if threshold is not None:
                raise RecipeError(
                    f"tie_threshold is of a reward model's margins, and {config.judge!r} is none. Leave it out: such a "
                    "judge says itself what it says of ties."
                )
            return cls(None, None)
        if judge.model.ties is not None and threshold is not None:
            raise RecipeError(
                f"tie_threshold is {threshold:g}, but {config.judge!r} has a tie head, which says itself how likely a "
                "tie is, and the two would contradict each other. Leave it out."
            )
        return cls(judge.model.ties, threshold)

    @property
    def source(self) -> TieSource | None:
        """What replies say of it."""
        if self.head is not None:
            return "head"
        return None if self.threshold is None else "threshold"

    def between(self, a: Scored, b: Scored) -> PairProbabilities | None:
        """The probabilities of two responses; None where nothing says what a tie is, for Bradley-Terry does not."""
        if self.head is not None:
            assert a.leeway is not None
            assert b.leeway is not None
            return self.head.probabilities(a.reward - b.reward, a.leeway, b.leeway)
        return None if self.threshold is None else pair_probabilities(a.reward - b.reward, tie_log_odds(self.threshold))

    def chances(
        self, scored: Sequence[Sequence[Scored | Problem]]
    ) -> Callable[[int, int, int], PairProbabilities] | None:
        """As `Served` has it: by the place of an Ask and of two of its responses. None without a tie head."""
        if self.head is None:
            return None

        def chances(ask: int, i: int, j: int) -> PairProbabilities:
            a, b = scored[ask][i], scored[ask][j]
            assert isinstance(a, Scored)
            assert isinstance(b, Scored)
            found = self.between(a, b)
            assert found is not None
            return found

        return chances
