"""Who may ask, how much at once, how long for, and what refusals look like."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from tests.serve.running import KEY, Running, scoring_held, serving, until, values, words

from omnireward import web
from omnireward.judges.reward import RewardJudge
from omnireward.serve.app import create_app
from omnireward.serve.config import ServeConfig
from omnireward.serve.gate import OPEN
from omnireward.serve.protocols import shapes

OTHER_KEY = "another-key-of-26-letters."
HOLD = words("tea")


@pytest.fixture(scope="module")
def keyed(judge: RewardJudge) -> Iterator[Running]:
    with serving(judge, (KEY, OTHER_KEY)) as one:
        yield one


def test_every_route_needs_a_key_but_the_probes_and_the_page_that_asks_for_one(
    judge: RewardJudge, keyed: Running
) -> None:
    """All routes that the app has, so that a new one cannot be forgotten, and a path that does not exist."""
    app = create_app(ServeConfig(judge="reward:tiny"), judge)
    app.state.service.close()
    asked = [(method, route.path) for route in app.routes for method in route.methods]  # type: ignore[attr-defined]
    assert {path for _, path in asked} >= {
        *OPEN,
        "/metrics",
        "/openapi.json",
        "/v1/rewards",
        "/v1/judgements",
        "/v1/uploads",
        *(route.path for shape in shapes().values() for route in shape.routes),
    }
    unlocked = OPEN | web.page().keys()
    assert {"/livez", "/readyz"} == OPEN
    with httpx.Client(base_url=f"http://127.0.0.1:{keyed.port}") as stranger:
        for method, path in [*asked, ("GET", "/nowhere"), ("POST", "/v1"), ("OPTIONS", "/v1/rewards")]:
            for headers in ({}, {"Authorization": f"Bearer {KEY}x"}, {"X-API-Key": ""}, {"Authorization": KEY}):
                reply = stranger.request(method, path, headers=headers)
                assert (reply.status_code == 401) == (path not in unlocked), (method, path, headers)
            for headers in ({"Authorization": f"Bearer {KEY}"}, {"X-API-Key": OTHER_KEY}):
                assert stranger.request(method, path, headers=headers).status_code != 401
        refused = stranger.post("/v1/rewards", json=HOLD)
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert refused.json()["error"]["kind"] == "key"
    assert values(keyed.client.post("/v1/rewards", json=HOLD))


def test_without_keys_a_page_of_another_site_cannot_reach_it_by_a_name_of_its_own(
    running: Running, keyed: Running
) -> None:
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8000", ""):
        assert running.client.post("/v1/rewards", json=HOLD, headers={"Host": host}).status_code == 421
    for host in ("localhost", "127.0.0.1:1", "[::1]:8000", "LOCALHOST:8000"):
        assert running.client.post("/v1/rewards", json=HOLD, headers={"Host": host}).status_code == 200
    assert keyed.client.post("/v1/rewards", json=HOLD, headers={"Host": "rewards.example"}).status_code == 200


def test_a_full_queue_answers_429_with_retry_after_before_it_looks_at_the_body(judge: RewardJudge) -> None:
    with serving(judge, max_queue=2) as one, ThreadPoolExecutor(2) as pool:
        with scoring_held(judge) as held:
            accepted = [pool.submit(one.client.post, "/v1/rewards", json=HOLD) for _ in range(2)]
            until(lambda: one.service.slots.taken == 2 and held.busy.is_set())
            # A body that is refused for its type where there is room; a large one, so that it is still on its way.
            refused = one.client.post("/v1/rewards", content=b"x" * 2**20, headers={"Content-Type": "text/plain"})
            assert refused.status_code == 429
            assert 1 <= int(refused.headers["Retry-After"]) <= 30
            assert refused.json()["error"]["kind"] == "overloaded"
            assert one.client.get("/readyz").status_code == 200  # probes need no room
        assert all(values(future.result()) for future in accepted)
        assert one.client.post("/v1/rewards", content=b"x", headers={"Content-Type": "text/plain"}).status_code == 415
        until(lambda: one.service.slots.taken == 0)


def test_bytes_of_all_requests_together_are_bounded(judge: RewardJudge) -> None:
    """Of two bodies of 600 kB, a server that holds 1 MiB takes one."""
    body = words("tea", prompt="t" * 600_000)
    with serving(judge, max_body_mb=1, max_held_mb=1) as one, ThreadPoolExecutor(1) as pool:
        with scoring_held(judge) as held:
            first = pool.submit(one.client.post, "/v1/rewards", json={**HOLD, "criterion": " " * 600_000})
            until(held.busy.is_set)
            second = one.client.post("/v1/rewards", json=body)
            assert (second.status_code, "retry-after" in second.headers) == (429, True)
        assert first.result().status_code == 200
        assert one.client.post("/v1/rewards", json=body).status_code == 200  # given back


def test_at_the_deadline_a_request_is_answered_without_numbers(judge: RewardJudge) -> None:
    with serving(judge) as one:
        with scoring_held(judge) as held:
            reply = one.client.post("/v1/rewards", json=words("tea", "coffee", deadline_s=0.2))
            assert reply.status_code == 200
            (row,) = reply.json()["rewards"]
            assert [found["problem"]["kind"] for found in row] == ["deadline", "deadline"]
            scored = len(held.scored)
            late = one.client.post("/v1/rewards", json=words("water", deadline_s=1e-9)).json()["rewards"][0]
            assert late[0]["problem"]["kind"] == "deadline"
        assert values(one.client.post("/v1/rewards", json=HOLD))
        assert len(held.scored) <= scored + 1


def test_a_deadline_of_more_seconds_than_a_float_holds_is_the_servers_own(running: Running) -> None:
    assert running.client.post(
        "/get_reward", json={"query": ["tea"], "prompts": ["t"], "deadline_s": 10**400}
    ).is_success
    assert (
        running.client.post("/v1/rewards", json=words("tea", deadline_s=10**400)).status_code == 422
    )  # as a float only


@pytest.mark.parametrize("seconds", [0, -1, "1", True, [1]])
def test_a_deadline_that_is_no_time_is_refused(running: Running, seconds: object) -> None:
    reply = running.client.post("/v1/rewards", json=words("tea", deadline_s=seconds))
    assert (reply.status_code, reply.json()["error"]["field"]) == (422, "deadline_s")


def test_nothing_is_computed_for_a_client_that_has_gone(judge: RewardJudge) -> None:
    body = json.dumps(words("tea", "coffee", "water")).encode()
    head = (
        b"POST /v1/rewards HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    )
    with serving(judge) as one, ThreadPoolExecutor(1) as pool:
        with scoring_held(judge) as held:
            first = pool.submit(one.client.post, "/v1/rewards", json=HOLD)
            until(held.busy.is_set)
            with socket.create_connection(("127.0.0.1", one.port)) as gone:
                gone.sendall(head % len(body) + body)
                until(lambda: one.service.slots.taken == 2)
            until(lambda: one.service.slots.taken == 1)
        assert values(first.result())
        assert values(one.client.post("/v1/rewards", json=words("cocoa", "milk")))
        assert held.scored == [1]  # the gone one's three rows would have been next


def test_more_than_a_request_may_ask_is_refused(judge: RewardJudge) -> None:
    with serving(judge, max_responses=4, max_chars=100, max_media=2) as one:
        tiny = {"type": "image", "base64": "eA=="}
        for body in (
            words(*"abcde"),
            words("a", "b", criteria=["x", "y", "z"]),
            words("tea" * 40),
            words("tea", criterion="hot" * 40),
            words("a", prompt="which" * 30),
            {**words("a"), "responses": [[tiny], [tiny, tiny]]},
        ):
            reply = one.client.post("/v1/rewards", json=body)
            assert reply.status_code == 413, body
            assert "at most" in reply.json()["error"]["message"]
        assert one.client.post("/v1/rewards", json=words("a", "b", criteria=["x", "y"])).status_code == 200


def test_ids_are_echoed_or_made_and_no_words_are_logged(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "omnireward.serve"):
        reply = running.client.post("/v1/rewards", json=words("a secret drink"), headers={"X-Request-ID": "abc.1"})
        refused = running.client.post("/v1/rewards?secret=drink", json={"secret": "drink"})
        made_up = running.client.get("/a/secret/drink", headers={"X-Request-ID": 'x"secret drink'})
        until(lambda: len(caplog.messages) >= 3)  # a line is written after its reply was sent
    assert reply.headers["X-Request-ID"] == reply.json()["id"] == "abc.1"
    assert refused.status_code == 422
    assert len(refused.headers["X-Request-ID"]) == 32
    both = {"X-Request-Id": "of-a-proxy", "X-Omnireward-Id": "of-a-client"}
    twice = running.client.post("/v1/rewards", json=words("a drink"), headers=both)
    assert twice.json()["id"] == twice.headers["X-Omnireward-Id"] == twice.headers["X-Request-Id"] == "of-a-client"
    assert "X-Omnireward-Id" not in reply.headers
    assert made_up.headers["X-Request-ID"] != 'x"secret drink'
    lines = [json.loads(message) for message in caplog.messages]
    assert [(line["path"], line["status"]) for line in lines] == [
        ("/v1/rewards", 200),
        ("/v1/rewards", 422),
        ("other", 404),
    ]
    assert "secret" not in caplog.text


def test_counts_say_what_happened(judge: RewardJudge) -> None:
    """Three rewards and one problem in two requests, and a refusal: by hand."""
    broken = {"type": "image", "base64": "eA=="}
    with serving(judge) as one:
        one.client.post("/v1/rewards", json=words("a", "b"))
        one.client.post("/v1/rewards", json={**words("a"), "responses": ["a", [broken]]})
        one.client.post("/v1/rewards", json=[])
        reply = one.client.get("/metrics")
    samples = (sample for family in text_string_to_metric_families(reply.text) for sample in family.samples)
    found = {(sample.name, *sample.labels.values()): sample.value for sample in samples}
    assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert found["omnireward_rewards_total", "ok"] == 3
    assert found["omnireward_rewards_total", "media"] == 1
    assert found["omnireward_requests_total", "/v1/rewards", "200"] == 2
    assert found["omnireward_requests_total", "/v1/rewards", "400"] == 1
    assert found["omnireward_request_seconds_count", "/v1/rewards"] == 3
    assert found["omnireward_batch_rows_sum",] == 3
    assert found["omnireward_batch_seconds_count",] >= 1
    assert found["omnireward_requests_under_way",] == 0
    assert found["omnireward_ready",] == 1
