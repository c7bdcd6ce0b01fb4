"""The client: what it sends, how often it tries, and that nothing but a finite number ever becomes a reward."""

from __future__ import annotations

import asyncio
import base64
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.client_scripts import URL, Hosts, Script, Step, ok, refusal, told

from omnireward.client import AsyncClient, CallLimits, Client
from omnireward.errors import CallError, CallFailedError, CallRefusedError, PromptError, RecipeError
from omnireward.serve.asking import Ask, Problem, Reward
from omnireward.types import Comparison, Judgement, Media, Text, Turn

PROMPT = (Turn("user", (Text("Name a colour."),)),)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits, none of which is waited for."""
    waits: list[float] = []

    async def nap(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr("omnireward.client.calls.sleep", waits.append)
    monkeypatch.setattr("omnireward.client.calls.nap", nap)
    return waits


Run = Callable[..., list[Reward]]


def _waiting(script: Script, responses: Sequence[str] = ("Red.",), **limits: Any) -> list[Reward]:
    with Client(URL, "", CallLimits(**limits), httpx.MockTransport(script)) as client:
        return client.rewards("Name a colour.", responses)


def _looping(script: Script, responses: Sequence[str] = ("Red.",), **limits: Any) -> list[Reward]:
    async def run() -> list[Reward]:
        async with AsyncClient(URL, "", CallLimits(**limits), httpx.MockTransport(script)) as client:
            return await client.rewards("Name a colour.", responses)

    return asyncio.run(run())


@pytest.fixture(params=[_waiting, _looping], ids=["Client", "AsyncClient"])
def run(request: pytest.FixtureRequest, slept: list[float]) -> Run:
    found: Run = request.param
    return found


def test_a_reward_or_a_problem_comes_back_for_each_response_in_order(run: Run) -> None:
    script = Script(ok(0.5, {"problem": {"kind": "media", "message": "broken."}}, -2))
    assert run(script, ("a", "b", "c")) == [0.5, Problem("media", "broken."), -2.0]
    (body,) = script.bodies
    assert body == {
        "prompt": [{"role": "user", "content": "Name a colour."}],
        "responses": ["a", "b", "c"],
        "criterion": "",
    }
    assert script.sent[0].url == f"{URL}/v1/rewards"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again_with_the_same_bytes(run: Run, slept: list[float], status: int) -> None:
    script = Script(refusal(status), refusal(status), ok(1.0))
    assert run(script) == [1.0]
    assert len({request.content for request in script.sent}) == 1
    assert len(script.sent) == 3
    assert len(slept) == 2


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.ReadError("cut")])
def test_a_broken_connection_is_tried_again(run: Run, error: Exception) -> None:
    assert run(Script(error, ok(1.0))) == [1.0]


@pytest.mark.parametrize("status", [301, 400, 401, 404, 413, 415, 422, 501])
def test_what_cannot_pass_is_tried_once(run: Run, slept: list[float], status: int) -> None:
    script = Script(refusal(status, {"Location": "http://127.0.0.1:9/"}, "the reason."), ok(1.0))
    with pytest.raises(CallRefusedError, match=f"HTTP {status}: the reason. The same request would be refused"):
        run(script)
    assert len(script.sent) == 1
    assert slept == []


def test_tries_have_a_ceiling(run: Run) -> None:
    script = Script(refusal(503, said="starting"))
    with pytest.raises(CallFailedError, match=r"no answer in 4 of 4 tries.*HTTP 503: starting"):
        run(script, tries=4)
    assert len(script.sent) == 4


def test_retry_after_is_kept(run: Run, slept: list[float]) -> None:
    """The client's own wait before a second try is at most half a second."""
    assert run(Script(refusal(429, {"Retry-After": "7"}), ok(1.0))) == [1.0]
    assert slept == [7.0]


@pytest.mark.parametrize("asked", ["3600", "1e300"])
def test_a_wait_longer_than_the_time_that_is_left_ends_the_call(run: Run, slept: list[float], asked: str) -> None:
    with pytest.raises(CallFailedError, match="no answer in 1 of 5 tries and at most 60 s"):
        run(Script(refusal(429, {"Retry-After": asked}), ok(1.0)), patience=60)
    assert slept == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[0.5]",
        b"<html>",
        b"[" * 100_000,
        b'{"rewards": [0.5]}',
        b'{"rewards": [[0.5]]}',
        b'{"rewards": [[]]}',
        b'{"rewards": [[{"value": 0.5}, {"value": 0.5}]]}',
        b'{"rewards": [[{"value": 0.5}], [{"value": 0.5}]]}',
        b'{"rewards": [[{"value": null}]]}',
        b'{"rewards": [[{"value": "0.5"}]]}',
        b'{"rewards": [[{"value": true}]]}',
        b'{"rewards": [[{"value": NaN}]]}',
        b'{"rewards": [[{"value": -Infinity}]]}',
        b'{"rewards": [[{"value": 1e999}]]}',
        b'{"rewards": [[{"value": 1' + b"0" * 400 + b"}]]}",
        b'{"rewards": [[{"problem": {"kind": "unheard of"}}]]}',
        b'{"rewards": [[{"problem": null}]]}',
        b'{"rewards": [[{"value": 0.5}]], "raw": false}',
        b'{"rewards": [[{"value": 0.5}]], "raw": null}',
        b'{"rewards": [[{"value": 0.5}]], "raw": 1}',
        b'{"rewards": [[{"value": 0.5}]], "revision": null}',
        b'{"rewards": [[{"value": 0.5}]], "revision": ""}',
        b'{"rewards": [[{"value": 0.5}]], "id": null}',
        b'{"rewards": [[{"value": 0.5}]], "id": "another"}',
    ],
)
def test_a_reply_that_holds_anything_else_than_what_was_asked_for_is_no_number(run: Run, body: bytes) -> None:
    script = Script(httpx.Response(200, content=body))
    with pytest.raises(CallFailedError, match="the server sent"):
        run(script)
    assert len(script.sent) == 1


def test_each_try_has_an_id_of_its_own(run: Run) -> None:
    script = Script(refusal(503), refusal(503), ok(1.0))
    run(script)
    assert len({request.headers["X-Omnireward-Id"] for request in script.sent}) == 3


@pytest.mark.parametrize("told_id", ["another", ""])
def test_an_upload_whose_reply_is_to_another_request_is_an_error(monkeypatch: pytest.MonkeyPatch, told_id: str) -> None:
    monkeypatch.setattr("omnireward.client.wire._INLINE_BYTES", 0)
    script = Script(httpx.Response(201, json={"id": "kept"}, headers={"X-Omnireward-Id": told_id}))
    client = Client(URL, "", transport=httpx.MockTransport(script))
    with client, pytest.raises(CallFailedError, match="a reply to another request"):
        client.rewards("a", [(Media("image", b"1"),)])
    assert len(script.sent) == 1


@pytest.mark.parametrize(("limit", "connecting"), [(180.0, 5.0), (3.0, 3.0)])
def test_connecting_has_less_time_than_a_reply(run: Run, limit: float, connecting: float) -> None:
    script = Script(ok(1.0))
    run(script, timeout=limit)
    given = script.sent[0].extensions["timeout"]
    assert (given["connect"], given["read"]) == (connecting, limit)


def test_an_endless_reply_is_not_read_to_its_end(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnireward.client.tries._MOST_BYTES", 1000)
    with pytest.raises(CallFailedError, match="a reply of more than"):
        run(Script(httpx.Response(200, content=b" " * 1001)))


def test_the_time_of_a_try_is_for_the_whole_reply(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock jumps ten seconds whenever it is read, so each try's five are over when its reply comes."""
    clock = iter(range(0, 10_000, 10))
    monkeypatch.setattr("omnireward.client.tries.time.monotonic", lambda: float(next(clock)))
    with pytest.raises(CallFailedError, match=r"2 of 2 tries.*did not end in time"):
        run(Script(ok(1.0)), timeout=5.0, tries=2, patience=1000.0)


def test_media_are_sent_as_bytes_and_files_are_read_here(tmp_path: Path) -> None:
    file = tmp_path / "dot.png"
    file.write_bytes(b"from a file")
    script = Script(ok(1.0))
    prompt = (Turn("user", (Text("Make it red."), Media("image", file))),)
    with Client(URL, "", transport=httpx.MockTransport(script)) as client:
        client.rewards(prompt, [(Media("video", b"bytes"),)], "It should be large.")
    (body,) = script.bodies
    picture, clip = (base64.b64encode(data).decode() for data in (b"from a file", b"bytes"))
    parts = [{"type": "text", "text": "Make it red."}, {"type": "image", "base64": picture}]
    assert body["prompt"] == [{"role": "user", "content": parts}]
    assert body["responses"] == [[{"type": "video", "base64": clip}]]
    assert body["criterion"] == "It should be large."


def test_only_as_many_media_are_uploaded_ahead_as_do_not_fit_into_one_body(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """9 + 5 + 3 bytes are 17, and 8 fit: the largest goes ahead. The medium that stands twice counts once."""
    monkeypatch.setattr("omnireward.client.wire._INLINE_BYTES", 8)
    file = tmp_path / "clip.mp4"
    file.write_bytes(b"ninebytes")
    sent: list[httpx.Request] = []

    def serve(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        if request.url.path == "/v1/uploads":
            return told(request, httpx.Response(201, json={"id": "kept", "bytes": len(request.content)}))
        return told(request, ok(1.0, 2.0, 3.0))

    clip, five, three = Media("video", file), Media("image", b"bytes"), Media("audio", b"abc")
    with Client(URL, "", transport=httpx.MockTransport(serve)) as client:
        assert client.rewards((Turn("user", (clip,)),), [(five,), (three, clip), (clip,)]) == [1.0, 2.0, 3.0]
    upload, request = sent
    assert (upload.content, upload.headers["Content-Type"]) == (b"ninebytes", "application/octet-stream")
    assert request.headers["Content-Type"] == "application/json"
    body = json.loads(request.content)
    assert body["prompt"][0]["content"] == [{"type": "video", "upload": "kept"}]
    assert body["responses"][1] == [
        {"type": "audio", "base64": base64.b64encode(b"abc").decode()},
        {"type": "video", "upload": "kept"},
    ]


@pytest.mark.parametrize("reply", [{}, {"id": 7}, {"id": ""}, []])
def test_an_upload_without_an_id_is_an_error(monkeypatch: pytest.MonkeyPatch, reply: object) -> None:
    monkeypatch.setattr("omnireward.client.wire._INLINE_BYTES", 0)
    script = Script(httpx.Response(201, json=reply))
    client = Client(URL, "", transport=httpx.MockTransport(script))
    with client, pytest.raises(CallFailedError, match="a reply to an upload without its id"):
        client.rewards("a", [(Media("image", b"1"),)])


def test_frames_and_missing_files_are_errors_before_anything_is_sent(tmp_path: Path) -> None:
    script = Script(ok(1.0))
    with Client(URL, "", transport=httpx.MockTransport(script)) as client:
        with pytest.raises(PromptError, match="a video made of 2 pictures cannot be sent"):
            client.rewards("a", [(Media("video", (b"1", b"2")),)])
        with pytest.raises(FileNotFoundError):
            client.rewards("a", [(Media("video", tmp_path / "absent.mp4"),)])
    assert script.sent == []


def test_half_a_surrogate_pair_can_be_sent(run: Run) -> None:
    script = Script(ok(1.0))
    run(script, ("\ud83d",))
    assert script.bodies[0]["responses"] == ["?"]


@pytest.mark.parametrize(
    ("given", "environment", "sent"),
    [(None, "", None), (None, "secret", "Bearer secret"), ("own", "secret", "Bearer own"), ("", "secret", None)],
)
def test_the_key_is_the_one_given_or_the_environments(
    monkeypatch: pytest.MonkeyPatch, given: str | None, environment: str, sent: str | None
) -> None:
    monkeypatch.setenv("OMNIREWARD_API_KEY", environment)
    script = Script(ok(1.0))
    with Client(URL, given, transport=httpx.MockTransport(script)) as client:
        client.rewards("a", ["b"])
    assert script.sent[0].headers.get("Authorization") == sent


def _asks(count: int) -> list[Ask]:
    return [Ask(PROMPT, ((Text(str(index)),),)) for index in range(count)]


def _echo(request: httpx.Request) -> httpx.Response:
    return told(request, ok(*(float(response) for response in json.loads(request.content)["responses"])))


def test_several_prompts_come_back_in_order() -> None:
    expected = [[float(index)] for index in range(20)]
    with Client(URL, "", CallLimits(concurrency=3), httpx.MockTransport(_echo)) as client:
        assert client.ask(_asks(20)) == expected

    async def run() -> list[list[Reward]]:
        async with AsyncClient(URL, "", CallLimits(concurrency=3), httpx.MockTransport(_echo)) as client:
            return await client.ask(_asks(20))

    assert asyncio.run(run()) == expected


def test_no_more_calls_are_under_way_than_allowed() -> None:
    """Each call waits for the others that could be under way: three meet, a fourth never comes."""
    under_way = most = 0

    async def slow(request: httpx.Request) -> httpx.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        for _ in range(20):
            await asyncio.sleep(0)
        under_way -= 1
        return _echo(request)

    async def run() -> None:
        async with AsyncClient(URL, "", CallLimits(concurrency=3), httpx.MockTransport(slow)) as client:
            await asyncio.gather(*(client.rewards("a", ["1"]) for _ in range(30)))

    asyncio.run(run())
    assert most == 3


def test_one_failure_fails_all_prompts(slept: list[float]) -> None:
    def broken(request: httpx.Request) -> httpx.Response:
        return refusal(422) if b'"7"' in request.content else _echo(request)

    with Client(URL, "", transport=httpx.MockTransport(broken)) as client, pytest.raises(CallRefusedError):
        client.ask(_asks(20))

    async def run() -> None:
        async with AsyncClient(URL, "", transport=httpx.MockTransport(broken)) as client:
            await client.ask(_asks(20))

    with pytest.raises(CallRefusedError):
        asyncio.run(run())


COMPARISON = Comparison(PROMPT, (Text("Red."),), (Text("A table."),), "It should be short.")


@pytest.mark.parametrize(
    ("reply", "judgement"),
    [
        (
            {"judgement": {"margin": 1.5, "rewards": {"a": 2.0, "b": 0.5}}},
            Judgement(1.5, rewards=(2.0, 0.5)),
        ),
        (
            {
                "judgement": {
                    "margin": 0,
                    "probabilities": {"a": 0.25, "tie": 0.5, "b": 0.25},
                    "verdict": "tie",
                    "rationale": "Both.",
                }
            },
            Judgement(0.0, probabilities=(0.25, 0.5, 0.25), verdict="tie", rationale="Both."),
        ),
        ({"judgement": {"margin": None, "rationale": "?"}}, Judgement(None, rationale="?")),
        ({"problem": {"kind": "deadline", "message": "too late."}}, Judgement(None, error="deadline: too late.")),
    ],
)
def test_a_judgement_comes_back_as_it_was_made(reply: dict[str, Any], judgement: Judgement) -> None:
    script = Script(httpx.Response(200, json=reply))
    with Client(URL, "", transport=httpx.MockTransport(script)) as client:
        assert client.judge(COMPARISON) == judgement
    assert script.bodies[0] == {
        "prompt": [{"role": "user", "content": "Name a colour."}],
        "response_a": "Red.",
        "response_b": "A table.",
        "criterion": "It should be short.",
    }
    assert script.sent[0].url == f"{URL}/v1/judgements"


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"judgement": {}},
        {"judgement": {"margin": "1"}},
        {"judgement": {"margin": 1, "verdict": "c"}},
        {"judgement": {"margin": 1, "rewards": {"a": 1}}},
        {"judgement": {"margin": 1, "probabilities": {"a": 1, "tie": None, "b": 0}}},
        {"judgement": {"margin": 1, "rewards": {"a": 0, "b": 5}}},
        {"judgement": {"margin": 1, "probabilities": {"a": 7, "tie": -3, "b": -3}}},
        {"judgement": {"margin": 1, "probabilities": {"a": 0.5, "tie": 0.5, "b": 0.5}}},
        {"judgement": {"margin": 1}, "id": "another"},
        {"judgement": {"margin": 1}, "revision": None},
    ],
)
def test_a_judgement_that_is_none_is_an_error(reply: dict[str, Any]) -> None:
    script = Script(httpx.Response(200, json=reply))
    with Client(URL, "", transport=httpx.MockTransport(script)) as client, pytest.raises(CallError):
        client.judge(COMPARISON)


@pytest.mark.parametrize("limits", [{"tries": 0}, {"concurrency": 0}, {"timeout": 0}, {"patience": float("nan")}])
def test_limits_that_allow_nothing_are_refused(limits: dict[str, Any]) -> None:
    with pytest.raises(RecipeError, match=f"{next(iter(limits))} must be"):
        CallLimits(**limits)


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://host", ""])
def test_a_url_without_its_scheme_is_refused(url: str) -> None:
    with pytest.raises(RecipeError, match="begins with http"):
        Client(url)


def test_importing_the_client_loads_neither_torch_nor_a_server() -> None:
    code = "import sys, omnireward.client; print([m for m in ('torch', 'fastapi', 'pydantic') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


Several = Callable[..., list[list[Reward]]]


def _several_waiting(hosts: Hosts, count: int, **limits: Any) -> list[list[Reward]]:
    urls = [f"http://{name}" for name in hosts.scripts]
    with Client(urls, "", CallLimits(**limits), httpx.MockTransport(hosts)) as client:
        return [client.rewards("Name a colour.", ["Red."]) for _ in range(count)]


def _several_looping(hosts: Hosts, count: int, **limits: Any) -> list[list[Reward]]:
    async def run() -> list[list[Reward]]:
        urls = ",".join(f"http://{name}/" for name in hosts.scripts)
        async with AsyncClient(urls, "", CallLimits(**limits), httpx.MockTransport(hosts)) as client:
            return [await client.rewards("Name a colour.", ["Red."]) for _ in range(count)]

    return asyncio.run(run())


@pytest.fixture(params=[_several_waiting, _several_looping], ids=["Client", "AsyncClient"])
def several(request: pytest.FixtureRequest, slept: list[float]) -> Several:
    found: Several = request.param
    return found


def test_calls_go_around_servers_that_are_equally_busy(several: Several) -> None:
    hosts = Hosts(a=Script(ok(1.0)), b=Script(ok(1.0)), c=Script(ok(1.0)))
    several(hosts, 6)
    assert hosts.asked == ["a", "b", "c"] * 2


@pytest.mark.parametrize("failure", [httpx.ConnectError("refused"), refusal(503), refusal(429, {"Retry-After": "9"})])
def test_another_server_is_asked_at_once_and_the_ill_one_left_alone(
    several: Several, slept: list[float], monkeypatch: pytest.MonkeyPatch, failure: Step
) -> None:
    monkeypatch.setattr("omnireward.client.servers.rest", lambda _failures: 1e3)  # longer than this test
    hosts = Hosts(a=Script(failure), b=Script(ok(1.0)))
    assert several(hosts, 4) == [[1.0]] * 4
    assert hosts.asked == ["a", "b", "b", "b", "b"]
    assert slept == []


def test_a_server_that_is_well_again_is_asked_again(several: Several, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnireward.client.servers.rest", lambda _failures: 0.0)
    hosts = Hosts(a=Script(refusal(503), ok(1.0)), b=Script(ok(2.0)))
    assert several(hosts, 3) == [[2.0], [1.0], [2.0]]


def test_rewards_of_two_models_are_never_mixed(several: Several) -> None:
    """The servers are asked in turn, so the second call is the first that meets another model."""
    hosts = Hosts(a=Script(ok(1.0)), b=Script(ok(2.0, revision="r2")))
    with pytest.raises(CallFailedError, match=r"http://b: .* revision 'r2', .* revision 'r1', the first from http://a"):
        several(hosts, 2)
    assert hosts.asked == ["a", "b"]


def test_a_server_that_comes_back_with_another_model_is_an_error_until_there_is_a_new_client() -> None:
    script = Script(ok(1.0), ok(2.0, revision="r2"))
    with Client(URL, "", transport=httpx.MockTransport(script)) as client:
        assert client.rewards("x", ["y"]) == [1.0]
        for _ in range(2):
            with pytest.raises(CallFailedError, match="make a new client"):
                client.rewards("x", ["y"])
    with Client(URL, "", transport=httpx.MockTransport(script)) as client:
        assert client.rewards("x", ["y"]) == [2.0]


def test_a_reply_that_is_none_settles_no_model() -> None:
    script = Script(ok("none", revision="r2"), ok(1.0))
    with Client(URL, "", transport=httpx.MockTransport(script)) as client:
        with pytest.raises(CallFailedError, match="not a finite number"):
            client.rewards("x", ["y"])
        assert client.rewards("x", ["y"]) == [1.0]


def test_where_all_are_ill_tries_and_waits_are_those_of_one(several: Several, slept: list[float]) -> None:
    hosts = Hosts(a=Script(refusal(503)), b=Script(refusal(503, {"Retry-After": "7"})))
    with pytest.raises(CallFailedError, match="4 of 4 tries"):
        several(hosts, 1, tries=4)
    assert len(hosts.asked) == 4
    assert set(hosts.asked) == {"a", "b"}
    assert max(slept) >= 7


def test_the_least_busy_server_is_asked() -> None:
    """The first waits for its answer until the second has answered twice."""
    twice = asyncio.Event()
    asked: list[str] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.host)
        if request.url.host == "a":
            await twice.wait()
        elif asked.count("b") == 2:
            twice.set()
        return told(request, ok(1.0))

    async def run() -> list[list[Reward]]:
        async with AsyncClient("http://a,http://b", "", transport=httpx.MockTransport(answer)) as client:
            first = asyncio.ensure_future(client.rewards("x", ["y"]))
            await asyncio.sleep(0)
            others = [await client.rewards("x", ["y"]) for _ in range(2)]
            return [await first, *others]

    assert asyncio.run(run()) == [[1.0]] * 3
    assert sorted(asked) == ["a", "b", "b"]


def test_an_upload_is_known_to_the_server_that_has_it_and_sent_again_where_it_was_lost(
    monkeypatch: pytest.MonkeyPatch, slept: list[float]
) -> None:
    """`a` fails once the upload is there, `b` gets one of its own and has lost it when it is asked."""
    monkeypatch.setattr("omnireward.client.wire._INLINE_BYTES", 3)
    seen: list[tuple[str, str, object]] = []
    lost = iter([True, False])

    def answer(request: httpx.Request) -> httpx.Response:
        host, path = request.url.host, request.url.path
        seen.append((host, path, None if path == "/v1/uploads" else json.loads(request.content)["responses"]))
        if path == "/v1/uploads":
            return told(request, httpx.Response(201, json={"id": f"{host}{len(seen)}"}))
        if host == "a":
            return refusal(503)
        return told(request, refusal(410) if next(lost) else ok(1.0))

    monkeypatch.setattr("omnireward.client.servers.rest", lambda _failures: 1e3)
    with Client("http://a,http://b", "", transport=httpx.MockTransport(answer)) as client:
        assert client.rewards("x", [(Media("image", b"four"),)]) == [1.0]
    assert [(host, path) for host, path, _ in seen] == [
        *[("a", "/v1/uploads"), ("a", "/v1/rewards")],
        *[("b", "/v1/uploads"), ("b", "/v1/rewards")] * 2,
    ]
    assert seen[-1][2] == [[{"type": "image", "upload": "b5"}]]
