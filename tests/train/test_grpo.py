"""GRPO against numbers worked out by hand and a second implementation; what is asked, and what teaches nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from safetensors.torch import load_file
from tests.train import scripted
from tests.train.scripted import BARE_A, LOST, RIGHT_A, RIGHT_B, RIGHT_TIE, ByHand, Script, spoken

from omnireward.errors import BadRowError, OmniRewardError, RecipeError
from omnireward.policy import Policy
from omnireward.sources import BadRows
from omnireward.speaking import Said
from omnireward.train.grpo import grpo
from omnireward.train.grpo_config import GRPOConfig
from omnireward.train.mixing import Wanted, mix
from omnireward.types import Sample

Places = dict[str, list[Sample | BadRowError]]
MakeSample = Callable[..., Sample]
Play = Callable[..., Script]


def _by_question(text: str, place: int, _: int) -> str:
    """Topics 0 and 2: rewards 1, .1, 0, .9; others 1, 1, 0, 0. People prefer A."""
    even = "topic 0" in text or "topic 2" in text
    return ((RIGHT_A, RIGHT_B, LOST, BARE_A) if even else (RIGHT_A, RIGHT_A, LOST, LOST))[place]


def test_advantages_and_loss_are_those_worked_out_by_hand(grpo_config: GRPOConfig, play: Play) -> None:
    """Rewards 1, .1, 0, .9: mean .5, squares .25 + .16 + .25 + .16 = .82, over 3 is .273333, its root .522813.

    So advantages are .5, -.4, -.5, .4 over .522913. Rewards 1, 1, 0, 0: the root of 1 / 3 is .577350, and advantages
    are .5 over .577450. Where the ratio is 1, the loss is the mean of -advantage over the tokens, of either group.
    """
    play(_by_question)
    config = replace(grpo_config, steps=1)
    grpo(config)
    (line,), told = scripted.log(config.out), scripted.groups(config.out)
    found = {group["id"]: [answer["advantage"] for answer in group["answers"]] for group in told}
    wanted = {
        "topic 0": [0.956182, -0.764946, -0.956182, 0.764946],
        "topic 1": [0.865875, 0.865875, -0.865875, -0.865875],
    }
    tokens = {group["id"]: [answer["tokens"] for answer in group["answers"]] for group in told}
    assert len(found) == 2
    weighed = total = 0.0
    for name, values in found.items():
        even = name in ("topic 0", "topic 2")
        assert values == pytest.approx(wanted["topic 0" if even else "topic 1"], abs=2e-6)
        weighed += sum(n * value for n, value in zip(tokens[name], values, strict=True))
        total += sum(tokens[name])
    assert line["loss"] == pytest.approx(-weighed / total, abs=1e-6)
    assert line["reward"] == pytest.approx(0.5)
    assert line["tokens"] == pytest.approx(total / 8)
    assert line["kl"] == line["clip_low"] == line["clip_high"] == line["flat_groups"] == 0.0


@pytest.mark.parametrize(("updates", "batch_size"), [(1, 2), (2, 1)], ids=["one update", "two updates"])
def test_steps_are_those_of_a_second_implementation(
    grpo_config: GRPOConfig, play: Play, topics: dict[str, Sample], updates: int, batch_size: int
) -> None:
    """Losses, norms, KL (k3) and clipped shares of four steps; with two updates, ratios of the second are clipped."""
    script = play(_by_question)
    config = replace(grpo_config, updates=updates, batch_size=batch_size, accumulation=2 // batch_size)
    config = replace(config, steps=4, kl=0.1, temperature=0.7, weight_decay=0.1, learning_rate=1e-4)
    grpo(config)
    assert script.temperatures == {0.7}
    lines, told = scripted.log(config.out), scripted.groups(config.out)
    assert [line["step"] for line in lines] == [1, 2, 3, 4]
    hand, size = ByHand(config, topics), 2 * updates
    wanted = [figures for begin in range(0, len(told), size) for figures in hand.round(told[begin : begin + size])]
    assert len(wanted) == 4
    for line, figures in zip(lines, wanted, strict=True):
        for name, value in figures.items():
            assert line[name] == pytest.approx(value, rel=2e-3, abs=1e-5), (line["step"], name)
    assert lines[0]["kl"] == 0.0
    assert min(line["kl"] for line in lines[1:]) > 1e-3
    clipped = [line["clip_low"] + line["clip_high"] for line in lines]
    assert (min(clipped[1::2]) > 0.05) == (updates == 2)
    assert clipped[0::2] == [0.0, 0.0]
    weights = load_file(config.out / "model.safetensors")
    hand.policy.save(config.out / "by hand")
    for name, weight in load_file(config.out / "by hand" / "model.safetensors").items():
        torch.testing.assert_close(weights[name], weight, rtol=0, atol=1e-5)  # AdamW moves by up to 1e-4 a step


def test_groups_whose_rewards_are_all_equal_give_no_gradient_at_all(grpo_config: GRPOConfig, play: Play) -> None:
    play(lambda *_: RIGHT_A)
    config = replace(grpo_config, kl=0.0, weight_decay=0.0, steps=2, learning_rate=1e-2, orders="given")
    grpo(config)
    for line in scripted.log(config.out):
        assert line["grad_norm"] == line["loss"] == 0.0
        assert line["flat_groups"] == line["reward"] == 1.0
        assert "kl" not in line
    start, end = (load_file(folder / "model.safetensors") for folder in (Path(config.model), config.out))
    assert all(torch.equal(value, end[name]) for name, value in start.items())


def test_answers_that_cannot_be_used_are_counted_and_a_media_token_teaches_nothing(
    grpo_config: GRPOConfig, play: Play, topics: dict[str, Sample]
) -> None:
    """One group has each fault, one has nothing but media tokens; the loss is that of the answers that are left.

    By hand: rewards 1, 0, 0 have the mean 1/3 and the deviation .57735, so advantages 2/3 and -1/3 over .57745.
    """
    policy = Policy.load(grpo_config.model)
    silent, right = int(policy.silent[0]), scripted.ids_of(policy, RIGHT_A)
    told = [
        spoken((*right[:3], silent, *right[3:])),
        spoken(right),
        spoken((policy.end,)),
        spoken(right[:-1], ended=False),
    ]
    hidden = [spoken((silent, policy.end)), spoken((*right[:-1], silent), ended=False)] * 2

    def say(text: str, place: int, _: int) -> Said:
        return (told if "topic 0" in text or "topic 2" in text else hidden)[place]

    play(say)
    config = replace(grpo_config, steps=2, kl=0.1)
    grpo(config)
    lines, kept = scripted.log(config.out), scripted.groups(config.out)
    by_hand = ByHand(config, topics)
    for step, line in enumerate(lines, 1):
        mine = [group for group in kept if group["step"] == step]
        for group in mine:
            some = group["id"] in ("topic 0", "topic 2")
            faults = [answer["fault"] for answer in group["answers"]]
            assert faults == (["media token", "", "empty", "cut off"] if some else ["media token"] * 4)
            advantages = [answer["advantage"] for answer in group["answers"]]
            assert advantages == pytest.approx([0, 1.154501, -0.577250, -0.577250] if some else [0] * 4, abs=1e-5)
            assert group["answers"][0]["reward"] is None
            assert group["answers"][0]["text"] == (policy.words(right[:3]) if some else "")
            assert group["answers"][2]["tokens"] == 1
        (figures,) = by_hand.round(mine)
        for name, value in figures.items():
            assert line[name] == pytest.approx(value, rel=2e-3, abs=1e-5), (step, name)
        mixed = sum(group["id"] in ("topic 0", "topic 2") for group in mine)
        assert line["media_tokens"] == pytest.approx((mixed + 4 * (2 - mixed)) / 8)
        assert line["empty"] == line["cut_off"] == pytest.approx(mixed / 8)
        if mixed:
            assert line["reward"] == line["accuracy"] == line["format"] == pytest.approx(1 / 3)
            assert line["no_verdict"] == pytest.approx(2 / 3)


def test_a_round_in_which_nothing_can_be_used_changes_nothing(grpo_config: GRPOConfig, play: Play) -> None:
    """It is logged without a reward. The step after it learns."""
    policy = Policy.load(grpo_config.model)
    silent = spoken((int(policy.silent[0]), policy.end))

    def say(text: str, place: int, seed: int) -> str | Said:
        return silent if script.rounds == 1 else _by_question(text, place, seed)

    script = play(say)
    grpo(grpo_config)
    first, second = scripted.log(grpo_config.out)
    assert (first["loss"], first["grad_norm"], first["media_tokens"]) == (0.0, 0.0, 1.0)
    assert not {"reward", "accuracy", "no_verdict"} & set(first)
    assert second["grad_norm"] > 0.1
    assert second["reward"] == pytest.approx(0.5)


@pytest.mark.parametrize("orders", ["both", "given", "drawn"])
def test_a_liking_for_the_first_place_is_seen_where_both_orders_share_a_group(
    grpo_config: GRPOConfig, play: Play, topics: dict[str, Sample], orders: Literal["both", "given", "drawn"]
) -> None:
    """A judge that always says A is right in the half in which what people prefer stands first; half earns 1, half .1.

    By hand: deviations of .45 each, over their root mean of .45 sqrt(4 / 3) = .519615.
    """
    script = play(lambda *_: RIGHT_A)
    config = replace(grpo_config, orders=orders, kl=0.0, steps=2)
    grpo(config)
    told = scripted.groups(config.out)
    assert len(told) == 4
    for group in told:
        places = [answer["swapped"] for answer in group["answers"]]
        for answer in group["answers"]:
            assert answer["preference"] == ("b" if answer["swapped"] else "a")
            assert answer["reward"] == pytest.approx(0.1 if answer["swapped"] else 1.0)
        advantages = [answer["advantage"] for answer in group["answers"]]
        if orders == "both":
            assert places == [False, False, True, True]
            assert advantages == pytest.approx([0.865859, 0.865859, -0.865859, -0.865859], abs=2e-5)
        else:
            assert len(set(places)) == 1
            assert advantages == [0.0] * 4
    lines = scripted.log(config.out)
    assert all((line["grad_norm"] > 0.1) == (orders == "both") for line in lines)
    assert all(line["flat_groups"] == float(orders != "both") for line in lines)
    for text in script.questions:  # what stands first is another response, not another name for it
        assert ("good" in text, "bad" in text) == (True, True)
    first = {text.index("good") < text.index("bad") for text in script.questions}
    wanted = {not answer["swapped"] for group in told for answer in group["answers"]}
    assert first == wanted


@pytest.mark.parametrize("ties", [True, False], ids=["ties", "no ties"])
def test_ties_are_asked_about_or_left_out(
    grpo_config: GRPOConfig, play: Play, places: Places, make_sample: MakeSample, ties: bool
) -> None:
    places["texts"] = [make_sample("topic 0", "tie"), make_sample("topic 1", "b"), make_sample("topic 2", "tie")]
    said = RIGHT_TIE if ties else RIGHT_B
    play(lambda _, place, __: said if place in (1, 3) else LOST)
    config = replace(grpo_config, ties=ties, orders="both", batch_size=1, steps=3)
    grpo(config)
    told = {group["id"]: group["answers"] for group in scripted.groups(config.out)}
    data = json.loads((config.out / "data.json").read_text())
    assert (data["samples"], data["left_out"], data["bad_rows"]) == ((3, 0, 0) if ties else (1, 2, 0))
    if ties:
        for name in ("topic 0", "topic 2"):
            assert [answer["preference"] for answer in told[name]] == ["tie"] * 4
            assert [answer["reward"] for answer in told[name]] == pytest.approx([0, 1, 0, 1])
        assert [answer["reward"] for answer in told["topic 1"]] == pytest.approx([0, 0.1, 0, 0.1])
        assert scripted.log(config.out)[0].keys() >= {"accuracy", "verdict_tie"}
    else:
        assert set(told) == {"topic 1"}
        assert [answer["reward"] for answer in told["topic 1"]] == pytest.approx([0, 1, 0, 0.1])


def test_epochs_differ_in_their_order_and_each_shows_all(grpo_config: GRPOConfig, play: Play) -> None:
    play(lambda *_: RIGHT_A)
    config = replace(grpo_config, kl=0.0, batch_size=1, steps=None, epochs=3.0)
    grpo(config)
    told = [group["id"] for group in scripted.groups(config.out)]
    epochs = [told[begin : begin + 4] for begin in range(0, 12, 4)]
    assert len(told) == 12
    assert all(set(epoch) == {f"topic {n}" for n in range(4)} for epoch in epochs)
    assert len({*map(tuple, epochs)}) > 1


def test_a_sample_that_is_shown_twice_a_round_is_answered_twice(grpo_config: GRPOConfig, play: Play) -> None:
    """Not with the same draws, or its second group would be the first once more."""
    script = play(lambda *_: RIGHT_A)
    config = replace(grpo_config, kl=0.0, datasets={"texts": 2.0}, batch_size=8, steps=1)
    grpo(config)
    assert len(script.seeds) == len(set(script.seeds)) == 32


def test_parts_may_have_rates_of_their_own(grpo_config: GRPOConfig, play: Play) -> None:
    """All but the head have a rate of 0."""
    play(_by_question)
    config = replace(grpo_config, learning_rate=0.0, learning_rates={"head": 1e-3}, steps=1)
    grpo(config)
    start, end = (load_file(folder / "model.safetensors") for folder in (Path(config.model), config.out))
    assert {name for name, value in start.items() if not torch.equal(value, end[name])} == {"lm_head.weight"}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "odd group": ({"orders": "both", "rollouts": 3}, "half of a group is asked in each order, so rollouts is even"),
    "no model": ({"model": ""}, "give --model with a folder that `omnireward sft` wrote"),
    "cold": ({"temperature": 0.0}, "temperature must be above 0, not 0.0: equal answers teach nothing"),
    "weights": ({"format_weight": 0.8, "language_weight": 0.4}, "together at most 1, not 1.2.*Lower one of them"),
    "no bounds": ({"length_weight": 0.2}, "no bounds; set shortest or longest"),
    "no critique": ({"critique": False, "language_weight": 0.2}, "are about the critique, and none is asked for"),
    "one answer": ({"rollouts": 1, "orders": "given"}, "rollouts must be at least 2, not 1"),
    "share": ({"share": 0.0}, "share must be above 0 and at most 1, not 0.0"),
    "sharding": ({"sharding": "fsdp"}, "grpo keeps the model whole in each process"),
    "task": ({"tasks": ("T2X",)}, "T2X"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_configs_that_cannot_be_used_say_what_to_do(grpo_config: GRPOConfig, name: str) -> None:
    changes, said = REFUSED[name]
    with pytest.raises(OmniRewardError, match=said):
        replace(grpo_config, **changes)


def test_too_few_samples_for_a_round_are_refused_before_a_model_is_read(grpo_config: GRPOConfig) -> None:
    config = replace(grpo_config, batch_size=1, accumulation=3, updates=2, model="nowhere")
    with pytest.raises(RecipeError, match=r"a round takes 6 questions .* and an epoch has 4\. Lower --accumulation"):
        grpo(config)


def test_smaller_shares_are_parts_of_larger_ones(
    places: Places, make_sample: MakeSample, grpo_config: GRPOConfig
) -> None:
    """Binomial: of 400 prompts, a share of .1 has 40 with a deviation of 6, and one of .5 has 200 with one of 10."""
    places["texts"] = [make_sample(f"topic {n}") for n in range(400)]
    found: list[set[str]] = []
    for share in (0.01, 0.1, 0.5, 1.0):
        wanted = replace(Wanted.of((), "all"), share=share)
        found.append({sample.id for sample in mix({"texts": 1.0}, BadRows(), None, wanted, as_given=True).samples})
        assert wanted.refused == 400 - len(found[-1])
    assert found[0] < found[1] < found[2] < found[3]
    assert 16 < len(found[1]) < 64
    assert 160 < len(found[2]) < 240
