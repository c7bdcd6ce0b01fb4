"""Schedules: one file for each way to choose which pairs to ask, each defining `SCHEDULE`, a `Schedule`.

Players are numbers from 0; a pair has no order, for which of the two is shown first is chosen elsewhere. A schedule is
a generator: it yields pairs that may be asked together, and is sent, for each, the share of the pair's first player: 1
for a win, 0 for a loss, 0.5 for a tie, anything between for a judge with probabilities, None where there is no verdict.
None is not a tie: it tells nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from omnireward import plugins
from omnireward.errors import UnknownNameError

Pair = tuple[int, int]
Share = float | None
End = TypeVar("End")
Steps = Generator[list[Pair], list[Share], End]


@dataclass(frozen=True, slots=True)
class Field:
    """What a schedule is to rank.

    Attributes:
        players: how many, at least 2.
        pairs: the most pairs that it may ask, of schedules that read a number of calls; at least ``players - 1``.
        reference: the player that is a given reference, if one is.
        rng: what is drawn is drawn from it.
    """

    players: int
    pairs: int | None
    reference: int | None
    rng: random.Random


@dataclass(frozen=True, slots=True)
class Schedule:
    """A way to choose pairs.

    Attributes:
        summary: one line: what is asked, and for whom.
        steps: the generator.
        most: (players, pairs) to the most pairs that are asked.
        reads_calls: whether it keeps to a number of calls.
    """

    summary: str
    steps: Callable[[Field], Steps[None]]
    most: Callable[[int, int | None], int]
    reads_calls: bool = False


def schedule(name: str) -> Schedule:
    """A schedule by its name, or by the dotted path of a module. Raises UnknownNameError."""
    found = plugins.load("ranking.schedules", name)
    if not isinstance(found, Schedule):
        raise UnknownNameError(f"SCHEDULE of {name!r} is a {type(found).__name__}; a plug-in defines a Schedule.")
    return found


def every(players: int) -> int:
    """How many pairs there are."""
    return players * (players - 1) // 2


def together(several: Sequence[Steps[End]]) -> Steps[list[End]]:
    """Run generators side by side: what each wants to ask next is asked at once. What they return, in order."""
    ends: dict[int, End] = {}
    wanted: dict[int, list[Pair]] = {}
    replies: dict[int, list[Share]] = {}
    while len(ends) < len(several):
        for number, steps in enumerate(several):
            if number in ends:
                continue
            try:
                wanted[number] = steps.send(replies[number]) if number in replies else next(steps)
            except StopIteration as end:
                ends[number] = end.value
                wanted.pop(number, None)
        if wanted:
            shares = iter((yield [pair for pairs in wanted.values() for pair in pairs]))
            replies = {number: [next(shares) for _ in pairs] for number, pairs in wanted.items()}
    return [ends[number] for number in range(len(several))]
