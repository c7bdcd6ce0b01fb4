"""What a server says of rewards that may be off, and what clients and adapters do with it."""

from __future__ import annotations

import asyncio
import functools
import operator
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import torch
from tests.serve.running import KEY, serving

from omnireward.adapters import verl
from omnireward.adapters.pairwise import Pairwise
from omnireward.adapters.source import rewarder
from omnireward.backbones.text import BACKBONE
from omnireward.client import AsyncClient, CallLimits, Client
from omnireward.client.replies import read_judgement, read_rewards
from omnireward.errors import CallFailedError, RecipeError
from omnireward.judges import open_judge
from omnireward.judges.reward import JUDGE
from omnireward.reward_model import RewardModel
from omnireward.serve.asking import Ask
from omnireward.types import Comparison, Text, Turn
from omnireward.uncertainty import fit

PROMPT = (Turn("user", (Text("Tell me about tea."),)),)
WORDS = ("hot", "cold", "sweet", "green", "black", "long")
USUAL, ODD = "It should be hot.", "zq xv jjw 9 9 9 kp qqq zzz"
RESPONSES = ((Text("It is hot."),), (Text("It is cold cold."),))


def _asked(number: int) -> Comparison:
    a, b, c = (WORDS[(number // 6**k) % 6] for k in range(3))
    return Comparison(PROMPT, (Text(f"It is {a}."),), (Text(f"It is {b} {b}."),), f"It should be {c}.")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model fitted to six criteria and as many words."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = RewardModel(BACKBONE.tiny(["Tell me about tea.", "It should be hot."], 0), "text", "natural").eval()
    asked = [_asked(number) for number in range(216)]
    states = model.states([model.encode(one, side) for one in asked for side in ("a", "b")]).view(216, 2, -1)
    criteria = model.states_of_criteria([one.criterion for one in asked])
    model.uncertainty = fit(states, criteria, torch.full((216,), 2.0), [str(number % 40) for number in range(216)])
    place = tmp_path_factory.mktemp("fitted")
    model.save(place)
    return place


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, serving(open_judge(f"reward:{folder}"), (KEY,)) as running:
        patch.setenv("OMNIREWARD_API_KEY", KEY)
        yield f"http://127.0.0.1:{running.port}"


def test_replies_say_how_familiar_each_response_is_and_how_far_its_reward_may_be_off(url: str) -> None:
    body = {
        "prompt": [{"role": "user", "content": "Tell me about tea."}],
        "responses": ["It is hot.", "It is cold cold."],
        "criteria": [USUAL, ODD],
    }
    reply = httpx.post(f"{url}/v1/rewards", json=body, headers={"Authorization": f"Bearer {KEY}"}).json()
    usual, odd = reply["rewards"]
    assert all(set(one) == {"value", "familiarity", "deviation"} for one in (*usual, *odd))
    assert all(one["familiarity"] >= 0.05 and one["deviation"] == 0 for one in usual)
    # The margins that it was fitted to are all 2: so is the deviation of a margin of which nothing is known.
    assert all(one["familiarity"] == 0 and one["deviation"] == pytest.approx(2**0.5) for one in odd)


def test_a_judgement_is_the_one_that_the_judge_gives(url: str, folder: Path) -> None:
    asked = [Comparison(PROMPT, *RESPONSES, criterion) for criterion in (USUAL, ODD)]
    here = open_judge(f"reward:{folder}")(asked)
    with Client(url) as client:
        there = [client.judge(one) for one in asked]
    for mine, theirs in zip(here, there, strict=True):
        assert theirs.margin == pytest.approx(mine.margin, abs=1e-5)
        assert theirs.deviation == pytest.approx(mine.deviation)
        assert theirs.familiarity == pytest.approx(mine.familiarity)
    assert there[1].deviation == pytest.approx(2.0)


def test_a_discount_takes_the_deviation_off_wherever_rewards_come_from(url: str, folder: Path) -> None:
    asks = [Ask(PROMPT, RESPONSES, criterion) for criterion in (USUAL, ODD)]
    plain = rewarder(f"reward:{folder}")(asks)
    expected = [*plain[0], *(reward - 0.5 * 2**0.5 for reward in plain[1] if isinstance(reward, float))]

    async def looping() -> list[object]:
        async with AsyncClient(url, discount=0.5) as client:
            return [reward for row in await client.ask(asks) for reward in row]

    async def of_verl() -> float:
        asked = {"question": "Tell me about tea.", "criterion": ODD}
        return await verl.compute_score_async("made up", "It is hot.", None, asked, where=url, discount=0.5)

    sources = (rewarder(url, discount=0.5), rewarder(f"reward:{folder}", discount=0.5))
    for found in (*(functools.reduce(operator.iadd, source(asks), []) for source in sources), asyncio.run(looping())):
        assert found == pytest.approx(expected, abs=1e-5)
    assert asyncio.run(of_verl()) == pytest.approx(expected[2], abs=1e-5)


def test_what_has_no_deviation_is_not_discounted_in_silence(tmp_path: Path) -> None:
    assert JUDGE.example is not None
    plain = JUDGE.example(tmp_path)
    with pytest.raises(RecipeError, match="nothing to discount by"):
        rewarder(f"reward:{plain}", discount=1.0)
    with pytest.raises(RecipeError, match="Leave out"):
        rewarder("longer", None, Pairwise(group=2), 1.0)
    reply = {"rewards": [[{"value": 1.0}]], "raw": True}
    assert read_rewards(reply, 1) == [1.0]
    with pytest.raises(CallFailedError, match="does not know how far"):
        read_rewards(reply, 1, discount=1.0)
    with serving(open_judge(f"reward:{plain}"), (KEY,)) as running:
        with Client(f"http://127.0.0.1:{running.port}", KEY, CallLimits(tries=1)) as client:
            judgement = client.judge(Comparison(PROMPT, *RESPONSES, USUAL))
        with (
            Client(f"http://127.0.0.1:{running.port}", KEY, CallLimits(tries=1), discount=1.0) as client,
            pytest.raises(CallFailedError, match="does not know how far"),
        ):
            client.rewards("Tell me about tea.", ["It is hot."], USUAL)
    assert judgement.deviation is None
    assert judgement.familiarity is None


@pytest.mark.parametrize("discount", [-1.0, float("nan"), float("inf")])
def test_a_discount_that_would_reward_the_unknown_is_refused(discount: float) -> None:
    with pytest.raises(RecipeError, match="0 or more"):
        Client("http://127.0.0.1:1", discount=discount)


@pytest.mark.parametrize("told", [-1, 2, "much", float("nan")])
def test_a_client_distrusts_what_it_is_told(told: object) -> None:
    with pytest.raises(CallFailedError):
        read_judgement({"judgement": {"margin": 1.0, "familiarity": told}})
    if told != 2:
        with pytest.raises(CallFailedError):
            read_rewards({"rewards": [[{"value": 1.0, "deviation": told}]], "raw": True}, 1, discount=1.0)
