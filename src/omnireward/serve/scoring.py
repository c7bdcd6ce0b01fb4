"""What the queue calls: a reward model for rewards, or any judge for judgements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omnireward.judges import ForesightedJudge, Judge
from omnireward.serve.asking import Ask, Problem
from omnireward.types import Comparison, Judgement, Part, Turn

if TYPE_CHECKING:
    from omnireward.encoded import Encoded
    from omnireward.reward_model import RewardModel

JUDGED_TOGETHER = 16  # as `omnireward evaluate` does


@dataclass(frozen=True, slots=True)
class Row:
    """One response under its prompt and criterion: what becomes one reward."""

    prompt: tuple[Turn, ...]
    response: tuple[Part, ...]
    criterion: str


def rows_of(asks: Sequence[Ask]) -> list[Row]:
    """What is asked, one row for each reward, in order."""
    return [Row(ask.prompt, response, ask.criterion) for ask in asks for response in ask.responses]


@dataclass(frozen=True, slots=True)
class RewardWorker:
    """Encodes rows in threads; scores them sorted, so that those that begin alike are packed."""

    model: RewardModel

    def prepare(self, item: Row) -> Encoded:
        """Raises MediaError, PromptError."""
        import torch

        with torch.no_grad():  # each thread's own affair
            return self.model.encode(Comparison(item.prompt, item.response, (), item.criterion), "a")

    def weight(self, ready: Encoded) -> int:
        """Its tokens."""
        return len(ready.row.ids)

    def work(self, ready: Sequence[Encoded]) -> Sequence[float | Problem]:
        """Raw rewards. Equal rows are scored once: two rows of a batch may differ in the last bits."""
        from omnireward.encoded import keys_of

        keys = [key.tobytes() for key in keys_of(ready)]
        first = {key: i for i, key in reversed(list(enumerate(keys)))}
        order = sorted(first)
        scored = dict(zip(order, self.model.score([ready[first[key]] for key in order]).tolist(), strict=True))
        return [_finite(scored[key]) for key in keys]

    def stop(self) -> None:
        """End the decoding processes."""
        self.model.backbone.close()


def _finite(value: float) -> float | Problem:
    return value if math.isfinite(value) else Problem("failed", f"the model's reward is not finite: {value}.")


@dataclass(frozen=True, slots=True)
class JudgeWorker:
    """A judge that computes: comparisons to judgements, several at once."""

    judge: Judge

    def prepare(self, item: Comparison) -> Comparison:
        """Itself: judges prepare for themselves."""
        return item

    def weight(self, ready: Comparison) -> int:  # noqa: ARG002
        """One of those judged together."""
        return 1

    def work(self, ready: Sequence[Comparison]) -> Sequence[Judgement | Problem]:
        """Judgements."""
        return self.judge(ready)

    def stop(self) -> None:
        """Let go of what the judge holds, if it holds anything."""
        if isinstance(self.judge, ForesightedJudge):
            self.judge.close()
