"""Figures of a round by hand; which steps and groups are logged; and a run that has collapsed."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean

import pytest
from tests.train import scripted
from tests.train.scripted import BARE_A, LOST, RIGHT_A, RIGHT_B, RIGHT_TIE, Script, spoken

from omnireward.errors import TrainingError
from omnireward.judge_log.collapse import Collapse, Limits
from omnireward.policy import Policy, holds_judge
from omnireward.train.grpo import grpo
from omnireward.train.grpo_config import GRPOConfig
from omnireward.train.grpo_log import figures_of
from omnireward.train.rollouts import Asked, Rollout, earned, unusable
from omnireward.types import Sample
from omnireward.verdict_rewards import RewardTerms

MakeSample = Callable[..., Sample]
Play = Callable[..., Script]


def _means(rollouts: Sequence[Rollout], terms: RewardTerms) -> dict[str, float]:
    return {name: fmean(values) for name, values in figures_of(rollouts, terms).items()}


def test_figures_by_hand(text_judge: Path, grpo_config: GRPOConfig, make_sample: MakeSample) -> None:
    """Ten answers: 4 right of 8 that have a reward, of which 2 of 5 where people did not tie."""
    policy = Policy.load(text_judge)
    a, tie = make_sample("topic 0"), make_sample("topic 1", "tie")
    words = scripted.ids_of(policy, RIGHT_A)
    said = [
        (a, False, RIGHT_A),  # right
        (a, True, RIGHT_A),  # wrong
        (a, True, RIGHT_B),  # right
        (a, False, LOST),  # no verdict
        (a, False, ""),  # empty, no verdict
        (tie, False, RIGHT_TIE),  # right
        (tie, True, RIGHT_TIE),  # right
        (tie, True, BARE_A),  # wrong, no critique
    ]
    rollouts = [
        earned(policy, Asked(0, sample, order), spoken(scripted.ids_of(policy, text)), grpo_config)
        for sample, order, text in said
    ]
    silent = int(policy.silent[0])
    rollouts.append(earned(policy, Asked(0, a, False), spoken((silent, *words)), grpo_config))
    rollouts.append(unusable(policy, Asked(0, a, False)))
    assert _means(rollouts, grpo_config.terms) == pytest.approx(
        {
            "cut_off": 0.0,
            "empty": 1 / 10,
            "media_tokens": 1 / 10,
            "accuracy": 4 / 8,
            "accuracy_without_ties": 2 / 5,
            "format": 5 / 8,
            "verdict_a": 3 / 8,
            "verdict_b": 1 / 8,
            "verdict_tie": 2 / 8,
            "no_verdict": 2 / 8,
        }
    )
    cut = [earned(policy, Asked(0, tie, False), spoken(words[:-1], ended=False), grpo_config)]
    terms = RewardTerms(accuracy=0.8, format=0.1, length=0.1, shortest=1)
    found = _means(cut, terms)
    assert (found["cut_off"], found["no_verdict"], found["length"]) == (1.0, 1.0, 0.0)
    assert not {"accuracy_without_ties", "language"} & set(found)
    assert _means(rollouts[-2:], terms) == {"cut_off": 0.0, "empty": 0.0, "media_tokens": 0.5}


def test_steps_between_lines_are_in_the_next_line_and_groups_are_of_logged_steps(
    grpo_config: GRPOConfig, play: Play
) -> None:
    """In round n, n - 1 of four answers earn 1: lines at 2 and 4 have means over two steps; step 5 has no line."""
    script: Script = play(lambda _, place, __: RIGHT_A if place < script.rounds - 1 else LOST)
    config = replace(grpo_config, steps=5, log_every=2, log_groups=1, kl=0.0)
    grpo(config)
    lines = scripted.log(config.out)
    assert [line["step"] for line in lines] == [2, 4]
    assert [line["reward"] for line in lines] == pytest.approx([0.125, 0.625])
    assert [(group["step"], len(group["answers"])) for group in scripted.groups(config.out)] == [(2, 4), (4, 4)]


def test_with_two_updates_both_steps_have_lines_and_the_rounds_figures_are_in_the_first(
    grpo_config: GRPOConfig, play: Play
) -> None:
    play(lambda _, place, __: RIGHT_A if place else LOST)
    config = replace(grpo_config, batch_size=1, updates=2, steps=2)
    grpo(config)
    first, second = scripted.log(config.out)
    assert {"loss", "kl", "clip_low", "clip_high", "entropy", "grad_norm", "learning_rate"} <= set(first) & set(second)
    assert {"reward", "tokens", "flat_groups", "verdict_a"} <= set(first) - set(second)


def _lost_after_two(script: Callable[[], Script]) -> Callable[[str, int, int], str]:
    return lambda _, place, __: RIGHT_A if place and script().rounds <= 2 else LOST


def test_a_collapse_stops_with_its_reason_and_without_a_model(
    grpo_config: GRPOConfig, play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omnireward.train.grpo_log.Collapse", partial(Collapse, Limits(patience=2)))
    script = play(_lost_after_two(lambda: script))
    config = replace(grpo_config, steps=8, learning_rate=1e-5)
    with pytest.raises(TrainingError, match=r"The format is lost: 0 % .* No model was written; .*log\.html shows how"):
        grpo(config)
    assert [line["step"] for line in scripted.log(config.out)] == [1, 2, 3, 4]
    told = json.loads((config.out / "stopped.json").read_text())
    assert told["step"] == 4
    assert told["reason"].startswith("The format is lost")
    assert not holds_judge(config.out)
    assert not list(config.out.glob("*.safetensors"))
    go_on = replace(config, steps=5, stop_on_collapse=False)
    script = play(_lost_after_two(lambda: script))
    grpo(go_on)
    assert holds_judge(config.out)
    assert not (config.out / "stopped.json").exists()
    assert len(scripted.log(config.out)) == 5
