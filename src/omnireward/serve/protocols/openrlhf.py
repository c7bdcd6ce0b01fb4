"""``/get_reward`` of OpenRLHF, and of those that took it over: LMM-R1 and r1_reward, align-anything, LightRFT.

Which of them sends a body shows in its keys:

* ``query`` and ``prompts``: OpenRLHF, and LMM-R1 under ``/get_reward_mllm``. A query is the whole text, prompt and
  response.
* ``queries`` and ``prompts``, with ``images``: LightRFT. The pictures of an item belong to its prompt and come before
  its words.
* ``prompts`` and ``responses``: align-anything.

``labels`` and ``references`` are not read: a reward model knows no right answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omnireward.serve.asking import Ask, Inline, RequestError, Reward, Route, Served, Shape
from omnireward.serve.protocols import _fields as fields
from omnireward.serve.protocols._numbers import numbers
from omnireward.serve.protocols._words import answered, continued
from omnireward.types import Media


def _read(body: Mapping[str, Any], inline: Inline) -> list[Ask]:
    texts = [key for key in ("query", "queries", "responses") if key in body]
    if len(texts) != 1:
        raise RequestError(f"send exactly one of query, queries, responses; {len(texts)} of them were sent.")
    field = texts[0]
    said = fields.one_or_more(body[field], field)
    prompts = fields.one_or_more(fields.required(body, "prompts"), "prompts")
    fields.as_many(prompts, len(said), "prompts")
    if field == "responses":
        exchanges = [answered(prompt, each) for prompt, each in zip(prompts, said, strict=True)]
    else:
        exchanges = [
            continued(prompt, whole, f"{field}[{index}]")
            for index, (prompt, whole) in enumerate(zip(prompts, said, strict=True))
        ]
    pictures = _pictures(body, len(said), inline)
    criteria = fields.criteria(body, len(said))
    return [each.ask(criterion, shown) for each, criterion, shown in zip(exchanges, criteria, pictures, strict=True)]


def _pictures(body: Mapping[str, Any], count: int, inline: Inline) -> list[tuple[Media, ...]]:
    """For each item its pictures: a list of base64, one alone, or null for none."""
    value = body.get("images")
    if value is None:
        return [()] * count
    found = []
    for index, each in enumerate(fields.as_many(fields.items(value, "images"), count, "images")):
        field = f"images[{index}]"
        coded = [each] if isinstance(each, str) else [] if each is None else each
        if not isinstance(coded, list):
            raise fields.refused(field, "a list of base64 strings", each)
        found.append(
            tuple(
                inline.base64("image", fields.text(one, f"{field}[{i}]"), f"{field}[{i}]")
                for i, one in enumerate(coded)
            )
        )
    return found


def _write(_body: Mapping[str, Any], rewards: Sequence[Sequence[Reward]], served: Served) -> dict[str, Any]:
    """`scores` repeats the rewards: OpenRLHF filters prompts by them. `extra_logs` would take lists of numbers only."""
    values = numbers(rewards)
    return {"rewards": values, "scores": values, "extra_logs": {}, "model": served.model, "raw": True}


PROTOCOL = Shape(
    summary="OpenRLHF, LMM-R1, r1_reward, align-anything and LightRFT: /get_reward and /get_reward_mllm",
    routes=(Route("/get_reward", _read, _write), Route("/get_reward_mllm", _read, _write)),
    example={
        "/get_reward": {"query": ["Name a colour. Red."], "prompts": ["Name a colour."], "labels": [""]},
        "/get_reward_mllm": {"query": ["Name a colour. Red."], "prompts": ["Name a colour."]},
    },
    on_problem="whole request fails",
)
