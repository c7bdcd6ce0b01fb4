"""The server and its own description: requests made from `/openapi.json`, right and wrong ones, and every reply."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from tests.serve.running import Running

schemathesis = pytest.importorskip("schemathesis")

TRIES = 25  # of each route and each mode
CHECKS = (
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
)


def _no_fault(_context: Any, response: Any, _case: Any) -> None:
    """No 5xx but 501, which the description states: a judge gives rewards or compares, not both."""
    assert response.status_code < 500 or response.status_code == 501, response.status_code


def _described(one: Running) -> Any:
    return schemathesis.openapi.from_dict(one.client.get("/openapi.json").json())


def _operations(one: Running, mode: str, paths: set[str] | None) -> list[Any]:
    """Nothing but a JSON body can be wrong: headers and uploads may be any."""
    every = [each.ok() for each in _described(one).get_all_operations()]
    found = [each for each in every if paths is None or each.path in paths]
    json = ("post", "application/json")
    return [
        each for each in found if mode == "POSITIVE" or (each.method, *(body.media_type for body in each.body)) == json
    ]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
@pytest.mark.parametrize("server", ["running", "longer"])
def test_every_reply_to_what_is_made_from_the_description_is_as_described(
    server: str, mode: str, request: pytest.FixtureRequest
) -> None:
    """Statuses, types, headers and bodies. Not whether it is taken: which texts and media are, no schema says."""
    one: Running = request.getfixturevalue(server)
    paths = None if server == "running" else {"/v1/judgements", "/v1/rankings"}  # what needs a judge that compares
    checks = [_no_fault, *(getattr(schemathesis.checks, name) for name in CHECKS)]
    tried = 0
    for operation in _operations(one, mode, paths):
        strategy = operation.as_strategy(generation_mode=getattr(schemathesis.GenerationMode, mode))

        @seed(0)
        @settings(
            max_examples=TRIES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(strategy)
        def ask(case: Any) -> None:
            nonlocal tried
            tried += 1
            case.call_and_validate(base_url=str(one.client.base_url), checks=checks)

        ask()
    assert tried > TRIES
