"""What `/openapi.json` says of bodies, headers, keys and refusals. `test_openapi` holds the server against it."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError
from tests.serve.running import Running, words

from omnireward.serve.description import Refusal
from omnireward.serve.gate import OPEN
from omnireward.serve.protocols import shapes


@pytest.fixture(scope="module")
def described(running: Running) -> Any:
    return running.client.get("/openapi.json").json()


def test_every_route_says_how_it_refuses_in_one_form(described: Any) -> None:
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            wanted = {"401", "421", "500", "503"}
            wanted |= {"400", "408", "413", "415", "422", "429"} if method == "post" else set()
            assert wanted <= operation["responses"].keys(), path
            for status, reply in operation["responses"].items():
                assert "X-Request-Id" in reply["headers"]
                if status >= "400" and not (path in OPEN and status == "503"):
                    said = reply["content"]["application/json"]["schema"]
                    assert said == {"$ref": "#/components/schemas/Refusal"}


def test_only_the_probes_need_no_key(described: Any) -> None:
    assert {
        path for path, found in described["paths"].items() if all("security" not in o for o in found.values())
    } == OPEN
    assert described["components"]["securitySchemes"].keys() == {"bearer", "key"}


def test_a_shape_without_room_for_a_problem_may_have_no_time_left_and_one_with_room_not(described: Any) -> None:
    responses = {path: found["post"]["responses"] for path, found in described["paths"].items() if "post" in found}
    for shape in shapes().values():
        for path in shape.example:
            if path != "/score":  # of two shapes, one of each kind
                assert ("504" in responses[path]) == (shape.on_problem == "whole request fails")
            assert "501" in responses[path]
    assert "504" not in responses["/v1/rewards"]


def test_the_body_of_every_shape_has_its_example(described: Any, running: Running) -> None:
    for name, shape in shapes().items():
        for path, example in shape.example.items():
            body = described["paths"][path]["post"]["requestBody"]["content"]["application/json"]
            assert body["examples"][name]["value"] == example
            assert running.client.post(path, json=body["examples"][name]["value"]).status_code == 200


def test_a_refusal_is_of_the_form_that_is_described(described: Any, running: Running) -> None:
    refusal = TypeAdapter(Refusal)
    made = described["components"]["schemas"]["Refusal"]
    assert made["properties"].keys() == Refusal.__annotations__.keys() == set(made["required"])
    broken = {"type": "image", "base64": "eA=="}
    chat = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": [{"type": "image_url", "image_url": "x"}]},
    ]
    for reply in (
        running.client.post("/v1/rewards", json={}),
        running.client.post("/v1/rewards", content=b"x"),
        running.client.get("/nowhere"),
        running.client.put("/v1/rewards"),
        running.client.post("/get_reward", json={"query": ["a b"], "prompts": ["a"], "deadline_s": 1e-9}),
        running.client.post("/classify", json={"messages": chat}),
        running.client.post("/v1/rewards", json=words("a"), headers={"Host": "example.org"}),
    ):
        assert reply.status_code >= 400
        refusal.validate_python(reply.json(), strict=True, extra="forbid")
    with pytest.raises(ValidationError):
        refusal.validate_python({"error": {"kind": "other", "message": "", "field": ""}, "id": ""})
    assert "problem" in running.client.post("/v1/rewards", json=words("a") | {"responses": [[broken]]}).text
