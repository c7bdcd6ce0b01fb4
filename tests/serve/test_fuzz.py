"""Ten thousand hostile requests to one server: each is answered in a documented form, and nothing is left behind.

Every request is made from its number, so a failure can be made again. What they are: `hostile_bodies`, `hostile_media`.
"""

from __future__ import annotations

import gc
import http.client
import json
import math
import random
import socket
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from tests.serve import hostile_bodies as bodies
from tests.serve import hostile_media as media
from tests.serve import hostile_places as naming
from tests.serve.hostile_bodies import Wire
from tests.serve.protocols.plain import fractions
from tests.serve.running import Running, part_body, serving, until, values, words
from tests.serve.watching import Opened, resident, seen

from omnireward.judges.reward import RewardJudge
from omnireward.serve import replies
from omnireward.types import Media

pytestmark = pytest.mark.slow
pytest.importorskip("trimesh")

REQUESTS = 10_000
CLIENTS = 8
PATIENCE = 100.0  # seconds within which each request is answered; one medium may take 60 of processor time
MOST_GROWTH = 50 * 2**20  # bytes of memory between the first half and the second
LOCAL = ("127.0.0.0/8",)
ERROR = {"kind", "message", "field"}

_SEEDS = bodies.seeds()
_KEYS = bodies.keys_of([body for _, body in _SEEDS])
_REPLY: dict[str, TypeAdapter[Any]] = {
    "/v1/rewards": TypeAdapter(replies.RewardsReply),
    "/v1/judgements": TypeAdapter(replies.JudgementReply),
}


def wire(number: int, real: Sequence[media.Sent], places: Sequence[str]) -> Wire:
    """The request of a number: always the same."""
    rng = random.Random(number)
    path, body = rng.choice(_SEEDS)
    kind = rng.choices(["values", "text", "bytes", "way", "medium", "upload", "place"], [40, 15, 10, 8, 17, 3, 7])[0]
    if kind == "values":
        body = bodies.mutated(rng, body, _KEYS)
    elif kind == "medium":
        path, body = bodies.around(media.damaged(rng, _one(rng, real), real), rng)
    elif kind == "place":
        path, body = naming.naming(rng.choice(places), rng)
    elif kind == "upload":
        one = media.damaged(rng, _one(rng, real), real)
        return Wire("/v1/uploads", one.data, one.what, {"Content-Type": "application/octet-stream"})
    if kind == "text":
        return Wire(path, bodies.texted(rng, body), f"{kind} {number}")
    found = Wire(path, json.dumps(body).encode(), f"{kind} {number}")
    if kind == "bytes":
        return Wire(path, bodies.garbled(rng, found.body), found.what)
    return bodies.enveloped(rng, found) if kind == "way" else found


def _one(rng: random.Random, real: Sequence[media.Sent]) -> media.Sent:
    """Seldom a mesh: drawing one takes a hundred times as long as reading a picture."""
    return rng.choices(real, [1 if one.kind == "mesh" else 20 for one in real])[0]


@dataclass
class Client:
    """Sends on one connection as long as it lives, and looks at what comes back."""

    port: int
    wrong: list[str]
    statuses: Counter[int] = field(default_factory=Counter)
    _connection: http.client.HTTPConnection | None = None

    def __call__(self, one: Wire) -> bytes:
        try:
            return self._asked(one)
        except (http.client.HTTPException, ConnectionError):
            self.close()  # a connection that was idle for long: once more, on a new one
            return self._asked(one)

    def _asked(self, one: Wire) -> bytes:
        self._connection = self._connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        self._send(self._connection, one)
        if one.cut is not None:
            self.close()
            return b""
        reply = self._connection.getresponse()
        body = reply.read()
        if reply.will_close:
            self.close()
        self.statuses[reply.status] += 1
        if problem := wrong(one, reply.status, reply.headers, body):
            self.wrong.append(f"{one.what}: POST {one.path} {one.body[:300]!r}: {problem}: {body[:300]!r}")
        return body

    def _send(self, connection: http.client.HTTPConnection, one: Wire) -> None:
        connection.putrequest("POST", one.path, skip_host=True, skip_accept_encoding=True)
        for name, value in {"Host": "localhost", **one.headers}.items():
            connection.putheader(name, value.encode("latin-1"))
        if not one.chunked:
            connection.putheader("Content-Length", str(len(one.body)))
            connection.endheaders()
            with suppress(ConnectionError):  # it was refused before all of it was sent: the reply says why
                connection.send(one.body[: one.cut])
            return
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        for start in range(0, len(one.body), 7):
            piece = one.body[start : start + 7]
            connection.send(b"%x;x=y\r\n%s\r\n" % (len(piece), piece))
        connection.send(b"0\r\nX-Trailer: 1\r\n\r\n")

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def wrong(one: Wire, status: int, headers: http.client.HTTPMessage, body: bytes) -> str:
    """What is not as documented in a reply; nothing if all is."""
    late = status == 504 and b"deadline_s" in one.body  # the request itself asked for less time
    if not (200 <= status < 500 or status == 503 or late):
        return f"status {status}"
    if "x-request-id" not in headers or headers["content-type"] != "application/json":
        return f"headers {headers.items()}"
    if b"root:" in body or b"Traceback" in body or b"site-packages" in body:
        return "it tells too much"
    try:
        reply = json.loads(body, parse_constant=lambda name: pytest.fail(name))
    except ValueError:
        return "not JSON"
    if status >= 400:
        error = reply.get("error")
        good = isinstance(error, dict) and error.keys() - {"problems"} == ERROR and error["kind"] != "failed"
        return "" if good and error["message"] and reply["id"] else "not an error's form"
    return _wrong_reply(one.path, reply)


def _wrong_reply(path: str, reply: Any) -> str:
    if path in _REPLY:
        _REPLY[path].validate_python(reply, strict=True, extra="forbid")
        found = [*(one for row in reply.get("rewards", []) for one in row), reply]
        if any(one["problem"]["kind"] == "failed" for one in found if "problem" in one):
            return "a fault"
    elif path == "/flow_grpo":
        if any(
            (score is None) == (error is None) for score, error in zip(reply["scores"], reply["errors"], strict=True)
        ):
            return "a score and an error"
    elif path == "/score" and "results" in reply:
        both = zip(reply["results"], reply["errors"], strict=True)
        if any(scores.keys() & errors.keys() for scores, errors in both):
            return "a score and an error"
    return "" if all(math.isfinite(number) for number in fractions(reply)) else "a number that is none"


class Elsewhere(BaseHTTPRequestHandler):
    """A server from which media may be fetched; it tries to send those who come to other places."""

    def do_GET(self) -> None:
        where = self.path.partition("?")
        self.send_response(302 if where[1] or self.path == "/loop" else 200)
        if where[1] or self.path == "/loop":
            self.send_header("Location", where[2] or "/loop")
        self.end_headers()
        self.wfile.write(b"no medium")

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def allowed() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # of clients that have gone
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def forbidden() -> Iterator[socket.socket]:
    """A port at which nobody may knock."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        taken.settimeout(0)
        yield taken


def everything(real: Sequence[media.Sent]) -> dict[str, Any]:
    """A request with a medium of each kind."""
    parts = [[part_body(Media(one.kind, one.data))] for one in real if one.what in ("JPEG", "MP4", "WAV", "GLB")]
    assert len(parts) == 4
    return words("tea", "a long coffee", prompt="<image> What is it? <|im_end|>") | {"responses": [*parts, "tea"]}


def files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def sent(one: Running, wires: Sequence[Wire]) -> Counter[int]:
    """All of them by several clients; what was wrong fails the test."""
    wrong: list[str] = []
    clients = [Client(one.port, wrong) for _ in range(CLIENTS)]
    left = iter(wires)
    lock = threading.Lock()

    def work(client: Client) -> None:
        while True:
            with lock:
                mine = next(left, None)
            if mine is None:
                return client.close()
            client(mine)

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(work, clients))
    assert not wrong, f"{len(wrong)} of {len(wires)}:\n" + "\n".join(wrong[:12])
    until(lambda: one.service.slots.taken == 0)
    gc.collect()
    return sum((client.statuses for client in clients), Counter())


def test_ten_thousand_hostile_requests(
    judge: RewardJudge, tmp_path: Path, allowed: str, forbidden: socket.socket
) -> None:
    real = media.real()
    (tmp_path / "secret.png").write_bytes(real[0].data)
    places = [
        place.replace("HERE", str(tmp_path))
        .replace("PORT", str(forbidden.getsockname()[1]))
        .replace("ALLOWED", allowed)
        for place in naming.PLACES
    ]
    opened = Opened(tmp_path) if sys.platform == "linux" else None
    named = [*media.bombs(), *media.naming([places[0], places[1], places[4], places[15]])]
    special = [
        Wire(*_with(body), f"bomb or name: {one.what}")
        for i, one in enumerate(named)
        for body in [bodies.around(one, random.Random(i))]
    ]
    special += bodies.hard()
    hosts = [Wire(*_with(naming.naming(place, random.Random(i))), place) for i in range(3) for place in places]
    wires = [wire(number, real, places) for number in range(REQUESTS - len(special) - len(hosts))]
    half = len(wires) // 2
    with seen() as done, serving(judge) as one:
        first = values(one.client.post("/v1/rewards", json=everything(real)))
        statuses = sent(one, [*special, *wires[:half]])
        before = files(), threading.active_count(), resident()
        statuses += sent(one, wires[half:])
        until(lambda: files() <= before[0] and threading.active_count() <= before[1])
        assert resident() - before[2] < MOST_GROWTH
        assert values(one.client.post("/v1/rewards", json=everything(real))) == pytest.approx(first, abs=1e-5)
        with serving(judge, media_hosts=(allowed,), media_networks=LOCAL, fetch_seconds=5.0) as other:
            statuses += sent(other, hosts)
            ports = {one.port, other.port, int(allowed.rpartition(":")[2])}
    assert {200, 201, 400, 415, 421, 422} <= statuses.keys()
    assert {address[1] for address in done.connected} <= ports
    assert done.looked_up <= {"127.0.0.1"}
    assert not [path for path in done.opened if "secret" in path or "passwd" in path]
    with pytest.raises(BlockingIOError):
        forbidden.accept()
    if opened is not None:
        assert opened.names() == []
        (tmp_path / "secret.png").read_bytes()
        assert opened.names() == ["secret.png"]  # it would have been seen
        opened.close()


def _with(found: tuple[str, dict[str, Any]]) -> tuple[str, bytes]:
    path, body = found
    return path, json.dumps(body).encode()
