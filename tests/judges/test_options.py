"""Judge options: values that cannot be meant are refused, and so is an option that nobody would read."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from omnireward import plugins
from omnireward.errors import RecipeError
from omnireward.judges import ASKING, CALLING, SHOWING, Estimate, JudgeKind, JudgeOptions, judge_kind, open_judge


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"max_tokens": 0}, "max_tokens"),
        ({"frames": 0}, "frames"),
        ({"views": 0}, "views"),
        ({"picture_side": 27}, "picture_side"),
        ({"concurrency": 0}, "concurrency"),
        ({"tries": 0}, "tries"),
        ({"temperature": -0.1}, "temperature"),
        ({"timeout": 0.0}, "timeout"),
        ({"patience": float("nan")}, "patience"),
        ({"join_audio": -1.0}, "join_audio"),
        ({"price_in": -1.0}, "price_in"),
        ({"budget": 1.0}, "--price-in"),
        ({"budget": 1.0, "price_in": 1.0}, "--price-out"),
        ({"logprobs": True, "mode": "pointwise"}, "logprobs"),
        ({"samples": 0}, "samples must be at least 1"),
        ({"samples": 4}, "--temperature 1"),
        ({"samples": 4, "temperature": 1, "mode": "pointwise"}, "mode pointwise"),
        ({"samples": 4, "temperature": 1, "logprobs": True}, "logprobs"),
        ({"samples": 3, "temperature": 1, "swap_half": True}, "even number of samples, not 3"),
        ({"swap_half": True}, "even number of samples, not 1"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(values: dict[str, Any], named: str) -> None:
    with pytest.raises(RecipeError, match=named):
        JudgeOptions(**values)


def test_every_option_but_the_seed_belongs_to_asking_showing_or_calling() -> None:
    names = {field.name for field in fields(JudgeOptions)}
    assert names == ASKING | SHOWING | CALLING | {"seed"}


@pytest.mark.parametrize("name", plugins.names("judges"))
def test_a_kind_reads_only_options_that_exist(name: str) -> None:
    kind = plugins.load("judges", name)
    assert isinstance(kind, JudgeKind)
    assert kind.reads <= ASKING | SHOWING | CALLING


def test_an_option_that_is_not_read_is_refused_and_the_seed_never_is() -> None:
    with pytest.raises(RecipeError, match=r"does not read --max-tokens; leave it out"):
        open_judge("longer", replace(JudgeOptions(), max_tokens=5))
    assert open_judge("longer", JudgeOptions(seed=7)).fingerprint == "longer:1"
    assert judge_kind("random").reads == frozenset()


def test_how_samples_are_drawn_is_told_only_where_there_are_several() -> None:
    """Or a run from before there could be several could not be gone on with."""
    assert JudgeOptions().told({"samples", "ties", "swap_half"}) == {"ties": True}
    several = JudgeOptions(samples=4, temperature=0.7).told({"samples", "swap_half", "temperature"})
    assert several == {"samples": 4, "swap_half": False, "temperature": 0.7}


def test_estimates_add_up_and_an_unknown_cost_stays_unknown() -> None:
    one = Estimate(calls=2, paid=1, prompt_tokens=10, answer_tokens=5, cost=0.5)
    assert one.plus(one) == Estimate(4, 2, 20, 10, 1.0)
    assert one.plus(Estimate(calls=1)).cost is None
