"""Rewards become the numbers of a reply: raw, or squeezed by a sigmoid where the client asks for it.

For shapes that have no place for a `Problem`: the first one fails the request, and says which response it was.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from omnireward.serve.asking import Problem, RequestError, Reward
from omnireward.serve.protocols._fields import flag


def flat(rewards: Sequence[Sequence[Reward]]) -> list[Reward]:
    """The rewards of all Asks in order."""
    return [reward for each in rewards for reward in each]


def numbers(rewards: Sequence[Sequence[Reward]]) -> list[float]:
    """The rewards of all Asks in order, as numbers.

    Raises:
        RequestError: one of them is a `Problem`.
    """
    found = []
    for index, reward in enumerate(flat(rewards)):
        if isinstance(reward, Problem):
            raise RequestError(
                f"response {index} has no reward ({reward.kind}): {reward.message} This shape has no place for that "
                "beside the other rewards; send the others without it."
            )
        found.append(reward)
    return found


def squeezed(body: Mapping[str, Any], *keys: str) -> bool:
    """Whether the client asks for a sigmoid, under any of these keys; not unless it says so.

    Raises:
        RequestError: two of the keys contradict each other.
    """
    asked = {key: value for key in keys if (value := flag(body, key)) is not None}
    if len(set(asked.values())) > 1:
        raise RequestError("contradict each other; send one of them.", field=" and ".join(asked))
    return any(asked.values())


def sigmoid(reward: float) -> float:
    """1 / (1 + exp(-reward)), for any finite reward.

    >>> sigmoid(0.0), sigmoid(-1000.0), sigmoid(1000.0)
    (0.5, 0.0, 1.0)
    """
    small = math.exp(-abs(reward))
    return 1 / (1 + small) if reward >= 0 else small / (1 + small)
