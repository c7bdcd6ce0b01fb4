"""A server on loopback and a model in this process give the same rewards, through the client and the adapters."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.serve.running import KEY, serving

from omnireward.adapters import flow_grpo, trl
from omnireward.adapters.source import NoRewardError, rewarder
from omnireward.client import AsyncClient, CallLimits, Client
from omnireward.errors import CallFailedError, CallRefusedError
from omnireward.judges import open_judge
from omnireward.judges.reward import JUDGE
from omnireward.media.encode import png
from omnireward.reward_model import RewardModel
from omnireward.serve.asking import Ask, Problem
from omnireward.types import Comparison, Media, Part, Text, Turn

LIMITS = CallLimits(tries=1)


def _picture(red: int) -> Media:
    return Media("image", png(np.full((24, 24, 3), (red, 40, 90), np.uint8)))


PROMPT = (Turn("user", (Text("Draw it."), _picture(90))),)
RESPONSES: tuple[tuple[Part, ...], ...] = ((_picture(200),), (Text("I cannot <|im_end|> draw."),), (_picture(10),))
ASKS = [Ask(PROMPT, RESPONSES, criterion) for criterion in ("", "It should be red.")]
BROKEN: tuple[Part, ...] = (Media("image", b"no picture"),)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    assert JUDGE.example is not None
    return Path(JUDGE.example(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch, serving(open_judge(f"reward:{folder}"), (KEY,)) as running:
        patch.setenv("OMNIREWARD_API_KEY", KEY)
        yield f"http://127.0.0.1:{running.port}"


@pytest.fixture(scope="module")
def expected(folder: Path) -> list[list[float]]:
    """The model's own."""
    model = RewardModel.load(folder)
    return [model.candidate_rewards(ask.prompt, ask.responses, ask.criterion).tolist() for ask in ASKS]


def test_both_clients_and_both_sources_give_the_models_rewards(
    url: str, folder: Path, expected: list[list[float]]
) -> None:
    async def looping() -> list[list[float | Problem]]:
        async with AsyncClient(url) as client:
            return await client.ask(ASKS)

    with Client(url) as client:
        found = [client.ask(ASKS), asyncio.run(looping()), rewarder(url)(ASKS), rewarder(f"reward:{folder}")(ASKS)]
    for rewards in found:
        for row, wanted in zip(rewards, expected, strict=True):
            assert row == pytest.approx(wanted, abs=1e-5)
    assert expected[0] != pytest.approx(expected[1], abs=1e-5)  # the criterion reaches the model


def test_media_that_are_uploaded_ahead_give_the_same_rewards(
    url: str, expected: list[list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omnireward.client.wire._INLINE_BYTES", 0)

    async def looping() -> list[list[float | Problem]]:
        async with AsyncClient(url) as client:
            return await client.ask(ASKS)

    with Client(url) as client:
        for rewards in (client.ask(ASKS), asyncio.run(looping())):
            assert rewards[1] == pytest.approx(expected[1], abs=1e-5)
        judgement = client.judge(Comparison(PROMPT, RESPONSES[0], RESPONSES[1], ASKS[1].criterion))
    assert judgement.margin == pytest.approx(expected[1][0] - expected[1][1], abs=1e-5)


def test_a_broken_medium_has_no_reward_and_stops_nobody(url: str, folder: Path, expected: list[list[float]]) -> None:
    ask = Ask(PROMPT, (RESPONSES[0], BROKEN, RESPONSES[1]), "")
    for source in (rewarder(url), rewarder(f"reward:{folder}")):
        first, broken, last = source([ask])[0]
        assert [first, last] == pytest.approx(expected[0][:2], abs=1e-5)
        assert isinstance(broken, Problem)
        assert broken.kind == "media"


def test_a_prompt_that_ends_with_no_user_has_no_reward(url: str, folder: Path) -> None:
    ask = Ask((Turn("system", (Text("Be brief."),)),), ((Text("yes"),),), "")
    for source in (rewarder(url), rewarder(f"reward:{folder}")):
        (found,) = source([ask])[0]
        assert isinstance(found, Problem)
        assert found.kind == "prompt"


def test_a_judgement_is_the_difference_of_the_rewards(url: str, expected: list[list[float]]) -> None:
    with Client(url) as client:
        judgement = client.judge(Comparison(PROMPT, RESPONSES[0], RESPONSES[1], ASKS[1].criterion))
        unreadable = client.judge(Comparison(PROMPT, RESPONSES[0], BROKEN))
    assert judgement.margin == pytest.approx(expected[1][0] - expected[1][1], abs=1e-5)
    assert unreadable.margin is None
    assert unreadable.error.startswith("media: ")


def test_a_wrong_key_is_refused_and_nobody_at_the_address_is_a_failure(url: str) -> None:
    with Client(url, "not the key") as client, pytest.raises(CallRefusedError, match="HTTP 401"):
        client.rewards("a", ["b"])
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # not listening
        nobody = Client(f"http://127.0.0.1:{unused.getsockname()[1]}", limits=LIMITS)
        with nobody, pytest.raises(CallFailedError, match="no answer in 1 of 1 tries"):
            nobody.rewards("a", ["b"])


def test_adapters_give_the_same_through_a_server_and_in_this_process(url: str, folder: Path) -> None:
    pixels = np.stack([np.full((24, 24, 3), (red, 40, 90), np.uint8) for red in (200, 10)])
    model = RewardModel.load(folder)
    wanted = model.candidate_rewards((Turn("user", (Text("A red square."),)),), [(_picture(200),), (_picture(10),)])
    said = model.candidate_rewards((Turn("user", (Text("Name a colour."),)),), [(Text("Red."),)], "Be brief.")
    for where in (url, f"reward:{folder}"):
        scores, _ = flow_grpo.scorer(where)(pixels, ["A red square."] * 2, {})
        assert scores == pytest.approx(wanted.tolist(), abs=1e-5)
        function = trl.reward_func(where, "Be brief.")
        assert function(["Name a colour."], ["Red."]) == pytest.approx(said.tolist(), abs=1e-5)
        with pytest.raises(NoRewardError, match=r"completion 0 has no reward \(media\)"):
            trl.reward_func(where)(["a"], ["b"], images=[[b"no picture"]])
