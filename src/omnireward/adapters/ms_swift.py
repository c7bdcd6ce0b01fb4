"""A reward function for ms-swift's GRPO, as a class for its registry. In a file for ``--external_plugins``:

    from swift.rewards import orms  # swift.plugin in older versions
    from omnireward.adapters.ms_swift import orm
    orms["omnireward"] = orm("http://127.0.0.1:8000")

and then ``--reward_funcs omnireward``. The prompt is the row's ``messages`` up to the completion, its pictures are
``images``, and a column ``criterion`` is its criterion. As in ms-swift, ``<image>`` in the words is a picture's place.

ms-swift skips a None in the sum of what its functions gave, which is as if it were 0. So a completion without a reward
is an error, unless ``on_problem="none"`` says that 0 is meant: see `omnireward.adapters.trl`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

from omnireward.adapters.pairwise import Pairwise
from omnireward.adapters.source import Rewarder, check_on_problem, criteria_of, rewarder
from omnireward.adapters.trl import OnProblem, listed, scored
from omnireward.client import CallLimits
from omnireward.errors import RecipeError
from omnireward.judges import Judge


def orm(
    where: str | Judge,
    criterion: str = "",
    on_problem: OnProblem = "raise",
    limits: CallLimits | None = None,
    pairwise: Pairwise | None = None,
    discount: float = 0.0,
) -> type:
    """A class whose instances ms-swift calls; arguments as those of `omnireward.adapters.trl.reward_func`."""
    check_on_problem(on_problem, get_args(OnProblem))
    source: Rewarder = rewarder(where, limits, pairwise, discount)

    class OmniRewardORM:
        """``(completions, **columns) -> rewards``."""

        def __init__(self, args: object = None) -> None:
            """Newer versions of ms-swift hand over the trainer's arguments; they are not read."""

        def __call__(self, completions: Sequence[str], **columns: Any) -> list[float | None]:
            """A reward for each completion, or None."""
            count = len(completions)
            messages = columns.get("messages")
            if messages is None or len(messages) != count:
                raise RecipeError(f"ms-swift gave no `messages` for {count} completions; the prompt is in them.")
            for kind in ("videos", "audios"):
                if any(columns.get(kind) or ()):
                    raise RecipeError(f"rows hold `{kind}`, which this function would leave out; it shows pictures.")
            criteria = criteria_of(columns.get("criterion"), count, criterion)
            shown = columns.get("images") or [None] * count
            prompts = [_placed(_before(each), len(some or ())) for each, some in zip(messages, shown, strict=True)]
            asked = list(zip(prompts, completions, shown, criteria, strict=True))
            return listed(scored(asked, source), on_problem)

    return OmniRewardORM


def _before(messages: Sequence[Mapping[str, object]]) -> Sequence[Mapping[str, object]]:
    """The messages without the completion, which is their last."""
    return messages[:-1] if messages and messages[-1].get("role") == "assistant" else messages


def _placed(messages: Sequence[Mapping[str, object]], pictures: int) -> list[Mapping[str, object]]:
    """The messages with a part for each of the first `pictures` places; further ones are words."""
    placed: list[Mapping[str, object]] = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, str):
            first, *rest = content.split(_PLACE, pictures)
            pictures -= len(rest)
            parts = [_text(first), *(part for words in rest for part in ({"type": "image"}, _text(words)))]
            placed.append({**message, "content": [part for part in parts if part.get("text") != ""] or content})
        else:
            placed.append(message)
    return placed


def _text(words: str) -> Mapping[str, object]:
    return {"type": "text", "text": words}


_PLACE = "<image>"
