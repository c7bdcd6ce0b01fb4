"""Reward functions for verl: ``compute_score``, and ``compute_score_async``. In the trainer's configuration:

    reward.custom_reward_function.path=my_reward.py    # from omnireward.adapters.verl import compute_score_async
    reward.custom_reward_function.name=compute_score_async
    +reward.custom_reward_function.reward_kwargs.where=http://127.0.0.1:8000

Both give the same. verl asks for one response at a time; the waiting one in a few threads of each of its workers, the
other one for all responses of a worker, of which `CallLimits.concurrency` (16) are under way at once, so a server can
compute them together.

`compute_scores` is for verl's batch reward manager (``reward_manager=batch``), which hands over all responses at once.
It alone can rank them with a judge that compares (`pairwise`).

verl hands over the response and the row's ``extra_info``, and no prompt. The prompt is ``extra_info["question"]``, or
under another key that `prompt_key` names: a string, or messages. ``extra_info["criterion"]`` is the criterion.

verl needs a number, so a response without a reward is an error. So is an argument of another name: a misspelt
`criterion` would train on overall quality.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from omnireward.adapters.chats import prompt_of, response_of
from omnireward.adapters.pairwise import Pairwise
from omnireward.adapters.source import number, rewarder, rewards_of
from omnireward.client import AsyncClient
from omnireward.errors import RecipeError
from omnireward.serve.asking import Ask
from omnireward.serve.scoring import Row

_CLIENTS: dict[asyncio.AbstractEventLoop, dict[tuple[str, float], AsyncGenerator[AsyncClient, None]]] = {}
"""Of each loop that is open, by address and discount: connections are kept from call to call, and are of their loop."""


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: object,  # noqa: ARG001
    extra_info: Mapping[str, Any] | None = None,
    *,
    where: str,
    criterion: str = "",
    prompt_key: str = "question",
    discount: float = 0.0,
    reward_router_address: object = None,  # noqa: ARG001
    reward_model_tokenizer: object = None,  # noqa: ARG001
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
        discount: deviations to take off each reward (see `source.rewarder`).
        reward_router_address: not read; verl adds it where it has a reward model of its own.
        reward_model_tokenizer: as `reward_router_address`.

    Raises:
        RecipeError: `extra_info` has no prompt.
        NoRewardError: there is no reward.
        CallError: the server gives no answer.
    """
    row = _row(data_source, solution_str, extra_info, criterion, prompt_key)
    return number(rewards_of([row], rewarder(where, None, None, discount))[0], f"a response of {data_source!r}")


async def compute_score_async(
    data_source: str,
    solution_str: str,
    ground_truth: object,  # noqa: ARG001
    extra_info: Mapping[str, Any] | None = None,
    *,
    where: str,
    criterion: str = "",
    prompt_key: str = "question",
    discount: float = 0.0,
    reward_router_address: object = None,  # noqa: ARG001
    reward_model_tokenizer: object = None,  # noqa: ARG001
) -> float:
    """As `compute_score`, which says what the arguments are and what is raised, without waiting in a thread."""
    row = _row(data_source, solution_str, extra_info, criterion, prompt_key)
    if where.startswith(("http://", "https://")):
        rewards = (await (await _client(where, discount)).ask([Ask(row.prompt, (row.response,), row.criterion)]))[0]
    else:
        rewards = await asyncio.to_thread(rewards_of, [row], rewarder(where, None, None, discount))
    return number(rewards[0], f"a response of {data_source!r}")


def compute_scores(
    data_sources: Sequence[str],
    solution_strs: Sequence[str],
    ground_truths: Sequence[object],  # noqa: ARG001
    extra_infos: Sequence[Mapping[str, Any] | None],
    *,
    where: str,
    criterion: str = "",
    prompt_key: str = "question",
    discount: float = 0.0,
    pairwise: Pairwise | Mapping[str, Any] | None = None,
    reward_router_address: object = None,  # noqa: ARG001
    reward_model_tokenizer: object = None,  # noqa: ARG001
) -> list[float]:
    """As `compute_score`, for the responses of a whole batch.

    With `pairwise`, such as ``{group: 8}``, which is `rollout.n`, the responses to each prompt are ranked by
    comparisons, and `where` may be the name of any judge. Also raises RecipeError where groups are not whole.
    """
    columns = (data_sources, solution_strs, extra_infos)
    rows = [_row(name, said, info, criterion, prompt_key) for name, said, info in zip(*columns, strict=True)]
    rewards = rewards_of(rows, rewarder(where, None, Pairwise.of(pairwise), discount))
    places = [f"response {index} of the batch, of {name!r}," for index, name in enumerate(data_sources)]
    return [number(reward, place) for reward, place in zip(rewards, places, strict=True)]


async def _client(where: str, discount: float) -> AsyncClient:
    loop = asyncio.get_running_loop()
    if loop not in _CLIENTS:
        for ended in [one for one in list(_CLIENTS) if one.is_closed()]:  # other threads have loops, too
            _CLIENTS.pop(ended, None)
    clients = _CLIENTS.setdefault(loop, {})
    key = (where, discount)
    if key not in clients:
        clients[key] = _kept(where, discount)
    return await anext(clients[key])


async def _kept(where: str, discount: float) -> AsyncGenerator[AsyncClient, None]:
    """One client, again and again; nobody waits for it, so calls may ask for it at once.

    `asyncio.run` ends the generators of its loop, and so the client, before it closes the loop.
    """
    async with AsyncClient(where, discount=discount) as client:
        while True:
            yield client


def _row(data_source: str, response: str, extra_info: Mapping[str, Any] | None, criterion: str, prompt_key: str) -> Row:
    """What to ask. Raises RecipeError."""
    if extra_info is None or extra_info.get(prompt_key) is None:
        known = ", ".join(sorted(map(str, extra_info or {}))) or "nothing"
        raise RecipeError(
            f"extra_info of {data_source!r} has no {prompt_key!r}; it has {known}. Write the prompt there when the "
            "dataset is made, or name its key with custom_reward_function.reward_kwargs.prompt_key."
        )
    own = extra_info.get("criterion")
    return Row(prompt_of(extra_info[prompt_key]), response_of(response), criterion if own is None else str(own))
