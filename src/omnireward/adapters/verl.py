"""A reward function for verl: ``compute_score``. In the trainer's configuration:

    custom_reward_function.path=my_reward.py           # from omnireward.adapters.verl import compute_score
    +custom_reward_function.reward_kwargs.where=http://127.0.0.1:8000

verl hands over the response and the row's ``extra_info``, and no prompt. The prompt is ``extra_info["question"]``, or
under another key that `prompt_key` names: a string, or messages. ``extra_info["criterion"]`` is the criterion.

verl needs a number, so a response without a reward is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omnireward.adapters.chats import prompt_of, response_of
from omnireward.adapters.source import number, rewarder, rewards_of
from omnireward.errors import RecipeError
from omnireward.serve.scoring import Row


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: object,  # noqa: ARG001
    extra_info: Mapping[str, Any] | None = None,
    *,
    where: str,
    criterion: str = "",
    prompt_key: str = "question",
    **_others: object,
) -> float:
    """The reward of one response.

    Args:
        data_source: the dataset's name, for messages.
        solution_str: the response.
        ground_truth: not read; a reward model knows no right answer.
        extra_info: of the row.
        where: the URL of a server, or ``reward:FOLDER``.
        criterion: for rows that have none of their own.
        prompt_key: the prompt's key in `extra_info`.

    Raises:
        RecipeError: `extra_info` has no prompt.
        NoRewardError: there is no reward.
        CallError: the server gives no answer.
    """
    if extra_info is None or extra_info.get(prompt_key) is None:
        known = ", ".join(sorted(map(str, extra_info or {}))) or "nothing"
        raise RecipeError(
            f"extra_info of {data_source!r} has no {prompt_key!r}; it has {known}. Write the prompt there when the "
            "dataset is made, or name its key with custom_reward_function.reward_kwargs.prompt_key."
        )
    own = extra_info.get("criterion")
    row = Row(prompt_of(extra_info[prompt_key]), response_of(solution_str), criterion if own is None else str(own))
    return number(rewards_of([row], rewarder(where))[0], f"a response of {data_source!r}")
