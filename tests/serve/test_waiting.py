"""A judge that waits for others, served: an answer that does not come holds up nobody else's."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from tests.serve.running import Running, serving, until

from omnireward.judges import Estimate, PatientJudge
from omnireward.serve.queue import ENDED, LATE
from omnireward.serve.waiting import Waiting
from omnireward.types import Comparison, Judgement, Text, Turn


@dataclass
class Endpoint:
    """A judge of another machine: what asks for `slow` is answered when the test says so, all else at once."""

    fingerprint = "endpoint:1"
    window: int = 4
    asked: list[Comparison] = field(default_factory=list)
    slow: list[Future[Judgement]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._room = threading.BoundedSemaphore(self.window)

    def __call__(self, comparisons: Sequence[Comparison]) -> list[Judgement]:
        return [self.submit(comparison).result() for comparison in comparisons]

    def submit(self, comparison: Comparison, repeat: int = 0) -> Future[Judgement]:
        self._room.acquire()
        self.asked.append(comparison)
        future: Future[Judgement] = Future()
        future.set_running_or_notify_cancel()
        future.add_done_callback(lambda _: self._room.release())
        if comparison.criterion == "slow":
            self.slow.append(future)
        elif comparison.criterion == "bug":
            future.set_exception(KeyError("a secret"))
        else:
            future.set_result(Judgement(1.0, verdict="a", rationale=comparison.criterion))
        return future

    def estimate(self, comparison: Comparison, repeat: int = 0) -> Estimate:
        raise NotImplementedError

    def close(self) -> None:
        for future in self.slow:
            if not future.done():
                future.set_result(Judgement(None, error="closed."))


def _comparison(criterion: str) -> Comparison:
    return Comparison((Turn("user", (Text("Which drink?"),)),), (Text("tea"),), (Text("coffee"),), criterion)


def _body(criterion: str, **more: Any) -> dict[str, Any]:
    prompt = [{"role": "user", "content": "Which drink?"}]
    return {"prompt": prompt, "response_a": "tea", "response_b": "coffee", "criterion": criterion, **more}


@pytest.fixture
def endpoint() -> Endpoint:
    return Endpoint()


@pytest.fixture
def served(endpoint: Endpoint) -> Iterator[Running]:
    with serving(endpoint, name="api:made-up") as one:
        yield one


def test_an_answer_that_does_not_come_holds_up_nobody(served: Running, endpoint: Endpoint) -> None:
    assert isinstance(endpoint, PatientJudge)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(served.client.post, "/v1/judgements", json=_body("slow"))
        until(lambda: len(endpoint.slow) == 1)
        for n in range(20):
            reply = served.client.post("/v1/judgements", json=_body(f"quick {n}")).json()
            assert reply["judgement"] == {"margin": 1.0, "verdict": "a", "rationale": f"quick {n}"}
        assert not waiting.done()
        endpoint.slow[0].set_result(Judgement(-1.0, verdict="b", rationale="at last"))
        assert waiting.result().json()["judgement"]["rationale"] == "at last"
    assert "omnireward_batch_rows_count 21.0" in served.client.get("/metrics").text


def test_who_waits_too_long_is_told_so_and_what_nobody_wants_is_not_asked(served: Running, endpoint: Endpoint) -> None:
    """Four slow ones take all the room; a fifth waits behind them, and its deadline passes."""
    with ThreadPoolExecutor(5) as pool:
        taken = [pool.submit(served.client.post, "/v1/judgements", json=_body("slow")) for _ in range(4)]
        until(lambda: len(endpoint.slow) == 4)
        late = [served.client.post("/v1/judgements", json=_body(f"late {n}", deadline_s=0.05)).json() for n in (1, 2)]
        assert [reply["problem"]["kind"] for reply in late] == ["deadline", "deadline"]
        for future in endpoint.slow:
            future.set_result(Judgement(0.0))
        assert [one.result().json()["judgement"] for one in taken] == [{"margin": 0.0}] * 4
        assert served.client.post("/v1/judgements", json=_body("next")).json()["judgement"]["rationale"] == "next"
    # The first of the late ones was already being handed on, and waited for room; the second was not begun.
    assert [one.criterion for one in endpoint.asked if one.criterion != "slow"] == ["late 1", "next"]


def test_a_fault_is_a_problem_without_its_words(served: Running, caplog: pytest.LogCaptureFixture) -> None:
    reply = served.client.post("/v1/judgements", json=_body("bug"))
    assert (reply.status_code, reply.json()["problem"]["kind"]) == (200, "failed")
    assert "secret" not in reply.text + caplog.text
    assert served.client.post("/v1/judgements", json=_body("next")).status_code == 200


def test_the_server_ends_although_an_answer_does_not_come(endpoint: Endpoint) -> None:
    with ThreadPoolExecutor(1) as pool, serving(endpoint, name="api:made-up", drain=0.1) as one:
        waiting = pool.submit(_status, one, _body("slow"))
        until(lambda: len(endpoint.slow) == 1)
        one.server.end()
        assert waiting.result() != 200  # the drain's time is over: broken off
    assert endpoint.slow[0].result().error == "closed."


def _status(one: Running, body: dict[str, Any]) -> int:
    try:
        return one.client.post("/v1/judgements", json=body).status_code
    except httpx.RemoteProtocolError:
        return 0


def test_a_closed_line_answers_all_that_it_was_given(endpoint: Endpoint) -> None:
    line = Waiting(endpoint)
    soon = time.monotonic() + 60
    futures = [line.submit([_comparison("slow")], soon) for _ in range(7)]
    until(lambda: len(endpoint.slow) == 4)
    assert line.alive
    line.close()
    line.close()
    found = [future.result(timeout=30)[0] for future in futures]
    assert [one.error for one in found if isinstance(one, Judgement)][:4] == ["closed."] * 4
    assert set(found[5:]) == {ENDED}
    assert line.submit([_comparison("quick")], soon).result(timeout=30) == [ENDED]


def test_a_late_one_is_not_handed_on(endpoint: Endpoint) -> None:
    line = Waiting(endpoint)
    assert line.submit([_comparison("quick")], time.monotonic() - 1).result(timeout=30) == [LATE]
    assert endpoint.asked == []
    line.close()
