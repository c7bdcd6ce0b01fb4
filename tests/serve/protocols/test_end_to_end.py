"""Every shape through the app: what comes back is what the model itself says of the same prompts and responses."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tests.serve.protocols.plain import SERVED, PlainInline, fractions, route_ids
from tests.serve.running import Running

from omnireward.judges.reward import RewardJudge
from omnireward.serve.asking import Route
from omnireward.serve.protocols import shape, shapes
from omnireward.serve.protocols._words import WHOLE
from omnireward.types import Text, Turn

ROUTES = [(name, route) for name, found in shapes().items() for route in found.routes]
POSTS = [(name, route) for name, route in ROUTES if route.method == "POST"]
GETS = [(name, route) for name, route in ROUTES if route.method == "GET"]


@pytest.mark.parametrize(("name", "route"), POSTS, ids=route_ids(POSTS))
def test_a_reply_holds_the_models_own_rewards(running: Running, judge: RewardJudge, name: str, route: Route) -> None:
    body = dict(shape(name).example[route.path]) | {"criterion": "It should be red."}
    reply = running.client.post(route.path, json=body)
    assert reply.status_code == 200, reply.text
    expected = [
        reward
        for ask in route.read(body, PlainInline())
        for reward in judge.model.candidate_rewards(ask.prompt, ask.responses, ask.criterion).tolist()
    ]
    found = fractions(reply.json())
    assert len(found) >= len(expected)
    assert sorted(set(found)) == pytest.approx(sorted(set(expected)), abs=1e-5)


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


def test_the_same_exchange_has_the_same_reward_in_every_shape(running: Running, judge: RewardJudge) -> None:
    """Whether a client sends turns, a prompt and a response, or text to which it has applied the template."""
    expected = judge.model.candidate_rewards((Turn("user", (Text("Name a colour."),)),), [(Text("Red."),)]).tolist()
    for path, body in SAME:
        found = fractions(running.client.post(path, json=body).json())
        assert found, path
        assert found == pytest.approx(expected * len(found), abs=1e-5), path


@pytest.mark.parametrize(("name", "route"), GETS, ids=route_ids(GETS))
def test_what_is_only_read_is_there(running: Running, name: str, route: Route) -> None:
    assert running.client.get(route.path).json() == route.write({}, [], SERVED)


def _spoilt(name: str, path: str) -> Any:
    """The example with another picture after its own, whose bytes are none."""
    body: Any = copy.deepcopy(dict(shape(name).example[path]))
    if name == "flow_grpo":
        return {"images": [*body["images"], "bm9uZQ=="], "prompts": body["prompts"] * 2}
    request = copy.deepcopy(body["requests"][0])
    request["history"][0]["image_b64"] = "bm9uZQ=="
    return {"requests": [*body["requests"], request]}


def test_a_broken_picture_fails_alone_where_the_shape_has_a_place_for_it(running: Running) -> None:
    reply = running.client.post("/flow_grpo", json=_spoilt("flow_grpo", "/flow_grpo")).json()
    assert isinstance(reply["scores"][0], float)
    assert reply["scores"][1] is None
    assert reply["errors"][1].startswith("media: ")
    reply = running.client.post("/score", json=_spoilt("unirl", "/score")).json()
    assert list(reply["results"][0]) == ["omnireward"]
    assert reply["results"][1] == {}
    assert reply["errors"][1]["omnireward"].startswith("media: ")


def test_a_broken_picture_fails_the_request_where_the_shape_has_no_place_for_it(running: Running) -> None:
    body = {"queries": ["a b", "a c"], "prompts": ["a", "a"], "images": [None, ["bm9uZQ=="]]}
    reply = running.client.post("/get_reward", json=body)
    assert reply.status_code == 422
    assert "rewards" not in reply.json()


def test_a_body_of_no_shape_of_its_path_is_refused(running: Running) -> None:
    reply = running.client.post("/score", json={"neither": 1})
    assert reply.status_code == 422
    assert "requests (unirl)" in reply.text
