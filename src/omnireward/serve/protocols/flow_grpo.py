"""The reward servers of flow_grpo and verl-omni, in JSON.

Theirs is a pickle of ``{"images": [bytes], "prompts": [str]}``, and reading one runs whatever code it names. This says
the same in JSON, with the pictures as base64, under a path of its own. In Python, `omnireward.adapters.flow_grpo` is a
function of the form that flow_grpo calls.

A picture is the response to the prompt of the same place. ``scores`` has null where there is no reward, and ``errors``
says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from omnireward.serve.asking import Ask, Inline, Problem, Reward, Route, Served, Shape
from omnireward.serve.protocols import _fields as fields
from omnireward.serve.protocols._numbers import flat
from omnireward.serve.protocols._parts import PICTURE
from omnireward.serve.protocols._words import asked


def _read(body: Mapping[str, Any], inline: Inline) -> list[Ask]:
    pictures = fields.texts(fields.required(body, "images"), "images")
    prompts = fields.texts(fields.required(body, "prompts"), "prompts")
    fields.as_many(prompts, len(pictures), "prompts")
    criteria = fields.criteria(body, len(pictures))
    return [
        asked(prompt, [(inline.base64("image", picture, f"images[{index}]"),)], criterion)
        for index, (picture, prompt, criterion) in enumerate(zip(pictures, prompts, criteria, strict=True))
    ]


def _write(_body: Mapping[str, Any], rewards: Sequence[Sequence[Reward]], served: Served) -> dict[str, Any]:
    found = flat(rewards)
    return {
        "scores": [None if isinstance(each, Problem) else each for each in found],
        "errors": [str(each) if isinstance(each, Problem) else None for each in found],
        "model": served.model,
        "revision": served.revision,
        "raw": True,
    }


PROTOCOL = Shape(
    summary="reward servers of flow_grpo and verl-omni, as JSON: /flow_grpo",
    routes=(Route("/flow_grpo", _read, _write),),
    example={"/flow_grpo": {"images": [PICTURE], "prompts": ["A red square."]}},
    on_problem="in the reply",
)
