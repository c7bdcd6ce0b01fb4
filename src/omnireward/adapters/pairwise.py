"""Rewards from a judge that compares two: the responses to one prompt are ranked, and strengths are their rewards.

Only responses to the same prompt under the same criterion meet. A trainer that spreads one prompt's responses over its
processes hands over a part of each group, and parts are not comparable: a strength counts from the mean of those that
were ranked together. So `Pairwise.group` says how many there must be, and fewer is an error.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from omnireward.client import CallLimits, Client
from omnireward.errors import RecipeError
from omnireward.judges import Judge, JudgeOptions
from omnireward.plugins import suggest
from omnireward.ranking import Group, Ranking, RankingOptions, rank_groups
from omnireward.ranking.groups import counts
from omnireward.serve.asking import Ask, Problem, Reward
from omnireward.types import Comparison, Judgement

logger = logging.getLogger(__name__)

Options = TypeVar("Options")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairwise:
    """How rewards come from comparisons.

    Attributes:
        group: responses to each prompt, as the trainer makes them: `num_generations`, `rollout.n`. A prompt that comes
            several times in a batch has a multiple of it, and all of them meet.
        ranking: which comparisons are asked.
        judge: how a judge that is opened by its name is asked; a server's is asked as the server was told.
        batch_size: comparisons that a judge which computes gets at once.

    Raises:
        RecipeError: groups of fewer than two.
    """

    group: int
    ranking: RankingOptions = field(default_factory=RankingOptions)
    judge: JudgeOptions = field(default_factory=JudgeOptions)
    batch_size: int = 16

    def __post_init__(self) -> None:
        for name, least in (("group", 2), ("batch_size", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise RecipeError(f"{name} of pairwise must be a whole number of at least {least}, not {value!r}.")

    @classmethod
    def of(cls, value: Pairwise | Mapping[str, Any] | None) -> Pairwise | None:
        """From what a trainer's configuration holds: a mapping, whose `ranking` and `judge` are mappings, too.

        Raises:
            RecipeError: a key that is unknown, or no `group`.

        >>> Pairwise.of({"group": 8, "ranking": {"schedule": "swiss"}}).ranking.schedule
        'swiss'
        """
        if value is None or isinstance(value, cls):
            return value
        if not isinstance(value, Mapping):
            raise RecipeError(f"pairwise is a mapping such as {{'group': 8}}, not {value!r}.")
        given = dict(value)
        judge = given.get("judge")
        if isinstance(judge, Mapping) and isinstance(judge.get("calls"), str):
            given["judge"] = {**judge, "calls": Path(judge["calls"])}
        for name, kind in (("ranking", RankingOptions), ("judge", JudgeOptions)):
            if isinstance(given.get(name), Mapping):
                given[name] = _made(kind, given[name], f"pairwise.{name}")
        if "group" not in given:
            raise RecipeError("pairwise needs `group`: how many responses the trainer makes for each prompt.")
        return _made(cls, given, "pairwise")


def _made(kind: type[Options], given: Mapping[str, Any], place: str) -> Options:
    known = [each.name for each in fields(kind)]  # type: ignore[arg-type]
    for key in given:
        if key not in known:
            raise RecipeError(f"{place} has no {key!r}. {suggest(str(key), known)}")
    return kind(**given)


@dataclass(frozen=True, slots=True)
class PairwiseRewards:
    """A judge and how it is asked. Rewards of a group have mean 0. Threads may share it; the judge is asked by one."""

    judge: Judge
    options: Pairwise
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, asks: Sequence[Ask]) -> list[list[Reward]]:
        """Rewards of all asks, ranked side by side; a response that nothing was found out about has a `Problem`."""
        groups = [Group(ask.prompt, ask.responses, ask.criterion) for ask in asks]
        with self._lock:
            rankings = rank_groups(self.judge, groups, self.options.ranking, batch_size=self.options.batch_size)
        logger.info("ranked %s", counts(rankings))
        return [_rewards(ranking) for ranking in rankings]

    def check(self, asks: Sequence[Ask], unread: int) -> None:
        """Whether the groups are whole, but for `unread` responses that could not be read. Raises RecipeError."""
        missing = sum(-len(ask.responses) % self.options.group for ask in asks)
        if missing > unread:
            found = sorted({len(ask.responses) for ask in asks})
            raise RecipeError(
                f"prompts come with {', '.join(map(str, found))} responses to each, but pairwise.group is "
                f"{self.options.group}. Responses can be ranked only where all of a prompt are together: let each "
                "process of the trainer have whole groups, or hand it the rewards of the gathered batch."
            )


@dataclass(frozen=True, slots=True)
class ServedJudge:
    """A server's judge, asked at ``/v1/judgements``; as many comparisons at once as the limits of calls allow.

    A server that gives no answer raises CallError: asking it the rest would take as long for each.
    """

    client: Client
    limits: CallLimits
    fingerprint: str

    def __call__(self, comparisons: Sequence[Comparison]) -> list[Judgement]:
        """Judge each comparison."""
        with ThreadPoolExecutor(self.limits.concurrency) as pool:
            return list(pool.map(self.client.judge, comparisons))


def _rewards(ranking: Ranking) -> list[Reward]:
    return [
        Problem("failed", reason) if reward is None else reward
        for reward, reason in zip(ranking.rewards, ranking.reasons, strict=True)
    ]
