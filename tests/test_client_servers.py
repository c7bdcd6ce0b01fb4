"""Which server is asked: rests, probes, and that no call stays counted once it has ended, however it did."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from tests.client_scripts import Script, ok, refusal, told

from omnireward import waits
from omnireward.client import AsyncClient, CallLimits, Client
from omnireward.client.servers import MOST_ASKED, Server, Servers, Visit, rest
from omnireward.errors import CallRefusedError

SECOND = 1.0


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Of the servers, whose rests are a second after each failure."""
    found = Clock()
    monkeypatch.setattr("omnireward.client.servers.time.monotonic", found)
    monkeypatch.setattr("omnireward.client.servers.rest", lambda _failures: SECOND)
    return found


def _asked(servers: Servers, count: int = 1) -> list[Visit]:
    return [servers.take() for _ in range(count)]


def _urls(visits: list[Visit]) -> list[str]:
    return [visit.server.url[-1] for visit in visits]


def _ended(servers: Servers, *visits: Visit) -> None:
    for visit in visits:
        servers.give_back(visit)


def _fallen_ill(servers: Servers, asked: float = 0.0) -> Visit:
    """The first server has failed; the visit is over."""
    (visit,) = _asked(servers)
    assert servers.failed(visit, asked)
    _ended(servers, visit)
    return visit


@pytest.fixture
def two(clock: Clock) -> Servers:
    return Servers("http://a,http://b")


def test_an_ill_server_gets_one_call_at_a_time_until_it_answers(two: Servers, clock: Clock) -> None:
    _fallen_ill(two)
    assert _urls(_asked(two, 4)) == ["b"] * 4
    clock.now += SECOND
    probe, *others = _asked(two, 5)
    assert _urls([probe, *others]) == ["a", *"bbbb"]
    two.answered(probe)
    _ended(two, probe)
    assert _urls(_asked(two, 8)) == ["a"] * 8  # b has eight calls under way


def test_a_probe_that_came_to_nothing_is_followed_by_another(two: Servers, clock: Clock) -> None:
    _fallen_ill(two)
    clock.now += SECOND
    other, probe = _asked(two, 2)  # b was not asked for longer
    assert _urls([other, probe]) == ["b", "a"]
    assert two.failed(probe, 0.0)
    _ended(two, other, probe)
    assert probe.server.failures == 2
    assert _urls(_asked(two, 2)) == ["b", "b"]
    clock.now += SECOND
    assert _urls(_asked(two, 3)) == ["a", "b", "b"]


def test_calls_that_hang_since_a_server_fell_ill_keep_nobody_from_trying_it_again(two: Servers, clock: Clock) -> None:
    """Of 16 calls, a has eight when one fails, and seven of them never end; b's do."""
    visits = _asked(two, 16)
    failed = next(visit for visit in visits if visit.server.url == "http://a")
    assert two.failed(failed, 0.0)
    _ended(two, failed, *(visit for visit in visits if visit.server.url == "http://b"))
    clock.now += SECOND
    assert _urls(_asked(two, 3)) == ["a", "b", "b"]


def test_calls_that_fail_together_are_one_failure(two: Servers) -> None:
    visits = _asked(two, 6)
    for visit in visits:
        if visit.server.url == "http://a":
            two.failed(visit, 0.0)
    assert visits[0].server.failures == 1


def test_what_a_server_asked_for_holds_though_others_are_answered_meanwhile(two: Servers, clock: Clock) -> None:
    early, _, late = _asked(two, 3)  # a, b, a
    assert two.failed(late, 30.0)
    two.answered(early)
    _ended(two, early, late)
    clock.now += 29.0
    assert _urls(_asked(two, 3)) == ["b"] * 3
    clock.now += 1.0
    assert _urls(_asked(two)) == ["a"]


def test_a_longer_request_while_it_rests_is_kept_and_a_shorter_one_takes_nothing_away(
    two: Servers, clock: Clock
) -> None:
    first, _, second, _, third = _asked(two, 5)
    for visit, asked in ((first, 2.0), (second, 30.0), (third, 1.0)):
        assert two.failed(visit, asked)
    assert first.server.rest(clock.now) == 30.0


def test_no_server_has_itself_be_passed_over_for_ever(two: Servers, clock: Clock) -> None:
    ill = _fallen_ill(two, asked=1e9)
    assert ill.server.rest(clock.now) == MOST_ASKED
    clock.now += MOST_ASKED
    assert "a" in _urls(_asked(two, 2))


def test_a_rest_has_a_floor_that_doubles_and_a_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    """From half a second: 0.5 * 2 ** (failures - 1), as long as up to as much again stays within 30."""
    for end, factor in ((min, 1), (max, 2)):
        monkeypatch.setattr("omnireward.client.servers.uniform", lambda low, high, end=end: end(low, high))
        floors = [0.5, 1, 2, 4, 8, 15, 15]
        assert [rest(failures) for failures in range(1, 8)] == [factor * floor for floor in floors]
        assert rest(10_000) == factor * 15


def test_a_wait_after_very_many_tries_is_the_longest() -> None:
    assert waits.drawn(10_000, lambda _low, high: high) == waits.LONGEST


def test_a_server_that_refuses_a_request_does_answer() -> None:
    client = Client("http://a,http://b", "", transport=httpx.MockTransport(Script(refusal(422))))
    (server, _) = client._servers._servers
    server.failures = 1
    with client, pytest.raises(CallRefusedError):
        client.rewards("x", ["y"])
    assert server.failures == 0


class Interrupt(BaseException):
    """As KeyboardInterrupt, which pytest would take for its own."""


def _counts(servers: list[Server]) -> list[tuple[int, Visit | None]]:
    return [(server.calls, server.probe) for server in servers]


def test_a_call_that_is_interrupted_is_not_under_way_any_more() -> None:
    with Client("http://a,http://b", "", transport=httpx.MockTransport(Script(Interrupt()))) as client:
        servers = client._servers._servers
        servers[0].failures = 1  # so that it is a probe
        with pytest.raises(Interrupt):
            client.rewards("x", ["y"])
        assert _counts(servers) == [(0, None)] * 2


def test_a_call_that_is_cancelled_is_not_under_way_any_more() -> None:
    async def run() -> None:
        begun = asyncio.Event()

        async def never(_request: httpx.Request) -> httpx.Response:
            begun.set()
            await asyncio.Event().wait()
            raise AssertionError

        async with AsyncClient("http://a,http://b", "", transport=httpx.MockTransport(never)) as client:
            servers = client._servers._servers
            servers[0].failures = 1
            call = asyncio.ensure_future(client.rewards("x", ["y"]))
            await begun.wait()
            assert servers[0].calls == 1
            assert servers[0].probe is not None
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            assert _counts(servers) == [(0, None)] * 2

    asyncio.run(run())


class Numbered(BaseHTTPRequestHandler):
    """Rewards are the number of the connection, of those that the server had."""

    protocol_version = "HTTP/1.1"
    connections = 0
    held, hold = threading.Event(), threading.Event()

    def setup(self) -> None:
        type(self).connections += 1
        self.number = self.connections
        super().setup()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if b'"hold"' in body:
            self.held.set()
            self.hold.wait(20)
        request = httpx.Request("POST", "http://a", headers={"X-Omnireward-Id": self.headers["X-Omnireward-Id"]})
        reply = told(request, ok(float(self.number)))
        self.send_response(200)
        self.send_header("Content-Length", str(len(reply.content)))
        self.end_headers()
        self.wfile.write(reply.content)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _numbered() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Numbered)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _in_a_child(client: Client) -> float:
    """The reward that a forked process gets. It ends by itself, without what pytest has to do at the end."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        try:
            signal.alarm(20)
            os.write(theirs, str(client.rewards("x", ["y"])[0]).encode())
        finally:
            os._exit(0)
    os.close(theirs)
    with os.fdopen(ours) as said:
        found = said.read()
    os.waitpid(child, 0)
    return float(found or "nan")


def test_a_forked_process_has_connections_and_room_of_its_own() -> None:
    """The parent's first connection is idle and its second under way, with all room taken, when it forks."""
    with _numbered() as url, Client(url, "", CallLimits(concurrency=1)) as client:
        assert client.rewards("x", ["y"]) == [1.0]
        assert _in_a_child(client) == 2.0
        waiting = threading.Thread(target=client.rewards, args=("x", ["hold"]))
        waiting.start()
        assert Numbered.held.wait(20)
        try:
            assert _in_a_child(client) == 3.0
        finally:
            Numbered.hold.set()
            waiting.join()
        assert client.rewards("x", ["y"]) == [1.0]
        assert client._servers._servers[0].calls == 0
