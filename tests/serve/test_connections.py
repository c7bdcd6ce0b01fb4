"""Clients that send or read slowly, or open more connections than there may be: raw sockets against a real server."""

from __future__ import annotations

import json
import re
import resource
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import httpx
import pytest
from tests.serve.running import KEY, Running, serving, until, values, words

from omnireward.errors import RecipeError
from omnireward.judges.reward import RewardJudge
from omnireward.serve import connections
from omnireward.serve.connections import make_room

PATIENCE = 30.0  # seconds after which a test gives up
LIVE = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"
HEAD = 1.0  # seconds


@contextmanager
def connected(one: Running) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", one.port), PATIENCE) as taken:
        yield taken


def rest(taken: socket.socket) -> bytes:
    """All that comes until the server closes; a reset is a close, too."""
    said = b""
    try:
        while piece := taken.recv(65_536):
            said += piece
    except ConnectionResetError:
        pass
    return said


def replies(said: bytes) -> list[int]:
    """The statuses in what a server said."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", said)]


def live(taken: socket.socket) -> int:
    """The status of a probe, read to its end."""
    taken.sendall(LIVE)
    said = b""
    while not said.endswith(b"}"):
        said += taken.recv(65_536)
    (status,) = replies(said)
    return status


def error(said: bytes) -> dict[str, str]:
    found: dict[str, str] = json.loads(said.partition(b"\r\n\r\n")[2])["error"]
    return found


def closed(one: Running, why: str) -> float:
    lines = one.client.get("/metrics").text.splitlines()
    start = f'omnireward_connections_closed_total{{why="{why}"}} '
    return next((float(line.removeprefix(start)) for line in lines if line.startswith(start)), 0.0)


def dribble(taken: socket.socket, data: bytes, every: float) -> bytes:
    """Byte by byte until the server closes; what it said."""
    for i in range(len(data)):
        try:
            taken.sendall(data[i : i + 1])
            time.sleep(every)
        except OSError:
            break
    else:
        pytest.fail("the server took all of it")
    return rest(taken)


def test_a_head_that_comes_byte_by_byte_is_refused_and_holds_nobody_up(judge: RewardJudge) -> None:
    """The whole head would take 250 times 0.1 seconds; it has one."""
    head = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Long: " + b"x" * 200
    with serving(judge, head_seconds=HEAD) as one, connected(one) as slow, ThreadPoolExecutor(1) as pool:
        said = pool.submit(dribble, slow, head, 0.1)
        answered = 0
        while not said.done():
            assert values(one.client.post("/v1/rewards", json=words("tea")))
            answered += 1
        assert answered > 1
        assert replies(said.result()) in ([408], [])  # a byte that crosses the reply may reset the connection
        assert closed(one, "head") == 1


@pytest.mark.parametrize("start", [b"G", b"GET /livez HTTP/1.1\r\nHost: loc", LIVE[:-2]])
def test_half_a_head_is_answered_408(judge: RewardJudge, start: bytes) -> None:
    with serving(judge, head_seconds=HEAD) as one, connected(one) as taken:
        taken.sendall(start)
        said = rest(taken)
    assert replies(said) == [408]
    assert error(said) == {"kind": "slow", "message": "the request's head took longer than 1 seconds.", "field": ""}


def test_a_connection_that_says_nothing_is_closed_without_a_word(judge: RewardJudge) -> None:
    """A client that sent a request at this moment would take a 408 for its answer."""
    with serving(judge, head_seconds=HEAD) as one, connected(one) as taken:
        assert rest(taken) == b""
        assert closed(one, "head") == 1


def test_the_next_head_has_its_time_from_its_first_byte(judge: RewardJudge) -> None:
    with serving(judge, head_seconds=HEAD) as one, connected(one) as taken:
        assert live(taken) == 200
        time.sleep(1.5 * HEAD)  # idle for longer than a head may take, and shorter than uvicorn lets it
        assert live(taken) == 200
        taken.sendall(LIVE[:20])
        assert replies(rest(taken)) == [408]


def test_a_head_that_began_behind_another_request_is_bounded_too(judge: RewardJudge) -> None:
    with serving(judge, head_seconds=HEAD) as one, connected(one) as taken:
        taken.sendall(LIVE + LIVE + LIVE[:20])
        assert replies(rest(taken)) == [200, 200, 408]


def test_what_is_sent_at_once_is_answered_in_order(judge: RewardJudge) -> None:
    with serving(judge, head_seconds=HEAD) as one, connected(one) as taken:
        taken.sendall(LIVE * 20 + LIVE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert replies(rest(taken)) == [200] * 21


def test_a_connection_is_used_again(judge: RewardJudge) -> None:
    with serving(judge, head_seconds=HEAD) as one:
        for _ in range(3):
            assert values(one.client.post("/v1/rewards", json=words("tea")))
        assert len(one.server.server_state.connections) == 1


def test_the_rest_of_a_body_that_nobody_wants_is_not_read_for_ever(judge: RewardJudge) -> None:
    """The reply of a path that takes no body comes at once; 0.1 seconds a byte, 99 bytes would take ten."""
    with serving(judge, head_seconds=HEAD) as one, connected(one) as taken:
        taken.sendall(LIVE.replace(b"\r\n\r\n", b"\r\nContent-Length: 99\r\n\r\n"))
        assert replies(dribble(taken, b"x" * 99, 0.1)) == [200]
        assert closed(one, "head") == 1


def test_a_request_that_takes_longer_than_a_head_may_is_answered(
    judge: RewardJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = judge.model.score_both

    def slow(rows: Any) -> Any:
        time.sleep(0.6)
        return score(rows)

    monkeypatch.setattr(judge.model, "score_both", slow)
    with serving(judge, head_seconds=0.2) as one:
        assert values(one.client.post("/v1/rewards", json=words("tea")))


def test_a_client_that_does_not_read_gives_up_its_connection_and_its_place(judge: RewardJudge) -> None:
    """Replies of 8 kB, where the system keeps 4 at each end: the second request waits for the first one's reply."""
    body = json.dumps(words(*"a" * 200)).encode()
    head = (
        b"POST /v1/rewards HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    )
    with serving(judge, reply_seconds=2.0) as one, socket.socket() as taken:
        one.server.servers[0].sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)  # of what it accepts
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        taken.settimeout(PATIENCE)
        taken.connect(("127.0.0.1", one.port))
        taken.sendall((head % len(body) + body) * 4)
        until(lambda: one.service.slots.taken == 1 and any(each.flow.write_paused for each in _connections(one)))
        until(lambda: closed(one, "reply") == 1)
        until(lambda: one.service.slots.taken == 0)
        assert len(replies(rest(taken))) < 4
        assert values(one.client.post("/v1/rewards", json=words("tea")))


def _connections(one: Running) -> list[Any]:
    return list(one.server.server_state.connections)


def test_a_client_that_reads_slowly_within_its_time_gets_everything(judge: RewardJudge) -> None:
    with serving(judge) as one, socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        taken.settimeout(PATIENCE)
        taken.connect(("127.0.0.1", one.port))
        request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n"
        taken.sendall((request + b"\r\n") * 100 + request + b"Connection: close\r\n\r\n")
        time.sleep(0.5)
        assert replies(rest(taken)) == [200] * 101


def test_connections_above_the_limit_are_refused_at_once_and_those_below_it_are_served(judge: RewardJudge) -> None:
    with serving(judge, max_connections=5) as one, ExitStack() as stack:
        assert values(one.client.post("/v1/rewards", json=words("tea")))  # its connection stays
        for _ in range(4):
            stack.enter_context(connected(one))
        until(lambda: len(one.server.server_state.connections) == 5)
        above = [stack.enter_context(connected(one)) for _ in range(1000)]
        said = [rest(taken) for taken in above]
        assert {tuple(replies(one)) for one in said} == {(503,)}
        assert all(b"\r\nretry-after: 1\r\n" in one for one in said)
        assert error(said[0])["kind"] == "overloaded"
        assert len(one.server.server_state.connections) == 5
        assert values(one.client.post("/v1/rewards", json=words("tea")))
        assert closed(one, "limit") == 1000
        stack.close()
        until(lambda: len(one.server.server_state.connections) == 1)
        with httpx.Client(base_url=str(one.client.base_url)) as next_one:
            assert next_one.get("/readyz").status_code == 200


def test_a_client_that_sends_at_once_sees_why_it_was_refused(judge: RewardJudge) -> None:
    with serving(judge, max_connections=1) as one, connected(one):
        until(lambda: len(one.server.server_state.connections) == 1)
        for _ in range(20):
            reply = httpx.post(f"http://127.0.0.1:{one.port}/v1/rewards", json=words("tea" * 10_000))
            assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
        assert not one.server.server_state.tasks


def test_those_who_are_refused_and_do_not_close_are_closed(judge: RewardJudge) -> None:
    """More than the server waits for, and none of them closes."""
    with serving(judge, max_connections=1) as one, connected(one), ExitStack() as stack:
        until(lambda: len(one.server.server_state.connections) == 1)
        above = [stack.enter_context(connected(one)) for _ in range(connections._MOST_LINGERING + 20)]
        for taken in above:
            assert replies(taken.recv(65_536)) == [503]
        kind = one.server.config.http_protocol_class
        until(lambda: not kind.lingering)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # the beginning of TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n\r\n",  # no Host
        LIVE.replace(b"localhost", b"localhost\r\nHost: example.org"),
        b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000,
        LIVE.replace(b"\r\n\r\n", b"\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        LIVE.replace(b"\r\n\r\n", b"\r\nContent-Length: -1\r\n\r\n"),
        LIVE.replace(b"\r\n\r\n", b"\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n"),
        LIVE.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: gzip\r\n\r\n"),
    ],
)
def test_what_is_not_http_is_refused_in_the_form_of_every_refusal(judge: RewardJudge, said: bytes) -> None:
    with serving(judge, head_seconds=HEAD) as one, connected(one) as taken:
        taken.sendall(said)
        answer = rest(taken)
        assert replies(answer)[-1] == 400
        assert error(answer[answer.rindex(b"HTTP/1.1 ") :])["kind"] == "request"


@pytest.mark.parametrize(("pieces", "statuses"), [(9_000, [200]), (20_000, [400])])
def test_a_body_may_come_in_small_pieces_but_not_in_very_many(
    judge: RewardJudge, pieces: int, statuses: list[int]
) -> None:
    """Of one byte each: each costs the server more than a kilobyte that comes at once."""
    body = json.dumps(words("tea")).encode()
    body += b" " * (pieces - len(body))
    head = b"POST /v1/rewards HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    with serving(judge) as one, connected(one) as taken:
        taken.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(b"1\r\n%c\r\n" % byte for byte in body))
        with suppress(OSError):
            taken.sendall(b"0\r\n\r\n")
        assert replies(rest(taken)) == statuses


@pytest.mark.parametrize("pause", [0.2, 0.0])
@pytest.mark.parametrize("asked", [b"POST /v1/rewards", b"POST /nowhere", b"POST /livez", b"HEAD /livez"])
def test_a_body_that_stops_being_chunked_breaks_the_connection_and_nothing_else(
    judge: RewardJudge, asked: bytes, pause: float, caplog: pytest.LogCaptureFixture
) -> None:
    """Before its reply, in the midst of it, and after it."""
    head = asked + b" HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    with serving(judge) as one, connected(one) as taken:
        chunked, broken = b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", b"no number\r\n"
        taken.sendall(head + chunked + (b"" if pause else broken))
        time.sleep(pause)
        with suppress(OSError):
            taken.sendall(broken)
        assert set(replies(rest(taken))) <= {400, 404, 405}
        until(lambda: not one.server.server_state.tasks)
        assert one.client.get("/livez").status_code == 200
    assert "Traceback" not in caplog.text
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]


def test_what_is_not_http_after_a_head_request_is_refused_with_a_body(judge: RewardJudge) -> None:
    """The refusal is of the second, which is no HEAD."""
    with serving(judge) as one, connected(one) as taken:
        taken.sendall(LIVE.replace(b"GET", b"HEAD") + b"no request\r\n\r\n")
        answer = rest(taken)
        assert replies(answer) == [405, 400]
        assert error(answer[answer.rindex(b"HTTP/1.1 ") :])["kind"] == "request"


def test_the_host_header_does_not_choose_the_path(judge: RewardJudge) -> None:
    """A URL put together from this header and the path would have the path of a probe, which needs no key."""
    with serving(judge, (KEY,)) as one:
        for host in (b"localhost/livez?", b"localhost/livez#", b"x@localhost/livez?a=", b"[::1"):
            with connected(one) as taken:
                taken.sendall(b"GET /metrics HTTP/1.1\r\nHost: " + host + b"\r\nConnection: close\r\n\r\n")
                assert replies(rest(taken))[0] in (400, 401)


def test_the_system_is_asked_for_as_many_files_as_connections_need(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 connection, 2 requests of two files each, those that the system takes ahead, and 256 others: by hand 2309."""
    asked: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, limits: asked.append(limits))
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (1024, 1_000_000))
    make_room(1, 2)
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (1024, 2000))  # fewer, and enough for the connections
    make_room(1, 2)
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (4096, 4096))  # nothing to ask for
    make_room(1, 2)
    assert asked == [(2309, 1_000_000), (2000, 2000)]
    with pytest.raises(RecipeError, match=r"lower max_connections, or raise `ulimit -n`"):
        make_room(4000, 2)
