"""A reward function for EasyR1: ``compute_score`` over a batch. In the trainer's configuration:

    worker.reward.reward_function=my_reward.py:compute_score   # from omnireward.adapters.easyr1 import *
    worker.reward.reward_function_kwargs.where=http://127.0.0.1:8000

EasyR1 hands over the response and the row's answer, and no prompt. So the answer column must hold what is asked: an
object, or its JSON, with ``prompt`` (a string or messages) and, where wanted, ``criterion``.

EasyR1 needs numbers, so a response without a reward is an error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from omnireward.adapters.chats import prompt_of, response_of
from omnireward.adapters.pairwise import Pairwise
from omnireward.adapters.source import number, rewarder, rewards_of
from omnireward.errors import RecipeError
from omnireward.serve.scoring import Row

REWARD_NAME = "omnireward"
REWARD_TYPE = "batch"

__all__ = ["REWARD_NAME", "REWARD_TYPE", "compute_score"]


def compute_score(
    reward_inputs: Sequence[Mapping[str, Any]],
    *,
    where: str,
    criterion: str = "",
    pairwise: Pairwise | Mapping[str, Any] | None = None,
    discount: float = 0.0,
) -> list[dict[str, float]]:
    """The rewards of a batch, each under ``overall``, which EasyR1 trains on, and ``omnireward``, for its logs.

    Args:
        reward_inputs: each with ``response`` and ``ground_truth``.
        where: the URL of a server, or ``reward:FOLDER``; with `pairwise` the name of any judge.
        criterion: for rows that have none of their own.
        pairwise: rank the responses of each prompt by comparisons, such as ``{group: 5}``, which is `worker.rollout.n`.
        discount: deviations to take off each reward (see `source.rewarder`).

    Raises:
        RecipeError: a row's answer holds no prompt.
        NoRewardError: a response has no reward.
        CallError: the server gives no answer.
    """
    rows = []
    for index, each in enumerate(reward_inputs):
        asked = _asked(each["ground_truth"], index)
        own = asked.get("criterion")
        prompt = prompt_of(asked["prompt"])
        rows.append(Row(prompt, response_of(each["response"]), criterion if own is None else str(own)))
    rewards = rewards_of(rows, rewarder(where, None, Pairwise.of(pairwise), discount))
    numbers = [number(reward, f"response {index} of the batch") for index, reward in enumerate(rewards)]
    return [{"overall": value, REWARD_NAME: value} for value in numbers]


def _asked(answer: object, index: int) -> Mapping[str, Any]:
    if isinstance(answer, str):
        try:
            answer = json.loads(answer)
        except (ValueError, RecursionError):
            answer = None
    if not isinstance(answer, Mapping) or answer.get("prompt") is None:
        raise RecipeError(
            f"the answer of response {index} is no object with `prompt`; EasyR1 gives the reward no prompt, so the "
            'answer column must hold it: {"prompt": "...", "criterion": "..."}.'
        )
    return answer
