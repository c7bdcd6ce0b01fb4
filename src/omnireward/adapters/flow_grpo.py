"""A reward for flow_grpo and those that took its form over: ``fn(images, prompts, metadata) -> (scores, info)``.

    score_functions["omnireward"] = lambda: scorer("http://127.0.0.1:8000")  # in multi_score of its rewards.py

Images are (n, height, width, 3) uint8 or (n, 3, height, width) float in [0, 1], as arrays or tensors. They are sent as
PNG and JSON; nothing is pickled. ``metadata[i]["criterion"]`` is the criterion of a row.

flow_grpo adds scores up and knows no None, so a picture without a reward is an error; or NaN, where a caller masks it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from omnireward.adapters.pairwise import Pairwise
from omnireward.adapters.pictures import pictures
from omnireward.adapters.source import check_on_problem, number, rewarder, rewards_of
from omnireward.client import CallLimits
from omnireward.errors import RecipeError
from omnireward.judges import Judge
from omnireward.serve.asking import Problem
from omnireward.serve.scoring import Row
from omnireward.types import Text, Turn

Scorer = Callable[..., tuple[list[float], dict[str, Any]]]


def scorer(
    where: str | Judge,
    criterion: str = "",
    on_problem: Literal["raise", "nan"] = "raise",
    limits: CallLimits | None = None,
    pairwise: Pairwise | None = None,
    discount: float = 0.0,
) -> Scorer:
    """A function that flow_grpo calls with pictures and their prompts.

    Args:
        where: the URL of a server, or ``reward:FOLDER``; with `pairwise` any judge, by name or open.
        criterion: for rows whose metadata have none; empty is overall quality.
        on_problem: what becomes of a picture without a reward: a NoRewardError, or NaN.
        limits: of calls of a server.
        pairwise: rank the pictures of each prompt by comparisons. All of them must be in one call: where a sampler
            spreads a prompt over processes, gather the pictures first.
        discount: deviations to take off each reward (see `source.rewarder`).

    Raises:
        RecipeError: an argument is none of these.
    """
    check_on_problem(on_problem, ("raise", "nan"))
    source = rewarder(where, limits, pairwise, discount)

    def score(
        images: object, prompts: Sequence[str], metadata: Sequence[Mapping[str, Any]] | Mapping[str, Any] | None = None
    ) -> tuple[list[float], dict[str, Any]]:
        shown = pictures(images)
        if len(shown) != len(prompts):
            raise RecipeError(f"{len(shown)} images came with {len(prompts)} prompts; each image needs its own.")
        criteria = _criteria(metadata, len(prompts), criterion)
        rows = [
            Row((Turn("user", (Text(prompt),)),), (image,), wanted)
            for image, prompt, wanted in zip(shown, prompts, criteria, strict=True)
        ]
        rewards = rewards_of(rows, source)
        errors = [str(one) if isinstance(one, Problem) else None for one in rewards]
        if on_problem == "raise":
            return [number(one, f"image {index}") for index, one in enumerate(rewards)], {"errors": errors}
        return [math.nan if isinstance(one, Problem) else one for one in rewards], {"errors": errors}

    return score


def _criteria(metadata: object, count: int, default: str) -> list[str]:
    """One for each row, from a list with a mapping for each; anything else holds none."""
    if not isinstance(metadata, Sequence) or isinstance(metadata, str) or len(metadata) != count:
        return [default] * count
    own = [one.get("criterion") if isinstance(one, Mapping) else None for one in metadata]
    return [default if one is None else str(one) for one in own]
