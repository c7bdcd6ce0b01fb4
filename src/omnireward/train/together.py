"""Several processes train one model: who takes which pairs of a step, and what they tell one another.

An optimizer step holds the same pairs however many processes there are; each takes a run of them. What one process
meets may not make the others wait for ever, so all of them speak at the same two points of every step, whatever they
found: before the first pass, of pairs and passes, and after the last one, of losses. An error is told there too, and
stops all of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils.data import Sampler

from omnireward.errors import OmniRewardError, TrainingError
from omnireward.train.mixing import SeededOrder

T = TypeVar("T")


def world() -> int:
    """How many processes there are: torchrun and accelerate say so before these have met."""
    return dist.get_world_size() if _met() else int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which of them this is, from 0."""
    return dist.get_rank() if _met() else int(os.environ.get("RANK", "0"))


class Shares(Sampler[list[int]]):
    """A process's share of each optimizer step's samples: a run of them, so that one prompt's stay together.

    Shares of a step differ by one sample at most. No sample is shown twice to make them equal: in an epoch's last step
    a share can be empty.

    Args:
        sampler: the order of all samples.
        pairs: of an optimizer step, over all processes.
        rank: whose share this is.
        world: how many processes there are.
    """

    def __init__(self, sampler: SeededOrder, pairs: int, rank: int, world: int) -> None:
        self.sampler, self.pairs, self.rank, self.world = sampler, pairs, rank, world

    def __iter__(self) -> Iterator[list[int]]:
        order = list(self.sampler)
        for start in range(0, len(order), self.pairs):
            step = order[start : start + self.pairs]
            yield step[len(step) * self.rank // self.world : len(step) * (self.rank + 1) // self.world]

    def __len__(self) -> int:
        return -(-len(self.sampler) // self.pairs)


@dataclass(frozen=True, slots=True)
class Agreed:
    """A step as all processes see it: what is `counted` in all together, and the most `passes` that one needs."""

    counted: int
    passes: int


def agree(counted: int, passes: int, error: OmniRewardError | None) -> Agreed:
    """Tell the others of this process's share of a step. All processes call it, also one that met an error.

    Raises:
        OmniRewardError: the error of this process, or a TrainingError that says whose it is.
    """
    told = tell([counted, passes, error is not None])
    _stop(told[:, 2], error)
    return Agreed(int(told[:, 0].sum()), int(told[:, 1].max()))


def agree_to_go_on(error: OmniRewardError | None) -> None:
    """Stop all processes where one has to. All of them call it. Raises as `agree`."""
    _stop(tell([error is not None])[:, 0], error)


def tell(numbers: Sequence[float]) -> Tensor:
    """What each process says, to all of them: (processes, numbers) float64."""
    mine = torch.tensor([float(number) for number in numbers], dtype=torch.float64)
    if not _met():
        return mine.unsqueeze(0)
    mine = mine.to(torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else "cpu")
    found = [torch.empty_like(mine) for _ in range(world())]
    dist.all_gather(found, mine)
    return torch.stack(found).cpu()


def union(numbers: set[int]) -> set[int]:
    """What any of the processes has."""
    if not _met():
        return numbers
    found: list[set[int]] = [set() for _ in range(world())]
    dist.all_gather_object(found, numbers)
    return set().union(*found)


def collected(mine: T) -> list[T]:
    """What each process has, in all of them, by their numbers."""
    if not _met():
        return [mine]
    found: list[Any] = [None] * world()
    dist.all_gather_object(found, mine)
    return found


def leave() -> None:
    """Leave the others, at the end of a command."""
    if _met():
        dist.destroy_process_group()


def _stop(failed: Tensor, error: OmniRewardError | None) -> None:
    if error is not None:
        raise error
    if failed.any():
        who = int(failed.nonzero()[0])
        raise TrainingError(f"process {who} of {world()} had to stop, so all do. Its own message says why.")


def _met() -> bool:
    return dist.is_available() and dist.is_initialized()
