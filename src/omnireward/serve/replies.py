"""What the native paths answer, as types: what is written is checked against them, and OpenAPI is made from them.

Every reply says which form it has: `SCHEMA`. A key that has nothing to say is left out; it is never null in place of a
number, but for ``tie_threshold``, whose null says that probabilities know no ties.
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
from omnireward.serve.asking import SCHEMA, Problem, ProblemKind, Reward, Served
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
    """A raw reward: no sigmoid."""

    value: float


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

    Where the body says `pairs`, for each criterion too a list of pairs, those left out that lack a reward. They know no
    ties where `tie_threshold` is null: their probability of a tie is 0 by Bradley-Terry, and nobody has measured it.
    """

    rewards: list[list[RewardValue | RewardProblem]]
    raw: Literal[True]
    pairs: NotRequired[list[list[PairReply]]]
    tie_threshold: NotRequired[float | None]


class SideRewards(TypedDict):
    """Raw rewards of the two responses."""

    a: float
    b: float


class JudgementFound(TypedDict):
    """What the judge has; the rest is left out. A margin of null is no verdict."""

    margin: float | None
    rewards: NotRequired[SideRewards]
    probabilities: NotRequired[Probabilities]
    verdict: NotRequired[Preference]
    rationale: NotRequired[str]


class JudgementReply(Reply):
    """A judgement; or a problem. `tie_threshold` says that the probabilities of a reward model come from it."""

    judgement: NotRequired[JudgementFound]
    problem: NotRequired[Reason]
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
        "rewards": [[_reward(one) for one in row] for row in rewards],
        "raw": True,
    }
    if pairs:
        log_odds = tie_log_odds(served.tie_threshold)
        reply["pairs"] = [_pairs(row, log_odds) for row in rewards]
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
        if served.tie_threshold is not None:
            reply["tie_threshold"] = served.tie_threshold
    if judgement.verdict is not None:
        found["verdict"] = judgement.verdict
    if judgement.rationale:
        found["rationale"] = judgement.rationale
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


def _reward(reward: Reward) -> RewardValue | RewardProblem:
    return {"problem": _reason(reward)} if isinstance(reward, Problem) else {"value": reward}


def _reason(problem: Problem) -> Reason:
    return {"kind": problem.kind, "message": problem.message}


def _pairs(rewards: Sequence[Reward], log_odds: float) -> list[PairReply]:
    values = [(place, reward) for place, reward in enumerate(rewards) if not isinstance(reward, Problem)]
    return [
        {"a": i, "b": j, "margin": a - b, "probabilities": _probabilities(pair_probabilities(a - b, log_odds))}
        for (i, a), (j, b) in combinations(values, 2)
    ]


def _probabilities(found: PairProbabilities) -> Probabilities:
    return {"a": found.a, "tie": found.tie, "b": found.b}
