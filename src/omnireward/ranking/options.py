"""How a group is ranked, and what that takes at most."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from omnireward.errors import RecipeError
from omnireward.ranking.schedules import Schedule, schedule

MOST_RESPONSES = 128
"""Of one group, the reference among them: a round robin of so many asks 8,128 pairs."""

Order = Literal["balanced", "both"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingOptions:
    """Which comparisons are asked, and in which order each is shown.

    Raises:
        UnknownNameError: there is no schedule of that name.
        RecipeError: an order that is none, or a number of calls for a schedule that reads none.
    """

    schedule: str = "sort"
    """Which pairs: all, sample, anchor, sort or swiss; or the dotted path of a module."""
    calls: int | None = None
    """The most comparisons for one prompt, of `sample` and `swiss`, also where some fail. They have defaults that grow
    with the group."""
    order: Order = "balanced"
    """Each pair once, that response first which has been first less often; or in both orders, which is two calls."""
    seed: int = 0
    """Of all that is drawn; with the same responses it gives the same comparisons."""

    def __post_init__(self) -> None:
        if self.order not in get_args(Order):
            raise RecipeError(f"order is {self.order!r}; known are {' and '.join(map(repr, get_args(Order)))}.")
        if self.calls is not None and not schedule(self.schedule).reads_calls:
            raise RecipeError(
                f"the schedule {self.schedule!r} reads no `calls`: how many it asks follows from the number of "
                "responses (`most_calls`). Leave it out, or take sample or swiss."
            )
        if self.calls is not None and (not isinstance(self.calls, int) or self.calls < 1):
            raise RecipeError(f"calls must be a whole number of at least 1, not {self.calls!r}.")
        schedule(self.schedule)

    @property
    def orders(self) -> int:
        """In how many orders each pair is asked."""
        return 2 if self.order == "both" else 1

    @property
    def chosen(self) -> Schedule:
        """The schedule."""
        return schedule(self.schedule)

    def pairs(self, players: int) -> int | None:
        """The most pairs that `calls` covers. Raises RecipeError where they cannot connect the players."""
        if self.calls is None:
            return None
        pairs = self.calls // self.orders
        if pairs < players - 1:
            raise RecipeError(
                f"{self.calls} calls, {self.orders} for each pair, cannot connect {players} different responses; they "
                f"need at least {(players - 1) * self.orders}."
            )
        return pairs


def most_calls(players: int, options: RankingOptions | None = None) -> int:
    """The most comparisons for a group of so many responses, a reference among them; none for fewer than two.

    Where some have no verdict and `calls` is not set, whoever is cut off by that may take two pairs more (`mending`).

    Raises:
        RecipeError: there are too many, or too few `calls`.

    >>> most_calls(8), most_calls(8, RankingOptions(schedule="all", order="both"))
    (17, 56)
    """
    options = options or RankingOptions()
    check_count(players)
    return options.chosen.most(players, options.pairs(players)) * options.orders if players > 1 else 0


def check_count(players: int) -> None:
    """Raises RecipeError for more than `MOST_RESPONSES`."""
    if players > MOST_RESPONSES:
        raise RecipeError(
            f"{players} responses to one prompt, a reference included, are to be ranked; at most {MOST_RESPONSES} are. "
            "Rank smaller groups, each against the same reference."
        )
