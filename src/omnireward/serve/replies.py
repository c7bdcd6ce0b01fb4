"""What the native paths answer, as types: what is written is checked against them, and OpenAPI is made from them.

Every reply says which form it has: `SCHEMA`. A key that has nothing to say is left out; it is never null in place of a
number, but for ``tie_threshold``, whose null says that no threshold made the probabilities. What did is told by
``ties``; its null says that nothing did, so that they know no ties.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import (
    Literal,
    NotRequired,  # pydantic reads no other below Python 3.12
)

from typing_extensions import TypedDict

from omnireward.metrics import PairProbabilities, pair_probabilities, tie_log_odds
from omnireward.ranking import Ranking, Strength
from omnireward.serve.asking import SCHEMA, Problem, ProblemKind, Reward, Served, TieSource
from omnireward.serve.queue import LATE
from omnireward.types import Judgement, Preference


class Reply(TypedDict):
    """What every reply begins with: its form, the request's id, the model's name and digest, seconds of the epoch."""

    schema: Literal["omnireward/1"]
    id: str
    model: str
    revision: str
    created: int


class Reason(TypedDict):
    """Why there is no reward or no judgement."""

    kind: ProblemKind
    message: str


class RewardValue(TypedDict):
    """A raw reward: no sigmoid.

    Where the model knows how unlike its training a response is: `familiarity` is the share of training responses that
    were at least as far out (0: farther out than all of them), and `deviation` the standard deviation of the reward
    that comes of it, in log-odds, as differences of rewards are; 0 for what is like training.
    """

    value: float
    familiarity: NotRequired[float]
    deviation: NotRequired[float]


class RewardProblem(TypedDict):
    """A response without a reward."""

    problem: Reason


class Probabilities(TypedDict):
    """That a is better, that neither is, and that b is; they sum to 1."""

    a: float
    tie: float
    b: float


class PairReply(TypedDict):
    """Two responses by their places, a before b; the margin is the reward of a minus that of b."""

    a: int
    b: int
    margin: float
    probabilities: Probabilities


class RewardsReply(Reply):
    """For each criterion a list with a reward, or a problem, for each response.

    Where the body says `pairs`, for each criterion too a list of pairs, those left out that lack a reward. `ties` says
    where the probability of a tie comes from: `head`, the model itself, which learned it; `threshold`, a margin up to
    which two responses count as tied, in `tie_threshold`; or null, nowhere: then it is 0 by Bradley-Terry, and nobody
    has measured it.
    """

    rewards: list[list[RewardValue | RewardProblem]]
    raw: Literal[True]
    pairs: NotRequired[list[list[PairReply]]]
    ties: NotRequired[TieSource | None]
    tie_threshold: NotRequired[float | None]


class SideRewards(TypedDict):
    """Raw rewards of the two responses."""

    a: float
    b: float


class JudgementFound(TypedDict):
    """What the judge has; the rest is left out. A margin of null is no verdict.

    `deviation` is that of the margin, in log-odds, and `familiarity` that of the two together (see `RewardValue`).
    """

    margin: float | None
    rewards: NotRequired[SideRewards]
    probabilities: NotRequired[Probabilities]
    verdict: NotRequired[Preference]
    rationale: NotRequired[str]
    familiarity: NotRequired[float]
    deviation: NotRequired[float]


class JudgementReply(Reply):
    """A judgement; or a problem.

    `ties` says where the probabilities of a reward model come from: its tie head, or the `tie_threshold` that is told.
    """

    judgement: NotRequired[JudgementFound]
    problem: NotRequired[Reason]
    ties: NotRequired[TieSource]
    tie_threshold: NotRequired[float]


class StrengthValue(TypedDict):
    """Bradley-Terry: who is stronger by s wins a share sigmoid(s) of its comparisons."""

    value: float
    standard_error: float


class RankingFound(TypedDict):
    """For each response a strength, or why it has none; those that have one have the mean 0.

    `calls` comparisons were asked: `failed` of them gave nothing, and `without_verdict` were answered without one.
    """

    strengths: list[StrengthValue | RewardProblem]
    reference: NotRequired[StrengthValue]
    calls: int
    failed: int
    without_verdict: int


class RankingReply(Reply):
    """A ranking of responses to one prompt."""

    ranking: RankingFound


class UploadReply(TypedDict):
    """An upload: the id that stands for it in bodies, its bytes, and the seconds that it is kept."""

    schema: Literal["omnireward/1"]
    id: str
    bytes: int
    expires_in_s: float


def write_rewards(rewards: Sequence[Sequence[Reward]], served: Served, pairs: bool = False) -> RewardsReply:
    """Rewards of each criterion, and the pairs between them where they are asked for."""
    reply: RewardsReply = {
        "schema": SCHEMA,
        "id": served.request,
        "model": served.model,
        "revision": served.revision,
        "created": served.created,
        "rewards": [
            [_reward(one, served, ask, place) for place, one in enumerate(row)] for ask, row in enumerate(rewards)
        ],
        "raw": True,
    }
    if pairs:
        reply["pairs"] = [_pairs(ask, row, served) for ask, row in enumerate(rewards)]
        reply["ties"] = served.ties
        reply["tie_threshold"] = served.tie_threshold
    return reply


def write_judgement(judgement: Judgement | Problem, served: Served) -> JudgementReply:
    """A judgement, or why there is none. What a judge does not have is left out."""
    reply: JudgementReply = {
        "schema": SCHEMA,
        "id": served.request,
        "model": served.model,
        "revision": served.revision,
        "created": served.created,
    }
    if isinstance(judgement, Problem) or judgement.error:
        problem = judgement if isinstance(judgement, Problem) else Problem("failed", judgement.error)
        reply["problem"] = _reason(problem)
        return reply
    found: JudgementFound = {"margin": judgement.margin}
    if judgement.rewards is not None:
        found["rewards"] = {"a": judgement.rewards[0], "b": judgement.rewards[1]}
    if judgement.probabilities is not None:
        found["probabilities"] = _probabilities(PairProbabilities(*judgement.probabilities))
        if served.ties is not None:
            reply["ties"] = served.ties
        if served.tie_threshold is not None:
            reply["tie_threshold"] = served.tie_threshold
    if judgement.verdict is not None:
        found["verdict"] = judgement.verdict
    if judgement.rationale:
        found["rationale"] = judgement.rationale
    if judgement.familiarity is not None and judgement.deviation is not None:
        found["familiarity"], found["deviation"] = judgement.familiarity, judgement.deviation
    reply["judgement"] = found
    return reply


def write_ranking(ranking: Ranking, served: Served) -> RankingReply:
    """A ranking. A response without a strength has the reason in its place."""
    found: RankingFound = {
        "strengths": [
            _strength(strength) if strength is not None else {"problem": _reason(_unranked(reason))}
            for strength, reason in zip(ranking.strengths, ranking.reasons, strict=True)
        ],
        "calls": ranking.calls,
        "failed": ranking.failed,
        "without_verdict": ranking.without_verdict,
    }
    if ranking.reference is not None:
        found["reference"] = _strength(ranking.reference)
    return {
        "schema": SCHEMA,
        "id": served.request,
        "model": served.model,
        "revision": served.revision,
        "created": served.created,
        "ranking": found,
    }


def _strength(strength: Strength) -> StrengthValue:
    return {"value": strength.value, "standard_error": strength.standard_error}


def _unranked(reason: str) -> Problem:
    return Problem("deadline" if str(LATE) in reason else "failed", reason)


def _reward(reward: Reward, served: Served, ask: int, place: int) -> RewardValue | RewardProblem:
    if isinstance(reward, Problem):
        return {"problem": _reason(reward)}
    if served.doubt is None:
        return {"value": reward}
    doubt = served.doubt(ask, place)
    return {"value": reward, "familiarity": doubt.familiarity, "deviation": doubt.deviation}


def _reason(problem: Problem) -> Reason:
    return {"kind": problem.kind, "message": problem.message}


def _pairs(ask: int, rewards: Sequence[Reward], served: Served) -> list[PairReply]:
    values = [(place, reward) for place, reward in enumerate(rewards) if not isinstance(reward, Problem)]
    log_odds, chances = tie_log_odds(served.tie_threshold), served.chances
    found: list[PairReply] = []
    for (i, a), (j, b) in combinations(values, 2):
        three = pair_probabilities(a - b, log_odds) if chances is None else chances(ask, i, j)
        found.append({"a": i, "b": j, "margin": a - b, "probabilities": _probabilities(three)})
    return found


def _probabilities(found: PairProbabilities) -> Probabilities:
    return {"a": found.a, "tie": found.tie, "b": found.b}
