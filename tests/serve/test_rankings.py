"""`/v1/rankings`: responses to one prompt ranked by a judge that compares, through the same line as all else."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from tests.calls.scripted import Scripted, words_of
from tests.serve.running import Running, part_body, picture, serving, until, words

from omnireward.client import AsyncClient, Client, Ranked
from omnireward.client.replies import read_ranking
from omnireward.errors import CallFailedError
from omnireward.judges import JudgeOptions, open_judge
from omnireward.ranking import Strength
from omnireward.serve.asking import Problem
from omnireward.types import Comparison, Judgement, Text

LENGTHS = [5, 2, 8, 1, 7, 3, 6, 4]
RESPONSES = ["x" * length for length in LENGTHS]


def _ranked(one: Running, **body: Any) -> dict[str, Any]:
    reply = one.client.post("/v1/rankings", json=words(*RESPONSES) | body)
    assert reply.status_code == 200, reply.text
    assert reply.json()["revision"] == one.service.judge.fingerprint
    found: dict[str, Any] = reply.json()["ranking"]
    return found


def _values(found: dict[str, Any]) -> list[float]:
    return [strength["value"] for strength in found["strengths"]]


def _refusal(one: Running, status: int, **body: Any) -> str:
    reply = one.client.post("/v1/rankings", json=words(*RESPONSES) | body)
    assert reply.status_code == status, reply.text
    return str(reply.json()["error"]["message"])


def test_the_order_of_eight_is_found_in_at_most_seventeen_comparisons(longer: Running) -> None:
    found = _ranked(longer)
    values = _values(found)
    assert sorted(range(8), key=values.__getitem__) == sorted(range(8), key=LENGTHS.__getitem__)
    assert sum(values) == pytest.approx(0, abs=1e-6)
    assert found["calls"] <= 17
    assert (found["failed"], found["without_verdict"]) == (0, 0)


def test_another_schedule_both_orders_and_a_reference(longer: Running) -> None:
    found = _ranked(longer, responses=RESPONSES[:4], schedule="all", order="both", reference="xxx")
    assert found["calls"] == 20  # five players, every pair in both orders
    values = _values(found)
    assert values[1] < found["reference"]["value"] < values[0] < values[2]


def test_equal_responses_share_a_number_and_one_alone_has_none(longer: Running) -> None:
    values = _values(_ranked(longer, responses=["xx", "x", "xx"]))
    assert values[0] == values[2] > values[1]
    (alone,) = _ranked(longer, responses=["x"])["strengths"]
    assert alone["problem"]["kind"] == "failed"
    assert "no other response" in alone["problem"]["message"]


def test_media_are_sent_as_everywhere(longer: Running) -> None:
    found = _ranked(longer, responses=[[part_body(picture(colour))] for colour in (10, 200)])
    assert found["calls"] == 1
    fault = _refusal(longer, 422, responses=[[{"type": "image", "base64": "?"}], "x"])
    assert "base64" in fault


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"responses": ["x"] * 13}, 413, "13 responses"),
        ({"responses": ["x"] * 12, "reference": "x"}, 413, "13 responses"),
        ({"responses": ["x"] * 129}, 422, "at most 128"),
        ({"schedule": "all", "order": "both"}, 413, "up to 56 comparisons in this way; at most 40"),
        ({"responses": ["x" * 150] * 8}, 413, "5,304 characters"),  # 17 times two of 150 and a prompt of 12
        ({"schedule": "swiss", "calls": 3}, 422, "cannot connect 8"),
        ({"calls": 9}, 422, "reads no `calls`"),
        ({"schedule": "os.path"}, 422, "Input should be"),
        ({"responses": []}, 422, "at least 1"),
        ({"pairs": True}, 422, "not permitted"),
        ({"seed": -1}, 422, "greater than or equal"),
        ({"calls": 10**30, "schedule": "swiss"}, 422, "less than or equal"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else str(value)[:20],
)
def test_what_is_too_much_or_cannot_be_meant_is_refused(
    longer: Running, body: dict[str, Any], status: int, said: str
) -> None:
    assert said in _refusal(longer, status, **body)


def test_a_reward_model_has_nothing_to_compare(running: Running) -> None:
    assert "ask /v1/rewards" in _refusal(running, 501)


@dataclass
class Patient:
    """The longer one wins; from `held` on, comparisons wait for `go`."""

    fingerprint: str = "patient"
    held: int = 0
    judged: int = 0
    busy: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)

    def __call__(self, comparisons: Sequence[Comparison]) -> list[Judgement]:
        found = []
        for one in comparisons:
            self.judged += 1
            if self.judged > self.held:
                self.busy.set()
                assert self.go.wait(30)
            (a,), (b,) = one.response_a, one.response_b
            assert isinstance(a, Text) and isinstance(b, Text)  # noqa: PT018
            found.append(Judgement(float(len(a.text) - len(b.text))))
        return found


@pytest.fixture
def serve_patient() -> Iterator[Callable[[int], tuple[Patient, Running]]]:
    opened = []

    def start(held: int) -> tuple[Patient, Running]:
        judge = Patient(held=held)
        context = serving(judge, name="my.patient")
        opened.append((judge, context))
        return judge, context.__enter__()

    yield start
    for judge, context in opened:
        judge.go.set()
        context.__exit__(None, None, None)


def test_what_was_found_by_the_deadline_is_the_ranking(
    serve_patient: Callable[[int], tuple[Patient, Running]],
) -> None:
    """The first comparison of three responses is judged, so one of them is compared with nobody."""
    judge, one = serve_patient(1)
    begun = time.monotonic()
    found = _ranked(one, responses=["x", "xx", "xxx"], schedule="anchor", deadline_s=1.0)
    assert time.monotonic() - begun < 10
    judge.go.set()
    assert found["failed"] >= 1
    kinds = [strength["problem"]["kind"] for strength in found["strengths"] if "problem" in strength]
    assert kinds == ["deadline"] * len(kinds) != []


def test_nothing_more_is_asked_for_a_client_that_has_gone(
    serve_patient: Callable[[int], tuple[Patient, Running]],
) -> None:
    judge, one = serve_patient(0)
    with pytest.raises(httpx.ReadTimeout):
        one.client.post("/v1/rankings", json=words(*RESPONSES), timeout=0.5)
    until(lambda: one.service.slots.taken == 0)
    judge.go.set()
    until(lambda: not one.service._rankings._asking)  # type: ignore[union-attr]
    time.sleep(0.1)
    assert judge.judged <= 4  # the first round of eight, at most
    assert _ranked(one)["failed"] == 0


def test_rankings_beside_each_other_and_judgements_share_the_line(
    serve_patient: Callable[[int], tuple[Patient, Running]],
) -> None:
    judge, one = serve_patient(0)
    judge.go.set()
    body = words("x") | {"response_a": "xx", "response_b": "x"}
    del body["responses"]
    with ThreadPoolExecutor(12) as pool:
        rankings = [pool.submit(_ranked, one, seed=seed) for seed in range(10)]
        judged = [pool.submit(one.client.post, "/v1/judgements", json=body) for _ in range(6)]
        for future in rankings:
            values = _values(future.result())
            assert sorted(range(8), key=values.__getitem__) == sorted(range(8), key=LENGTHS.__getitem__)
        assert {future.result().json()["judgement"]["margin"] for future in judged} == {1.0}


def test_a_judge_that_waits_for_an_endpoint_is_asked_a_round_at_once() -> None:
    def says(body: dict[str, Any]) -> str:
        said = words_of(body)
        first, second = (said.partition(f"<response-{side}-")[2].partition("\n")[2].partition("\n")[0] for side in "ab")
        return f"VERDICT: {'A' if len(first) > len(second) else 'B'}"

    with Scripted(says, latency=0.02) as endpoint:
        options = JudgeOptions(base_url=endpoint.url, samples=2, swap_half=True)
        with serving(open_judge("api:m", options), name="api:m") as one:
            found = _ranked(one, schedule="all")
            assert (found["calls"], endpoint.requests) == (28, 56)
            assert endpoint.most_under_way > 4
    values = _values(found)
    assert sorted(range(8), key=values.__getitem__) == sorted(range(8), key=LENGTHS.__getitem__)


def test_the_client_reads_what_the_server_found(longer: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnireward.client.wire._INLINE_BYTES", 0)  # media are uploaded ahead
    found = _ranked(longer)
    with Client(str(longer.client.base_url)) as client:
        ranked = client.rank("Which drink?", RESPONSES)
        (alone,) = client.rank("Which drink?", [(picture(3),)]).strengths
    values = [one.value for one in ranked.strengths if isinstance(one, Strength)]
    assert values == _values(found)
    assert (ranked.calls, ranked.failed, ranked.without_verdict) == (found["calls"], 0, 0)
    assert isinstance(alone, Problem)

    async def in_a_loop() -> Ranked:
        async with AsyncClient(str(longer.client.base_url)) as client:
            return await client.rank("Which drink?", RESPONSES)

    assert asyncio.run(in_a_loop()) == ranked


SOUND: dict[str, Any] = {
    "strengths": [{"value": 0.5, "standard_error": 1.0}, {"problem": {"kind": "failed", "message": "why."}}],
    "calls": 1,
    "failed": 0,
    "without_verdict": 0,
}


@pytest.mark.parametrize(
    "said",
    [
        {"strengths": SOUND["strengths"][:1]},
        {"strengths": [{"value": 0.5}, SOUND["strengths"][1]]},
        {"strengths": [{"value": float("nan"), "standard_error": 1.0}, SOUND["strengths"][1]]},
        {"strengths": [{"value": 0.5, "standard_error": -1.0}, SOUND["strengths"][1]]},
        {"strengths": [None, SOUND["strengths"][1]]},
        {"calls": -1},
        {"failed": True},
        {"without_verdict": None},
    ],
    ids=str,
)
def test_the_client_believes_no_ranking_that_cannot_be(said: dict[str, Any]) -> None:
    sound = read_ranking({"ranking": SOUND}, 2)
    assert sound.strengths == (Strength(0.5, 1.0), Problem("failed", "why."))
    with pytest.raises(CallFailedError, match="the server sent"):
        read_ranking({"ranking": {**SOUND, **said}}, 2)
