"""What the queue calls: a reward model for rewards, or any judge for judgements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omnireward.judges import ForesightedJudge, Judge
from omnireward.serve.asking import Ask, Problem, Reward, Scored
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


def rewards_alone(scored: Sequence[Scored | Problem]) -> list[Reward]:
    """Without what stands beside them: as every request shape and every adapter has them."""
    return [one if isinstance(one, Problem) else one.reward for one in scored]


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

    def work(self, ready: Sequence[Encoded]) -> Sequence[Scored | Problem]:
        """Raw rewards and what stands beside them. Equal rows are scored once: two may differ in the last bits."""
        from omnireward.encoded import keys_of

        keys = [key.tobytes() for key in keys_of(ready)]
        first = {key: i for i, key in reversed(list(enumerate(keys)))}
        order = sorted(first)
        rewards, *beside = self.model.score_all([ready[first[key]] for key in order])
        columns = [[None] * len(order) if column is None else column.tolist() for column in beside]
        scored = dict(zip(order, map(_finite, rewards.tolist(), *columns), strict=True))
        return [scored[key] for key in keys]

    def stop(self) -> None:
        """End the decoding processes."""
        self.model.backbone.close()


def _finite(reward: float, leeway: float | None, distance: float | None) -> Scored | Problem:
    if not math.isfinite(reward):
        return Problem("failed", f"the model's reward is not finite: {reward}.")
    if leeway is not None and not math.isfinite(leeway):
        return Problem("failed", f"what the model's tie head says is not finite: {leeway}.")
    if distance is not None and not math.isfinite(distance):
        said = f"how far it lies from what the model was trained on is not finite: {distance}."
        return Problem("failed", said)
    return Scored(reward, leeway, distance)


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
