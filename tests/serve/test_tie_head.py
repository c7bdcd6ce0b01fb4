"""A served reward model with a tie head: the same probabilities on both paths as its judge gives, and no threshold."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from tests.serve.running import Running, part_body, picture, serving, words

from omnireward.ahead import Ahead
from omnireward.backbones.minicpm_o import tiny
from omnireward.client import Client
from omnireward.errors import RecipeError
from omnireward.judges.reward import RewardJudge
from omnireward.reward_model import RewardModel
from omnireward.serve.replies import JudgementReply, RewardsReply
from omnireward.tie_head import TieHead, TieKind
from omnireward.types import Comparison, Text, Turn

PROMPT = (Turn("user", (Text("Which drink?"),)),)
DRINKS = ("tea", "a cup of coffee", "water")
CRITERIA = ("short", "hot")


def comparison(a: str, b: str, criterion: str) -> Comparison:
    return Comparison(PROMPT, (Text(a),), (Text(b),), criterion)


def judge_with(kind: TieKind) -> RewardJudge:
    """A tiny model whose leeways differ from response to response."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = RewardModel(tiny(["Which drink? Tea is a drink."] * 9, 0), "minicpm_o", "natural")
        model.ties = TieHead(model.backbone.hidden_size, kind)
        with torch.no_grad():
            model.ties.weight.normal_(std=0.3)
        model.ties.set_bias(6.0)  # so that ties are neither certain nor impossible
    model.requires_grad_(False)
    model.eval()
    return RewardJudge(model, "made-up-revision", Ahead(model))


@pytest.fixture(scope="module", params=["rao_kupper", "davidson"])
def judge(request: pytest.FixtureRequest) -> RewardJudge:
    return judge_with(request.param)


@pytest.fixture(scope="module")
def running(judge: RewardJudge) -> Iterator[Running]:
    with serving(judge) as one:
        yield one


def expected(judge: RewardJudge, a: str, b: str, criterion: str) -> dict[str, float]:
    (found,) = judge([comparison(a, b, criterion)])
    assert found.probabilities is not None
    return dict(zip(("a", "tie", "b"), found.probabilities, strict=True))


def test_pairs_of_each_criterion_are_those_of_the_judge(running: Running, judge: RewardJudge) -> None:
    reply = running.client.post("/v1/rewards", json=words(*DRINKS, criteria=list(CRITERIA), pairs=True)).json()
    assert (reply["ties"], reply["tie_threshold"]) == ("head", None)
    told = []
    for criterion, pairs in zip(CRITERIA, reply["pairs"], strict=True):
        assert [(pair["a"], pair["b"]) for pair in pairs] == [(0, 1), (0, 2), (1, 2)]
        for pair in pairs:
            by_judge = expected(judge, DRINKS[pair["a"]], DRINKS[pair["b"]], criterion)
            assert pair["probabilities"] == pytest.approx(by_judge, abs=1e-5)
            told.append(pair["probabilities"]["tie"])
    assert max(told) - min(told) > 0.01  # each response has a leeway of its own


def test_a_judgement_has_the_same(running: Running, judge: RewardJudge) -> None:
    body = {"prompt": words()["prompt"], "response_a": DRINKS[0], "response_b": DRINKS[1], "criterion": "hot"}
    reply = running.client.post("/v1/judgements", json=body)
    found = reply.json()
    assert found["ties"] == "head"
    assert "tie_threshold" not in found
    assert found["judgement"]["probabilities"] == pytest.approx(expected(judge, *DRINKS[:2], "hot"), abs=1e-5)
    assert "verdict" not in found["judgement"]
    TypeAdapter(JudgementReply).validate_json(reply.content, strict=True, extra="forbid")
    swapped = running.client.post("/v1/judgements", json={**body, "response_a": DRINKS[1], "response_b": DRINKS[0]})
    straight, turned = found["judgement"]["probabilities"], swapped.json()["judgement"]["probabilities"]
    assert (turned["a"], turned["b"]) == (pytest.approx(straight["b"]), pytest.approx(straight["a"]))


def test_a_response_without_a_reward_moves_no_pair_to_another(running: Running, judge: RewardJudge) -> None:
    """Of three responses the second is broken; the pair of the first and the last is theirs."""
    broken = [{"type": "image", "base64": "bm90IGEgcGljdHVyZQ=="}]  # "not a picture"
    body: dict[str, Any] = {**words(pairs=True), "responses": [DRINKS[0], broken, DRINKS[2]]}
    reply = running.client.post("/v1/rewards", json=body)
    ((pair,),) = reply.json()["pairs"]
    assert (pair["a"], pair["b"]) == (0, 2)
    assert pair["probabilities"] == pytest.approx(expected(judge, DRINKS[0], DRINKS[2], ""), abs=1e-5)
    TypeAdapter(RewardsReply).validate_json(reply.content, strict=True, extra="forbid")


def test_other_shapes_have_the_rewards_alone(running: Running, judge: RewardJudge) -> None:
    plain = running.client.post("/v1/rewards", json=words(*DRINKS)).json()
    assert not {"pairs", "ties", "tie_threshold"} & plain.keys()
    (scores,) = judge.model.score([judge.model.encode(comparison(drink, "", ""), "a") for drink in DRINKS]).unsqueeze(0)
    assert [one["value"] for one in plain["rewards"][0]] == pytest.approx(scores.tolist(), abs=1e-5)
    ranked = running.client.post("/rerank", json={"query": "Which drink?", "texts": list(DRINKS)}).json()
    assert len(ranked) == 3


def test_the_client_reads_them(running: Running) -> None:
    with Client(str(running.client.base_url), "") as client:
        pairs = client.pairs("Which drink?", DRINKS, "hot")
        judged = client.judge(comparison(*DRINKS[:2], "hot"))
    assert {(pair.ties, pair.tie_threshold) for pair in pairs} == {("head", None)}
    assert judged.probabilities == pytest.approx(pairs[0].probabilities, abs=1e-5)


def test_a_threshold_beside_a_tie_head_is_refused(judge: RewardJudge) -> None:
    with (
        pytest.raises(RecipeError, match=r"tie_threshold is 0\.5, but 'reward:tiny' has a tie head"),
        serving(judge, tie_threshold=0.5),
    ):
        pass


def test_media_have_leeways_too(running: Running) -> None:
    body = {**words(prompt="Draw tea.", pairs=True), "responses": [[part_body(picture(70))], [part_body(picture(90))]]}
    ((pair,),) = running.client.post("/v1/rewards", json=body).json()["pairs"]
    assert 0 < pair["probabilities"]["tie"] < 1
