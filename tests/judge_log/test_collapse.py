"""Each collapse is seen, with its step; healthy runs of many kinds go on to their end."""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Callable, Mapping

import pytest
from tests.judge_log.made_run import figures

from omnireward.errors import RecipeError
from omnireward.judge_log import Collapse, Limits

Figures = dict[str, float]
Change = Callable[[int, Figures], Mapping[str, float]]
STEPS, BREAKS = 300, 200


def run(change: Change, seed: int = 0, steps: int = STEPS, watch: Collapse | None = None) -> tuple[int, str] | None:
    """The step that a run was stopped at, and why."""
    rng, watch = random.Random(seed), watch or Collapse()
    for step in range(1, steps + 1):
        seen = figures(step, steps, rng)
        if reason := watch.saw(step, {**seen, **change(step, seen)}):
            return step, reason
    return None


def after(**figures: float) -> Change:
    return lambda step, _: figures if step > BREAKS else {}


COLLAPSES: dict[str, tuple[Change, str]] = {
    "format": (after(format=0.2), "The format is lost: 20 % of the answers have it at step 210, below 50 % since"),
    "entropy": (
        after(entropy=0.001, accuracy=0.4),
        "The answers no longer vary: the entropy is 0.001 nats per token at step 210, below 0.01 since",
    ),
    "cut off": (
        after(cut_off=0.95, format=0.0),
        "The answers run into the limit: 95 % are cut off at step 210, at least 80 % since",
    ),
    "short": (
        after(tokens=1.2, format=0.0),
        "The answers have shrunk to nothing: 1.2 tokens on the mean at step 210, below 3 since",
    ),
    "empty": (
        after(empty=0.75, format=0.25),
        "The answers have shrunk to nothing: 75 % of them are empty at step 210, at least 50 % since",
    ),
    "always A": (
        after(verdict_a=0.99, verdict_b=0.01, verdict_tie=0.0, no_verdict=0.0, accuracy=0.45),
        "The judge says A to nearly everything: 99 % of the answers at step 210, at least 95 % since",
    ),
    "always a tie": (
        after(verdict_a=0.0, verdict_b=0.0, verdict_tie=1.0, no_verdict=0.0, accuracy=0.1),
        "The judge says TIE to nearly everything: 100 %",
    ),
    "KL": (
        after(kl=40.0),
        "The KL from the reference has exploded: it is 40 nats per token at step 210, and over 5 since",
    ),
    "KL that is not finite": (after(kl=math.nan), "has exploded: it is not finite at step 210"),
}


@pytest.mark.parametrize("name", COLLAPSES)
def test_a_collapse_is_seen_after_ten_logged_steps(name: str) -> None:
    """It begins at step 201, and the tenth logged step of it is 210. What to try comes after the semicolon."""
    change, says = COLLAPSES[name]
    stopped = run(change)
    assert stopped is not None
    step, reason = stopped
    assert step == BREAKS + 10
    assert says in reason
    assert "since step 201 (10 logged steps)" in reason
    assert re.search(r"; go on from an earlier checkpoint with .*\.$", reason)
    assert reason.count(". ") == 0  # one sentence


@pytest.mark.parametrize("name", ["reward", "loss"])
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_reward_that_is_not_finite_stops_at_once(name: str, value: float) -> None:
    stopped = run(lambda step, _: {name: value} if step == 7 else {})
    assert stopped is not None
    assert stopped[0] == 7
    assert f"The {name} is {value} at step 7" in stopped[1]


HEALTHY: dict[str, Change] = {
    "as it should be": lambda *_: {},
    "the format is found late": lambda step, seen: {"format": 0.02 if step < 150 else seen["format"]},
    "the format comes slowly": lambda step, _: {"format": step / STEPS},
    "the format is hardly there and noisy": lambda step, _: {"format": 0.55 + 0.4 * math.sin(2.4 * step)},
    "rambles at first": lambda step, _: {"cut_off": max(0.0, 1 - step / 150), "format": min(1.0, step / 150)},
    "says A at first": lambda step, _: {"verdict_a": 1.0, "verdict_b": 0.0, "accuracy": 0.5} if step < 100 else {},
    "is sure and right": lambda step, _: {"entropy": 0.001} if step > 150 else {},
    "was sure from the beginning": lambda *_: {"entropy": 0.001, "accuracy": 0.5},
    "is right, and nearly all prefer A": lambda step, _: (
        {"verdict_a": 0.97, "verdict_b": 0.03, "accuracy": 0.97} if step > 100 else {}
    ),
    "KL spikes": lambda step, _: {"kl": 300.0} if step % 10 == 0 else {},
    "no KL, no entropy": lambda *_: {"kl": 0.0, "entropy": math.nan},
    "short answers": lambda *_: {"tokens": 5.0},
    "nine bad steps, and one good": lambda step, _: {"format": 0.1} if step > 100 and step % 10 else {},
}


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_run_goes_on(name: str) -> None:
    for seed in range(5):
        assert run(HEALTHY[name], seed) is None


def test_small_noisy_steps_do_not_stop_a_run() -> None:
    """20 runs of 500 steps, each logged from 8 answers: every share is a draw, however the judge does."""
    for seed in range(20):
        rng = random.Random(seed)

        def drawn(step: int, seen: Figures, rng: random.Random = rng) -> Figures:
            shares = ("accuracy", "format", "cut_off", "empty", "verdict_a", "verdict_b", "verdict_tie", "no_verdict")
            return {name: sum(rng.random() < seen[name] for _ in range(8)) / 8 for name in shares}

        assert run(drawn, seed, steps=500) is None


@pytest.mark.parametrize("name", COLLAPSES)
@pytest.mark.parametrize("at", [3, 150, 205])
def test_it_goes_on_alike_after_a_resume(name: str, at: int) -> None:
    """The watch is written as JSON and read at a step; it says the same, at the same step."""
    change, _ = COLLAPSES[name]
    whole, first = run(change), Collapse()
    rng = random.Random(0)
    rows = [(step, seen) for step in range(1, STEPS + 1) for seen in [figures(step, STEPS, rng)]]
    for step, seen in rows[:at]:
        assert first.saw(step, {**seen, **change(step, seen)}) is None
    second = Collapse()
    second.resume(json.loads(json.dumps(first.state(), allow_nan=False)))
    found = ((step, second.saw(step, {**seen, **change(step, seen)})) for step, seen in rows[at:])
    assert next((one for one in found if one[1]), None) == whole


def test_lines_without_rollouts_and_figures_that_are_missing_say_nothing() -> None:
    watch = Collapse()
    for step in range(1, 100):
        assert watch.saw(step, {"format": 1.0 if step < 50 else 0.0, "train_runtime": 3.0}) is None
        assert watch.saw(step, {"reward": 0.5, "format": None, "kl": "text", "empty": True}) is None
    assert watch.state()["healthy"] == []


def test_a_threshold_can_be_set() -> None:
    stopped = run(after(format=0.6), watch=Collapse(Limits(patience=4, format_floor=0.65)))
    assert stopped is not None
    assert stopped[0] == BREAKS + 4
    with pytest.raises(RecipeError, match="patience is 1"):
        Limits(patience=1)
