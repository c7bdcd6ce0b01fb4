"""The server and its own description: requests made from `/openapi.json`, right and wrong ones, and every reply."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from tests.serve.running import Running

schemathesis = pytest.importorskip("schemathesis")

TRIES = 25  # of each route and each mode
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
)


def _described(one: Running) -> Any:
    return schemathesis.openapi.from_dict(one.client.get("/openapi.json").json())


def _operations(one: Running, mode: str) -> list[Any]:
    """Nothing but a JSON body can be wrong: headers and uploads may be any."""
    found = [one.ok() for one in _described(one).get_all_operations()]
    json = ("post", "application/json")
    return [
        each for each in found if mode == "POSITIVE" or (each.method, *(body.media_type for body in each.body)) == json
    ]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
def test_every_reply_to_what_is_made_from_the_description_is_as_described(running: Running, mode: str) -> None:
    """Statuses, types, headers and bodies. Not whether it is taken: which texts and media are, no schema says."""
    checks = [getattr(schemathesis.checks, name) for name in CHECKS]
    tried = 0
    for operation in _operations(running, mode):
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
            case.call_and_validate(base_url=str(running.client.base_url), checks=checks)

        ask()
    assert tried > TRIES
