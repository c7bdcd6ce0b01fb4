"""Bytes that are hardly HTTP, and bodies of hundreds of megabytes: answered or closed, never held."""

from __future__ import annotations

import json
import random
import re
import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest
from tests.serve.hostile_bodies import garbled
from tests.serve.running import Running, serving, until, values, words
from tests.serve.watching import resident

from omnireward.judges.reward import RewardJudge

PATIENCE = 60.0  # seconds after which a test gives up
MIB = 2**20
SENT = 300 * MIB
MOST_HELD = 64 * MIB  # ServeConfig.max_body_mb


@pytest.fixture(scope="module")
def one(judge: RewardJudge) -> Iterator[Running]:
    with serving(judge, head_seconds=2.0, body_seconds=20.0) as found:
        yield found


def _connected(one: Running) -> socket.socket:
    return socket.create_connection(("127.0.0.1", one.port), PATIENCE)


def _rest(taken: socket.socket) -> bytes:
    said = b""
    with suppress(ConnectionError):
        while piece := taken.recv(MIB):
            said += piece
    return said


@pytest.mark.slow
@pytest.mark.parametrize("chunked", [False, True], ids=["its length said", "in chunks"])
@pytest.mark.parametrize(
    ("line", "kind", "statuses"),
    [
        ("POST /v1/rewards", "application/json", {"413"}),
        ("POST /get_reward", "application/json", {"413"}),
        ("POST /v1/uploads", "application/octet-stream", {"413"}),
        ("POST /v1/rewards", "text/plain", {"415"}),
        ("POST /nowhere", "application/json", {"404"}),
        ("GET /livez", "application/json", {"200"}),
    ],
)
def test_300_mb_are_refused_without_being_held(
    one: Running, line: str, kind: str, statuses: set[str], chunked: bool
) -> None:
    """What is held for a body, thrice: as it comes, as it grows, and what the allocator keeps. Uploads go to disk."""
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {SENT}"
    head = f"{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: {kind}\r\n{length}\r\n\r\n"
    piece = b'{"prompt": "' + b"x" * (MIB - 12)
    if chunked:
        piece = b"%x\r\n%s\r\n" % (MIB, piece)
    before = most = resident()
    with _connected(one) as taken:
        taken.sendall(head.encode())
        with suppress(ConnectionError):
            for _ in range(SENT // MIB):
                taken.sendall(piece)
                most = max(most, resident())
            taken.sendall(b"0\r\n\r\n" if chunked else b"")
        said = _rest(taken)
    assert set(re.findall(r"HTTP/1\.1 (\d+) ", said.decode())) == statuses
    assert most - before < 3 * MOST_HELD
    until(lambda: one.service.slots.taken == 0)
    assert values(one.client.post("/v1/rewards", json=words("tea")))


@pytest.mark.slow
def test_what_is_hardly_http_is_answered_or_closed(one: Running, caplog: pytest.LogCaptureFixture) -> None:
    """Valid requests with some bytes changed, and the end of what is sent; 500 of them, made from their numbers."""
    body = json.dumps(words("tea")).encode()
    head = (
        b"POST /v1/rewards HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    )
    chunked = head.replace(b"Content-Length: %d", b"Transfer-Encoding: chunked")
    whole = [head % len(body) + body, chunked + b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)]
    found: set[str] = set()
    for number in range(500):
        rng = random.Random(number)
        with _connected(one) as taken:
            taken.sendall(garbled(rng, rng.choice(whole)))
            if rng.random() < 0.9:
                taken.shutdown(socket.SHUT_WR)
                said = _rest(taken)
            else:  # it goes away without a word
                continue
        found.update(re.findall(r"HTTP/1\.1 (\d+) ", said.decode()))
    assert found <= {"100", "200", "400", "404", "405", "408", "413", "415", "421", "422"}
    assert {"400", "421"} <= found
    until(lambda: one.service.slots.taken == 0 and not one.server.server_state.tasks)
    assert values(one.client.post("/v1/rewards", json=words("tea")))
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]
