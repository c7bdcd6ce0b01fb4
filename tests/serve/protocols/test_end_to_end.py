"""Every shape through the app: what comes back is what the model itself says of the same prompts and responses."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from fastapi import FastAPI
from tests.serve.protocols.plain import PlainInline

from omnireward import plugins
from omnireward.judges import JudgeKind, open_judge
from omnireward.reward_model import RewardModel
from omnireward.serve.app import create_app
from omnireward.serve.asking import Route
from omnireward.serve.config import ServeConfig
from omnireward.serve.protocols import shape, shapes
from omnireward.types import Text, Turn

ROUTES = [(name, route) for name, found in shapes().items() for route in found.routes]
POSTS = [(name, route) for name, route in ROUTES if route.method == "POST"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kind = cast(JudgeKind, plugins.load("judges", "reward"))
    assert kind.example is not None
    return Path(kind.example(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def app(folder: Path) -> Iterator[FastAPI]:
    name = f"reward:{folder}"
    made = create_app(ServeConfig(judge=name), open_judge(name))
    yield made
    made.state.service.close()


@pytest.fixture(scope="module")
def model(folder: Path) -> RewardModel:
    return RewardModel.load(folder)


def _send(app: FastAPI, method: str, path: str, body: object = None) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.request(method, path, json=body)

    return asyncio.run(send())


def _numbers(reply: object) -> list[float]:
    if isinstance(reply, dict):
        return [n for value in reply.values() for n in _numbers(value)]
    if isinstance(reply, list):
        return [n for value in reply for n in _numbers(value)]
    return [reply] if isinstance(reply, float) else []


def _ids(pairs: list[tuple[str, Route]]) -> list[str]:
    return [f"{name}{route.path}" for name, route in pairs]


@pytest.mark.parametrize(("name", "route"), POSTS, ids=_ids(POSTS))
def test_a_reply_holds_the_models_own_rewards(app: FastAPI, model: RewardModel, name: str, route: Route) -> None:
    body = dict(shape(name).example[route.path]) | {"criterion": "It should be red."}
    reply = _send(app, "POST", route.path, body)
    assert reply.status_code == 200, reply.text
    expected = [
        reward
        for ask in route.read(body, PlainInline())
        for reward in model.candidate_rewards(ask.prompt, ask.responses, ask.criterion).tolist()
    ]
    found = _numbers(reply.json())
    assert len(found) >= len(expected)
    assert sorted(set(found)) == pytest.approx(sorted(set(expected)), abs=1e-5)


WHOLE = "<|im_start|>user\nName a colour.<|im_end|>\n<|im_start|>assistant\nRed.<|im_end|>\n"
OPENED = WHOLE.removesuffix("Red.<|im_end|>\n")
CHAT = [{"role": "user", "content": "Name a colour."}, {"role": "assistant", "content": "Red."}]
SAME: list[tuple[str, dict[str, Any]]] = [
    ("/v1/rewards", {"prompt": CHAT[:1], "responses": ["Red."]}),
    ("/get_reward", {"query": [WHOLE], "prompts": [OPENED]}),
    ("/get_reward", {"query": ["Name a colour.Red."], "prompts": ["Name a colour."]}),
    ("/get_reward", {"prompts": ["Name a colour."], "responses": ["Red."]}),
    ("/classify", {"input": WHOLE}),
    ("/classify", {"messages": CHAT}),
    ("/classify", {"text": [WHOLE]}),
    ("/pooling", {"messages": CHAT}),
    ("/score", {"text_1": "Name a colour.", "text_2": "Red."}),
    ("/v1/embeddings", {"input": WHOLE}),
    ("/predict", {"inputs": ["Name a colour.", "Red."]}),
    ("/rerank", {"query": "Name a colour.", "texts": ["Red."]}),
    ("/v1/score/evaluation", {"messages": [WHOLE]}),
]


def test_the_same_exchange_has_the_same_reward_in_every_shape(app: FastAPI, model: RewardModel) -> None:
    """Whether a client sends turns, a prompt and a response, or text to which it has applied the template."""
    expected = model.candidate_rewards((Turn("user", (Text("Name a colour."),)),), [(Text("Red."),)]).tolist()
    for path, body in SAME:
        found = _numbers(_send(app, "POST", path, body).json())
        assert found, path
        assert found == pytest.approx(expected * len(found), abs=1e-5), path


@pytest.mark.parametrize(("name", "route"), ROUTES, ids=_ids(ROUTES))
def test_every_route_is_there_under_its_method(app: FastAPI, name: str, route: Route) -> None:
    body = shape(name).example[route.path] if route.method == "POST" else None
    assert _send(app, route.method, route.path, body).status_code == 200


def _spoilt(name: str, path: str) -> Any:
    """The example with another picture after its own, whose bytes are none."""
    body: Any = copy.deepcopy(dict(shape(name).example[path]))
    if name == "flow_grpo":
        return {"images": [*body["images"], "bm9uZQ=="], "prompts": body["prompts"] * 2}
    request = copy.deepcopy(body["requests"][0])
    request["history"][0]["image_b64"] = "bm9uZQ=="
    return {"requests": [*body["requests"], request]}


def test_a_broken_picture_fails_alone_where_the_shape_has_a_place_for_it(app: FastAPI) -> None:
    reply = _send(app, "POST", "/flow_grpo", _spoilt("flow_grpo", "/flow_grpo")).json()
    assert isinstance(reply["scores"][0], float)
    assert reply["scores"][1] is None
    assert reply["errors"][1].startswith("media: ")
    reply = _send(app, "POST", "/score", _spoilt("unirl", "/score")).json()
    assert list(reply["results"][0]) == ["omnireward"]
    assert reply["results"][1] == {}
    assert reply["errors"][1]["omnireward"].startswith("media: ")


def test_a_broken_picture_fails_the_request_where_the_shape_has_no_place_for_it(app: FastAPI) -> None:
    body = {"queries": ["a b", "a c"], "prompts": ["a", "a"], "images": [None, ["bm9uZQ=="]]}
    reply = _send(app, "POST", "/get_reward", body)
    assert reply.status_code == 422
    assert "rewards" not in reply.json()


def test_a_body_of_no_shape_of_its_path_is_refused(app: FastAPI) -> None:
    reply = _send(app, "POST", "/score", {"neither": 1})
    assert reply.status_code == 422
    assert "requests (unirl)" in reply.text
