"""Groups of responses, a judge and a schedule become rankings.

Groups are ranked side by side: a round asks, in batches, what every group wants to know next, so a judge that computes
has full batches although each group asks little at a time, and one that waits for others has much under way. What a
group asks and gets does not depend on the groups beside it.

The order in which a pair is shown decides much with some judges. So the response that has been first less often is
first; where both have been as often, it is drawn. What a judge has for the first place then cancels for each response,
up to a comparison or so.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from omnireward.errors import RecipeError
from omnireward.judges import Judge, PatientJudge
from omnireward.ranking.groups import Compared, Group, Ranking
from omnireward.ranking.mending import mended
from omnireward.ranking.options import RankingOptions, check_count
from omnireward.ranking.players import players_of
from omnireward.ranking.schedules import Field, Pair, Share
from omnireward.ranking.shares import error_of, share_of
from omnireward.ranking.strengths import ranking_of
from omnireward.types import Comparison, Judgement, Part, Text, Turn

_TOGETHER = 16  # comparisons in a batch of a judge that computes, as `omnireward evaluate` has


def rank_responses(
    judge: Judge,
    prompt: str | Sequence[Turn],
    responses: Sequence[str | Sequence[Part]],
    criterion: str = "",
    options: RankingOptions | None = None,
    *,
    reference: str | Sequence[Part] | None = None,
    batch_size: int = _TOGETHER,
) -> Ranking:
    """One number for each response to one prompt, from comparisons of two.

    Args:
        judge: any, such as ``open_judge("generative:FOLDER")``.
        prompt: words of a user, or turns.
        responses: words or parts; at most 128, a reference among them. Equal ones are asked once and share the number.
        criterion: in plain words; empty is overall quality.
        options: which comparisons are asked; by default merge sort, at most 17 calls for 8 responses.
        reference: a response that takes part without being ranked; what `anchor` compares all others with.
        batch_size: comparisons that a judge which computes gets at once.

    Raises:
        RecipeError: too many responses, or too few `calls` to connect them.
    """
    turns = (Turn("user", (Text(prompt),)),) if isinstance(prompt, str) else tuple(prompt)
    group = Group(turns, tuple(map(_parts, responses)), criterion, None if reference is None else _parts(reference))
    return rank_groups(judge, [group], options, batch_size=batch_size)[0]


def rank_groups(
    judge: Judge,
    groups: Sequence[Group],
    options: RankingOptions | None = None,
    *,
    batch_size: int = _TOGETHER,
) -> list[Ranking]:
    """A ranking of each group, in order; responses of different groups never meet. As `rank_responses`."""
    if batch_size < 1:
        raise RecipeError(f"batch_size must be at least 1, not {batch_size}.")
    options = options or RankingOptions()
    for group in groups:  # before anything is asked
        check_count(len(group.responses) + (group.reference is not None))
    courses = [_Course(group, options) for group in groups]
    while asked := [(course, pair) for course in courses for pair in course.wanted]:
        shown = [course.shown(pair) for course, pair in asked]
        told = iter([one for batch in _batches(judge, shown, batch_size) for one in _judged(judge, batch)])
        for course in courses:
            course.take([next(told) for _ in course.wanted])
    return [course.ranking() for course in courses]


class _Course:
    """A group on its way: the calls so far, and those that it wants next. Numbers of players, not of responses."""

    def __init__(self, group: Group, options: RankingOptions) -> None:
        self._group, self._players, self._orders = group, players_of(group), options.orders
        count = len(self._players.members)
        self._rng = random.Random(f"{options.seed}:{':'.join(self._players.digests)}")
        self._firsts = [0] * count  # how often a player was first, less how often second
        self._compared: list[Compared] = []
        self._pairs: list[Pair] = []
        self.wanted: list[Pair] = []
        """(first, second) of the next calls."""
        if count > 1:
            field = Field(count, options.pairs(count), self._players.reference, self._rng)
            steps = options.chosen.steps(field)
            self._steps = steps if options.calls is not None else mended(steps, count, self._rng)
            self._want(None)

    def shown(self, pair: Pair) -> Comparison:
        """What the judge sees. The responses of a player are equal, so the first of them stands for all."""
        first, second = (self._response(player) for player in pair)
        return Comparison(self._group.prompt, first, second, self._group.criterion)

    def take(self, judgements: Sequence[Judgement]) -> None:
        """What the judge said of `wanted`, in order."""
        if not self.wanted:
            return
        shares: dict[Pair, list[float]] = {pair: [] for pair in self._pairs}
        for (first, second), judgement in zip(self.wanted, judgements, strict=True):
            share = share_of(judgement)
            self._compared.append(Compared(self._number(first), self._number(second), share, error_of(judgement)))
            if share is not None and (first, second) in shares:
                shares[first, second].append(share)
            elif share is not None:
                shares[second, first].append(1 - share)
        if self._hopeless():
            self.wanted = []
        else:
            self._want([sum(found) / len(found) if found else None for found in (shares[p] for p in self._pairs)])

    def ranking(self) -> Ranking:
        """What has been found out."""
        return ranking_of(self._group, self._players, self._compared)

    def _want(self, shares: list[Share] | None) -> None:
        try:
            self._pairs = next(self._steps) if shares is None else self._steps.send(shares)
        except StopIteration:
            self._pairs = []
        self.wanted = [shown for pair in self._pairs for shown in self._ordered(pair)]

    def _ordered(self, pair: Pair) -> list[Pair]:
        if self._orders == 2:
            return [pair, pair[::-1]]
        lead = self._firsts[pair[0]] - self._firsts[pair[1]]
        if lead > 0 or (lead == 0 and self._rng.random() < 0.5):
            pair = pair[::-1]
        self._firsts[pair[0]] += 1
        self._firsts[pair[1]] -= 1
        return [pair]

    def _hopeless(self) -> bool:
        """Whether as many calls as there are players have failed, and no other: a dead endpoint, a broken prompt."""
        return len(self._compared) >= len(self._firsts) and all(one.error for one in self._compared)

    def _number(self, player: int) -> int:
        return self._players.members[player][0]

    def _response(self, player: int) -> tuple[Part, ...]:
        number = self._number(player)
        if number >= 0:
            return self._group.responses[number]
        assert self._group.reference is not None
        return self._group.reference


def _judged(judge: Judge, comparisons: Sequence[Comparison]) -> list[Judgement]:
    judgements = judge(comparisons)
    if len(judgements) != len(comparisons):
        raise RuntimeError(
            f"the judge {judge.fingerprint!r} gave {len(judgements)} judgements for {len(comparisons)} comparisons; "
            "a judge gives one for each, in order."
        )
    return judgements


def _batches(judge: Judge, comparisons: Sequence[Comparison], size: int) -> Iterator[Sequence[Comparison]]:
    """A judge that waits for others keeps to its own window, so it gets all at once."""
    step = max(len(comparisons), 1) if isinstance(judge, PatientJudge) else size
    for start in range(0, len(comparisons), step):
        yield comparisons[start : start + step]


def _parts(response: str | Sequence[Part]) -> tuple[Part, ...]:
    return (Text(response),) if isinstance(response, str) else tuple(response)
