"""What is asked in which order, and what answers become: faults, tokens that are learned, rewards, lines of the log."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.train import scripted
from tests.train.scripted import RIGHT_A, spoken

from omnireward.judge_log.rollouts import RolloutAnswer
from omnireward.policy import Policy
from omnireward.train.grpo_config import GRPOConfig
from omnireward.train.rollouts import Asked, Rollout, earned, seed_of, swapped, unusable
from omnireward.types import Sample
from omnireward.verdict_rewards import RewardTerms

MakeSample = Callable[..., Sample]


@pytest.fixture(scope="module")
def policy(text_judge: Path) -> Policy:
    return Policy.load(text_judge)


def test_orders(grpo_config: GRPOConfig, make_sample: MakeSample) -> None:
    """`both` by the place in the group; `drawn` by seed and id alone, and about as often each."""
    samples = [make_sample(f"topic {n}") for n in range(200)]
    both, drawn, given = (replace(grpo_config, orders=orders) for orders in ("both", "drawn", "given"))
    assert [swapped(both, samples[0], place) for place in range(8)] == [False, False, True, True] * 2
    assert not any(swapped(given, sample, place) for sample in samples for place in range(8))
    found = [swapped(drawn, sample, 0) for sample in samples]
    assert 70 < sum(found) < 130  # binomial: 100, with a deviation of 7
    assert all([swapped(drawn, sample, place) for sample in samples] == found for place in range(1, 9))
    other = replace(drawn, model="other", out=Path("elsewhere"), rollouts=6)
    odd = [make_sample(sample.id, "b", a="something", b="else", criterion="!") for sample in samples]
    assert [swapped(other, sample, 0) for sample in odd] == found
    assert [swapped(replace(drawn, seed=1), sample, 0) for sample in samples] != found


def test_a_key_stands_for_a_sample_and_its_order(make_sample: MakeSample) -> None:
    samples = [make_sample(f"topic {n}", preference) for n, preference in enumerate(("a", "b", "tie"))]
    every = [Asked(n, samples[n], order) for n in range(3) for order in (False, True)]
    assert sorted(one.key for one in every) == list(range(6))
    assert [Asked.of(one.key, samples) for one in every] == every
    assert [one.preference for one in every] == ["a", "b", "b", "a", "tie", "tie"]
    first, turned = every[:2]
    assert (first.shown.response_a, first.shown.response_b) == (turned.shown.response_b, turned.shown.response_a)


def test_seeds_differ_by_step_question_order_and_place_and_fit_generators(
    grpo_config: GRPOConfig, make_sample: MakeSample
) -> None:
    asked = [Asked(n, make_sample(f"topic {n}"), order) for n in range(3) for order in (False, True)]
    seeds = [seed_of(grpo_config, step, one, place) for step in range(3) for one in asked for place in range(8)]
    assert len(set(seeds)) == len(seeds) == 3 * 6 * 8
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seeds[0] == seed_of(replace(grpo_config, model="other", rollouts=2), 0, asked[0], 0)
    assert seeds[0] != seed_of(replace(grpo_config, seed=1), 0, asked[0], 0)


CASES: dict[str, tuple[tuple[str, ...], bool, dict[str, Any]]] = {
    "right": (("*", "end"), True, {"fault": "", "reward": 1.0, "learned": 8}),
    "cut off": (("*",), False, {"fault": "cut off", "reward": 0.0, "learned": 7}),
    "ended by nothing": (("end",), True, {"fault": "empty", "reward": 0.0, "learned": 1}),
    "media token": (("*", "silent", "*", "end"), True, {"fault": "media token", "reward": None, "learned": 0}),
    "media token first": (("silent", "*", "end"), True, {"fault": "media token", "reward": None, "learned": 0}),
    "media token, cut off": (("*", "silent"), False, {"fault": "media token", "reward": None, "learned": 0}),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_said_is_earned(policy: Policy, grpo_config: GRPOConfig, make_sample: MakeSample, name: str) -> None:
    what, ended, wanted = CASES[name]
    words = scripted.ids_of(policy, RIGHT_A)[:-1]
    assert len(words) == 7
    spelled = {"*": words, "end": (policy.end,), "silent": (int(policy.silent[-1]),)}
    ids = tuple(id for part in what for id in spelled[part])
    found = earned(policy, Asked(0, make_sample("topic 0"), False), spoken(ids, ended), grpo_config)
    reward = None if found.scored is None else found.scored.reward
    assert {"fault": found.fault, "reward": reward, "learned": sum(found.learned)} == wanted
    assert len(found.ids) == len(found.learned) >= 1
    assert not set(found.ids) & set(policy.silent.tolist())


def test_blank_answers_are_empty(policy: Policy, grpo_config: GRPOConfig, make_sample: MakeSample) -> None:
    ids = scripted.ids_of(policy, " \n ")
    assert len(ids) > 1
    assert earned(policy, Asked(0, make_sample("topic 0"), False), spoken(ids), grpo_config).fault == "empty"


def test_rewards_are_of_the_responses_as_shown(
    policy: Policy, grpo_config: GRPOConfig, make_sample: MakeSample
) -> None:
    said = spoken(scripted.ids_of(policy, RIGHT_A))
    for preference, order, reward in (("a", False, 1.0), ("a", True, 0.1), ("b", False, 0.1), ("b", True, 1.0)):
        found = earned(policy, Asked(0, make_sample("topic 0", preference), order), said, grpo_config)
        assert found.scored is not None
        assert found.scored.reward == pytest.approx(reward)
        assert found.scored.verdict == "a"


def test_the_criterions_script_is_wanted(policy: Policy, grpo_config: GRPOConfig, make_sample: MakeSample) -> None:
    config = replace(grpo_config, language_weight=0.5)
    said = spoken(scripted.ids_of(policy, RIGHT_A))
    for criterion, share in (("Which is warmer?", 1.0), ("Кто теплее?", 0.0), ("", 1.0)):
        found = earned(policy, Asked(0, make_sample("topic 0", criterion=criterion), False), said, config)
        assert found.scored is not None
        assert found.scored.reward == pytest.approx(0.4 + 0.1 + 0.5 * share)


def test_the_log_tells_of_terms_that_count(policy: Policy, make_sample: MakeSample, grpo_config: GRPOConfig) -> None:
    asked = Asked(0, make_sample("topic 0"), True)
    found = earned(policy, asked, spoken(scripted.ids_of(policy, RIGHT_A)), grpo_config)
    told = found.logged(0.5, grpo_config.terms)
    assert told == RolloutAnswer(
        swapped=True,
        preference="b",
        text=RIGHT_A,
        tokens=8,
        cut_off=False,
        fault="",
        verdict="a",
        reward=0.1,
        parts={"accuracy": 0.0, "format": 1.0},
        advantage=0.5,
    )
    terms = RewardTerms(accuracy=0.5, language=0.2, length=0.3, format=0.0, shortest=6)
    assert found.logged(0.5, terms).parts == {"accuracy": 0.0, "format": 1.0, "length": 1.0, "language": 1.0}


def test_what_cannot_be_asked_is_a_rollout_of_which_nothing_is_learned(
    policy: Policy, make_sample: MakeSample, grpo_config: GRPOConfig
) -> None:
    found = unusable(policy, Asked(0, make_sample("topic 0"), False))
    assert found == Rollout(found.asked, (policy.end,), (False,), "", "", None)
    assert math.isnan(found.logged(0.0, grpo_config.terms).reward)
    assert "sample" not in repr(found)  # with its media, which may have megabytes
