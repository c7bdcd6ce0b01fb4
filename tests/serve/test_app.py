"""Judges of every kind behind the same routes, what the server says of itself, and shapes of other software."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from tests.serve.running import Running, serving, words

from omnireward import web
from omnireward.errors import RecipeError
from omnireward.judges import open_judge
from omnireward.judges.reward import RewardJudge
from omnireward.serve import app as app_module
from omnireward.serve import schema
from omnireward.serve.app import create_app
from omnireward.serve.asking import Ask, Problem, Route, Shape
from omnireward.serve.config import ServeConfig
from omnireward.serve.protocols import shapes
from omnireward.types import Comparison, Judgement, Text, Turn

POSTS = sorted({r.path for shape in shapes().values() for r in shape.routes if r.method == "POST"})
COMPARED = {"prompt": [{"role": "user", "content": "Which drink?"}], "response_a": "tea", "response_b": "a long coffee"}


class Says:
    """A judge that says what it is told to."""

    fingerprint = "says:1"

    def __init__(self, judgement: Judgement) -> None:
        self.judgement = judgement

    def __call__(self, comparisons: Sequence[Comparison]) -> list[Judgement]:
        return [self.judgement for _ in comparisons]


@pytest.fixture(scope="module")
def longer() -> Iterator[Running]:
    with serving(open_judge("longer"), name="longer") as one:
        yield one


def test_a_judge_that_only_compares_has_judgements_and_says_why_it_has_no_rewards(longer: Running) -> None:
    reply = longer.client.post("/v1/judgements", json=COMPARED).json()
    (own,) = open_judge("longer")([_comparison()])
    assert reply["judgement"]["margin"] == own.margin
    assert (reply["model"], reply["revision"]) == ("longer", "longer:1")
    for path in ("/v1/rewards", *POSTS):
        refused = longer.client.post(path, json=words("tea"))
        assert refused.status_code == 501
        assert "/v1/judgements" in refused.json()["error"]["message"]


def _comparison() -> Comparison:
    return Comparison((Turn("user", (Text("Which drink?"),)),), (Text("tea"),), (Text("a long coffee"),))


def test_a_judgement_has_what_the_judge_has_and_nothing_else() -> None:
    said = Judgement(0.5, probabilities=(0.6, 0.3, 0.1), verdict="a", rationale="It is short.")
    with serving(Says(said), name="says:x") as one:
        judgement = one.client.post("/v1/judgements", json=COMPARED).json()["judgement"]
    assert judgement == {
        "margin": 0.5,
        "probabilities": {"a": 0.6, "tie": 0.3, "b": 0.1},
        "verdict": "a",
        "rationale": "It is short.",
    }


def test_a_judge_without_a_verdict_has_no_margin_and_one_that_failed_a_problem() -> None:
    with serving(Says(Judgement(None, rationale="Hm.")), name="says:x") as one:
        reply = one.client.post("/v1/judgements", json=COMPARED).json()
    assert reply["judgement"] == {"margin": None, "rationale": "Hm."}
    with serving(Says(Judgement(None, error="no key")), name="says:x") as one:
        reply = one.client.post("/v1/judgements", json=COMPARED).json()
    assert "judgement" not in reply
    assert reply["problem"] == {"kind": "failed", "message": "no key"}


def test_probes_and_paths_that_are_not_there(running: Running) -> None:
    assert running.client.get("/livez").json() == {"live": True}
    assert running.client.get("/readyz").json() == {"ready": True, "draining": False}
    assert running.client.get("/nowhere").json()["error"]["message"] == "Not Found"
    wrong = running.client.get("/v1/rewards")
    assert (wrong.status_code, wrong.headers["Allow"]) == (405, "POST")
    assert running.client.post("/v1/rewards/", json={}).status_code == 404  # no redirect: it would lose the body


def test_the_playground_is_served_with_its_policy(running: Running) -> None:
    for path, (kind, data) in web.page().items():
        reply = running.client.get(path)
        assert (reply.status_code, reply.headers["Content-Type"], reply.content) == (200, kind, data)
        assert {name: reply.headers[name] for name in web.HEADERS} == dict(web.HEADERS)


def test_a_fault_of_the_server_says_so_and_nothing_more(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(_request: str) -> None:
        raise KeyError("a secret")

    monkeypatch.setattr(running.service, "served", fails)
    reply = running.client.post("/v1/rewards", json=words("tea"))
    assert (reply.status_code, reply.json()["error"]["kind"]) == (500, "failed")
    assert "secret" not in reply.text
    assert reply.headers["Connection"] == "close"  # the client must not send the next one there


def test_the_description_names_every_path_and_every_field(running: Running) -> None:
    described = running.client.get("/openapi.json").json()
    paths = {route.path for shape in shapes().values() for route in shape.routes}
    assert set(described["paths"]) >= {"/v1/rewards", "/v1/judgements", "/v1/uploads", "/livez", "/readyz", *paths}
    body = described["paths"]["/v1/rewards"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    found = described["components"]["schemas"][body["$ref"].rpartition("/")[2]]
    assert set(found["properties"]) == {"prompt", "responses", "criterion", "criteria", "pairs", "deadline_s"}
    assert {"TextPart", "MediaPart", "TurnBody", "JudgementBody"} <= set(described["components"]["schemas"])
    assert "no probability of a tie" in described["paths"]["/v1/judgements"]["post"]["description"]


def _numbers(on_problem: str) -> Shape:
    def read(body: object, _inline: object) -> list[Ask]:
        assert isinstance(body, dict)
        return [Ask(_comparison().prompt, tuple((Text(one),) for one in body["texts"]))]

    route = Route("/numbers", read, lambda _body, rewards, _served: [isinstance(r, Problem) for r in rewards[0]])
    return Shape("numbers alone", (route,), {}, on_problem)  # type: ignore[arg-type]


@pytest.mark.parametrize(("on_problem", "status"), [("whole request fails", 422), ("in the reply", 200)])
def test_a_shape_without_room_for_a_problem_fails_as_a_whole(
    judge: RewardJudge, monkeypatch: pytest.MonkeyPatch, on_problem: str, status: int
) -> None:
    monkeypatch.setattr(app_module, "shapes", lambda: {"numbers": _numbers(on_problem)})
    monkeypatch.setattr(judge.model, "max_tokens", 200)
    with serving(judge) as one:
        assert one.client.post("/numbers", json={"texts": ["tea", "coffee"]}).json() == [False, False]
        reply = one.client.post("/numbers", json={"texts": ["tea", "tea " * 400]})
        late = one.client.post("/numbers", json={"texts": ["water"], "deadline_s": 1e-9})
    assert reply.status_code == status
    if status == 422:
        assert [problem["index"] for problem in reply.json()["error"]["problems"]] == [1]
        assert reply.json()["error"]["kind"] == "prompt"
        assert late.status_code == 504
    else:
        assert reply.json() == [False, True]


def test_a_shape_cannot_take_a_path_of_the_servers_own(judge: RewardJudge, monkeypatch: pytest.MonkeyPatch) -> None:
    shape = Shape("greedy", (schema.REWARDS,), {}, "in the reply")
    monkeypatch.setattr(app_module, "shapes", lambda: {"greedy": shape})
    with pytest.raises(RecipeError, match=r"'greedy' wants /v1/rewards, which is this server's own"):
        create_app(ServeConfig(judge="reward:tiny"), judge)
