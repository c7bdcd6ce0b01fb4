"""Where rewards come from: a server, a model in this process, or a judge that compares (see `pairwise`); and what asks
for them, one row for each response.

Rows of one prompt and criterion are asked together, wherever they stand, so that the prompt is computed once, and only
they are compared.
"""

from __future__ import annotations

import atexit
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING

from omnireward.adapters.pairwise import Pairwise, PairwiseRewards, ServedJudge
from omnireward.client import CallLimits, Client
from omnireward.client.calls import check_discount
from omnireward.errors import MediaError, OmniRewardError, PromptError, RecipeError
from omnireward.judges import Judge, open_judge
from omnireward.judges.reward import RewardJudge
from omnireward.serve.asking import Ask, Problem, Reward, Scored
from omnireward.serve.scoring import RewardWorker, Row, rewards_alone, rows_of
from omnireward.types import Turn

if TYPE_CHECKING:
    from omnireward.encoded import Encoded

Rewarder = Callable[[Sequence[Ask]], list[list[Reward]]]
"""Asks to rewards, in order. Threads may share it. Raises CallError where a server gives none."""


class NoRewardError(OmniRewardError, ValueError):
    """A response has no reward, and the framework has no other place to say so."""


@dataclass(frozen=True, slots=True)
class LocalRewards:
    """A model in this process. A response whose media or prompt cannot be used fails alone; other faults are raised."""

    worker: RewardWorker
    discount: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, asks: Sequence[Ask]) -> list[list[Reward]]:
        """Rewards of all asks together. One call at a time: the model is one."""
        with self._lock:
            ready = [self._prepared(row) for row in rows_of(asks)]
            scored = iter(self.worker.work([one for one in ready if not isinstance(one, Problem)]))
            scores = [one if isinstance(one, Problem) else next(scored) for one in ready]
            found = iter(self._discounted(scores) if self.discount else rewards_alone(scores))
            return [list(islice(found, len(ask.responses))) for ask in asks]

    def _discounted(self, scores: Sequence[Scored | Problem]) -> list[Reward]:
        known = self.worker.model.uncertainty
        assert known is not None  # `rewarder` has seen to it
        found: list[Reward] = []
        for one in scores:
            if isinstance(one, Problem):
                found.append(one)
            else:
                assert one.distance is not None
                found.append(one.reward - self.discount * known.of_response(one.distance).deviation)
        return found

    def _prepared(self, row: Row) -> Encoded | Problem:
        try:
            return self.worker.prepare(row)
        except (MediaError, PromptError) as error:
            return Problem.of(error)


def rewarder(
    where: str | Judge, limits: CallLimits | None = None, pairwise: Pairwise | None = None, discount: float = 0.0
) -> Rewarder:
    """Open a server, a model or a judge; the same one for the same arguments.

    Args:
        where: ``http://HOST:PORT``, whose key is the environment's OMNIREWARD_API_KEY; ``reward:FOLDER``; or, with
            `pairwise`, the name of any judge, such as ``generative:FOLDER`` or ``api:MODEL``, or a judge that is open.
        limits: of calls of a server.
        pairwise: rank responses by comparisons; a server is then asked for judgements.
        discount: take so many deviations off each reward, so that responses unlike what the model was trained on do not
            pay; the model must know them (see `uncertainty`).

    Raises:
        RecipeError: it is none of these, or cannot be discounted.
        UnknownNameError: there is no such judge.
        CheckpointError: the folder holds no model.
    """
    check_discount(discount)
    if discount and pairwise is not None:
        raise RecipeError("ranks by comparisons have no deviations to discount. Leave out `pairwise` or `discount`.")
    if not isinstance(where, str):
        if pairwise is None:
            raise RecipeError("a judge compares two; `pairwise` says how that becomes rewards: Pairwise(group=8).")
        return PairwiseRewards(where, pairwise)
    with _opening:  # or threads that ask for a model at once would each load it
        return _opened(where, limits or CallLimits(), pairwise, discount)


_opening = threading.Lock()
_SERVED_TOGETHER = 1024


@lru_cache(maxsize=8)
def _opened(where: str, limits: CallLimits, pairwise: Pairwise | None, discount: float) -> Rewarder:
    if where.startswith(("http://", "https://")):
        client = Client(where, limits=limits, discount=discount)
        atexit.register(client.close)
        if pairwise is None:
            return client.ask
        # It is the server that makes batches; the client has as much under way as the limits allow.
        return PairwiseRewards(ServedJudge(client, limits, where), replace(pairwise, batch_size=_SERVED_TOGETHER))
    if pairwise is not None:
        return PairwiseRewards(open_judge(where, pairwise.judge), pairwise)
    if not where.startswith("reward:"):
        raise RecipeError(
            f"rewards come from a server, as http://127.0.0.1:8000, or from a model, as reward:FOLDER; got {where!r}. "
            "A judge that compares two responses needs `pairwise`, such as {'group': 8}."
        )
    judge = open_judge(where)
    assert isinstance(judge, RewardJudge)
    if discount and judge.model.uncertainty is None:
        raise RecipeError(
            f"{where} does not know how far its rewards may be off, so there is nothing to discount by. Fit it with: "
            f"omnireward uncertainty {where.removeprefix('reward:')} --datasets ..."
        )
    return LocalRewards(RewardWorker(judge.model), discount)


def rewards_of(rows: Sequence[Row], source: Rewarder, unread: int = 0) -> list[Reward]:
    """A reward for each row, in order; `unread` further ones could not be read. Raises RecipeError: parts of groups."""
    groups: dict[tuple[tuple[Turn, ...], str], list[int]] = {}
    for index, row in enumerate(rows):
        groups.setdefault((row.prompt, row.criterion), []).append(index)
    asks = [Ask(prompt, tuple(rows[i].response for i in places), c) for (prompt, c), places in groups.items()]
    if isinstance(source, PairwiseRewards):
        source.check(asks, unread)
    found: dict[int, Reward] = {}
    for places, rewards in zip(groups.values(), source(asks), strict=True):
        found.update(zip(places, rewards, strict=True))
    return [found[index] for index in range(len(rows))]


def number(reward: Reward, place: str) -> float:
    """The reward, where only a number will do. Raises NoRewardError."""
    if isinstance(reward, Problem):
        raise NoRewardError(f"{place} has no reward ({reward.kind}): {reward.message}")
    return reward


def check_on_problem(given: str, known: Sequence[str]) -> None:
    """Raises RecipeError where it is another word: what has no reward would silently become something else."""
    if given not in known:
        raise RecipeError(f"on_problem is {given!r}; known are {' and '.join(map(repr, known))}.")


def criteria_of(value: object, count: int, default: str) -> list[str]:
    """One criterion for each of `count` rows, from a dataset column; the default where there is none.

    Raises:
        RecipeError: the column holds something else.
    """
    if value is None:
        return [default] * count
    values = [value] * count if isinstance(value, str) else value
    if not isinstance(values, Sequence) or len(values) != count:
        raise RecipeError(f"the column `criterion` must hold {count} strings, one for each row.")
    found = []
    for each in values:
        if not isinstance(each, str | None):
            raise RecipeError(f"the column `criterion` holds a {type(each).__name__}; it must hold strings.")
        found.append(default if each is None else each)
    return found
