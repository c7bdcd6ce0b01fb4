"""A reward function for TRL's trainers, such as GRPOTrainer.

    trainer = GRPOTrainer(model, reward_funcs=[reward_func("http://127.0.0.1:8000")], ...)

A dataset column ``criterion`` is the criterion of each row, and ``image`` or ``images`` are the pictures of its prompt;
other columns are not read.

What is unusual: TRL adds up what its functions gave, and skips a None. From TRL 1.6 on, a completion for which every
function gave None is left out; in older versions its reward is 0. Where another function gives it a number, with any
weight, 0 included, the sum lacks this one, which is as if it were 0. So a completion without a reward is an error,
unless ``on_problem="none"`` says that this is the only function, and TRL new enough.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, get_args

from omnireward.adapters.chats import Chat, prompt_of, response_of
from omnireward.adapters.pairwise import Pairwise
from omnireward.adapters.pictures import pictures
from omnireward.adapters.source import Rewarder, check_on_problem, criteria_of, number, rewarder, rewards_of
from omnireward.client import CallLimits
from omnireward.errors import MediaError, PromptError
from omnireward.judges import Judge
from omnireward.serve.asking import Problem, Reward
from omnireward.serve.scoring import Row
from omnireward.types import Media

logger = logging.getLogger(__name__)

OnProblem = Literal["none", "raise"]
RewardFunc = Callable[..., list[float | None]]


def reward_func(
    where: str | Judge,
    criterion: str = "",
    on_problem: OnProblem = "raise",
    name: str = "omnireward",
    limits: CallLimits | None = None,
    pairwise: Pairwise | None = None,
    discount: float = 0.0,
) -> RewardFunc:
    """A function that TRL calls with prompts and completions.

    Args:
        where: the URL of a server, or ``reward:FOLDER``; with `pairwise` any judge, by name or open.
        criterion: for rows whose column ``criterion`` has none; empty is overall quality.
        on_problem: what becomes of a completion without a reward: a NoRewardError; or None, which TRL leaves out where
            this is the only function, and takes for 0 else. A server that gives no answer raises CallError either way.
        name: what TRL's logs call it.
        limits: of calls of a server.
        pairwise: rank the completions of each prompt by comparisons. `per_device_train_batch_size` must then be a
            multiple of `num_generations`, which is `group`: each process ranks its own.
        discount: deviations to take off each reward (see `source.rewarder`).

    Raises:
        RecipeError: an argument is none of these.
    """
    check_on_problem(on_problem, get_args(OnProblem))
    source = rewarder(where, limits, pairwise, discount)

    def rewards(prompts: Sequence[Chat], completions: Sequence[Chat], **columns: Any) -> list[float | None]:
        shown = _pictures(columns, len(prompts))
        criteria = criteria_of(columns.get("criterion"), len(prompts), criterion)
        asked = list(zip(prompts, completions, shown, criteria, strict=True))
        return listed(scored(asked, source), on_problem)

    rewards.__name__ = rewards.__qualname__ = name
    return rewards


def scored(asked: Sequence[tuple[Chat, Chat, object, str]], source: Rewarder) -> list[Reward]:
    """A reward for each of (prompt, completion, pictures, criterion). One that cannot be read fails alone."""
    rows = [_row(*one) for one in asked]
    read = [row for row in rows if isinstance(row, Row)]
    found = iter(rewards_of(read, source, len(rows) - len(read)))
    return [next(found) if isinstance(row, Row) else row for row in rows]


def listed(rewards: Sequence[Reward], on_problem: OnProblem) -> list[float | None]:
    """Numbers, and None for each `Problem`, which is logged; or NoRewardError."""
    if on_problem == "raise":
        return [number(reward, f"completion {index}") for index, reward in enumerate(rewards)]
    problems = [reward for reward in rewards if isinstance(reward, Problem)]
    if problems:
        first = problems[0]
        count = f"{len(problems)} of {len(rewards)} completions"
        logger.warning("%s have no reward; the first (%s): %s", count, first.kind, first.message)
    return [None if isinstance(reward, Problem) else reward for reward in rewards]


def _row(prompt: Chat, completion: Chat, shown: object, criterion: str) -> Row | Problem:
    try:
        return Row(prompt_of(prompt, _media(shown)), response_of(completion), criterion)
    except (MediaError, PromptError) as error:
        return Problem.of(error)


def _media(shown: object) -> Iterator[Media]:
    """Encoded when they are read: where messages hold the pictures, the column's are not."""
    yield from () if shown is None else pictures(shown)


def _pictures(columns: dict[str, Any], count: int) -> Sequence[object]:
    for column in ("images", "image"):
        if columns.get(column) is not None:
            found: Sequence[object] = columns[column]
            return found
    return [None] * count
