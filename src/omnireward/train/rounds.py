"""Which questions a round of answers is about, and which of them each process asks."""

from __future__ import annotations

from collections.abc import Iterator

from torch.utils.data import Sampler

from omnireward.errors import RecipeError
from omnireward.train.grpo_config import GRPOConfig
from omnireward.train.mixing import Mixture, SeededOrder
from omnireward.train.together import world


class Groups(Sampler[list[int]]):
    """What a process asks in a round: numbers of samples, each once for every answer of its group.

    A round comes as often as parts of it are computed. What is left of an epoch and fills no round is not shown.

    Args:
        sampler: the order of all samples.
        config: the run's.
        rank: whose share this is.
        world: how many processes there are.
    """

    def __init__(self, sampler: SeededOrder, config: GRPOConfig, rank: int, world: int) -> None:
        self.sampler, self.rollouts, self.mine = sampler, config.rollouts, share_of(config, rank, world)
        self.questions, self.parts = config.per_step * config.updates, config.accumulation // world * config.updates

    def __iter__(self) -> Iterator[list[int]]:
        order = list(self.sampler)
        for begin in range(0, len(order) - self.questions + 1, self.questions):
            for _ in range(self.parts):
                yield [order[begin + number] for number in self.mine for _ in range(self.rollouts)]

    def __len__(self) -> int:
        return len(self.sampler) // self.questions * self.parts


def share_of(config: GRPOConfig, rank: int, world: int) -> list[int]:
    """Which questions of a round a process asks, by their places in it: its share of those of each optimizer step."""
    mine = config.per_step // world
    begins = (update * config.per_step + rank * mine for update in range(config.updates))
    return [begin + number for begin in begins for number in range(mine)]


def check_enough(config: GRPOConfig, mixture: Mixture) -> None:
    """Raise RecipeError where no round of questions can be filled, or processes cannot share one."""
    there, wanted = len(mixture.order(config.seed, 0)), config.per_step * config.updates
    if there < wanted:
        raise RecipeError(
            f"a round takes {wanted:,} questions (batch_size x accumulation x updates), and an epoch has {there:,}. "
            "Lower --accumulation, or give more data."
        )
    if config.accumulation % world():
        raise RecipeError(
            f"{world()} processes share a step's accumulation evenly; {config.accumulation} does not fit."
        )
