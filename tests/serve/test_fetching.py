"""Media by URL: which hosts, which addresses, where redirects may lead, and how much comes back."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from tests.serve.running import part_body, picture, serving, values, words

from omnireward.errors import RecipeError
from omnireward.judges.reward import RewardJudge
from omnireward.serve.asking import OverloadedError, RequestError
from omnireward.serve.bodies import Held
from omnireward.serve.fetching import Fetcher

LOCAL = ("127.0.0.0/8",)
FAR = 3_600.0

REFUSED = [
    "0.0.0.0",
    "10.0.0.1",
    "100.64.0.1",
    "127.0.0.1",
    "127.8.9.10",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.1",
    "192.168.1.1",
    "198.18.0.1",
    "203.0.113.5",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2001::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "fc00::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
PUBLIC = ["1.1.1.1", "8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::808:808", "2606:4700:4700::1111"]


class Site(BaseHTTPRequestHandler):
    """Answers by path; counts what it was asked."""

    asked: list[str]
    data: bytes
    other: str

    def do_GET(self) -> None:
        self.asked.append(self.path)
        path = self.path.partition("?")[0]
        if path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", {"self": "/tea", "loop": "/to/loop", "other": self.other}[path[4:]])
            self.end_headers()
        elif path.startswith("/status/"):
            self.send_error(int(path[8:]))
        else:
            self.send_response(200)
            if path == "/zipped":
                self.send_header("Content-Encoding", "gzip")
            if path == "/short":
                self.send_header("Content-Length", str(len(self.data) + 1))
            if path == "/stated":
                self.send_header("Content-Length", str(len(self.data)))
            self.end_headers()
            if path == "/slow":  # for ever, and never silent for long
                for _ in range(100):
                    self.wfile.write(b"x")
                    self.wfile.flush()
                    time.sleep(0.05)
            self.wfile.write(b"" if path == "/empty" else self.data)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture(scope="module")
def site() -> Iterator[tuple[str, type[Site]]]:
    """A web server on loopback, its ``name:port``, and what it was asked."""
    (data,) = picture(60).pieces()
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        server.handle_error = lambda *_: None  # type: ignore[method-assign]  # of clients that have gone
        other = f"http://localhost:{server.server_port}/tea"
        handler = type("Asked", (Site,), {"asked": [], "data": data, "other": other})
        server.RequestHandlerClass = handler
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"127.0.0.1:{server.server_port}", handler
        server.shutdown()
        thread.join()


def _fetcher(*hosts: str, networks: tuple[str, ...] = LOCAL, most: int = 10_000, seconds: float = 20.0) -> Fetcher:
    one = Fetcher.of(hosts, networks, most, seconds)
    assert one is not None
    return one


def _free(_size: int) -> None:
    """There is always room."""


def _fetch(fetcher: Fetcher, url: str, seconds: float = FAR, hold: Callable[[int], None] = _free) -> bytes:
    return fetcher(url, "where", time.monotonic() + seconds, hold)


def _refusal(fetcher: Fetcher, url: str, seconds: float = FAR) -> RequestError:
    with pytest.raises(RequestError) as caught:
        _fetch(fetcher, url, seconds)
    assert caught.value.field == "where"
    return caught.value


@pytest.mark.parametrize("address", REFUSED)
def test_addresses_that_are_not_public_are_not_reached(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Alone, and as the second of a name's addresses."""
    assert not _fetcher("media.example", networks=()).may_reach(address)
    found: list[Any] = [(0, 0, 0, "", (one, 80)) for one in ("8.8.8.8", address)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_args, **_more: found)
    monkeypatch.setattr(socket, "create_connection", lambda *_args: pytest.fail("it connects"))
    assert "host's address" in str(_refusal(_fetcher("media.example", networks=()), "http://media.example/x"))


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses_and_networks_that_were_named_are_reached(address: str) -> None:
    assert _fetcher("media.example", networks=()).may_reach(address)
    inside = _fetcher("media.example", networks=("10.0.0.0/8", "fc00::/7"))
    assert inside.may_reach("10.1.2.3")
    assert inside.may_reach("::ffff:10.1.2.3")
    assert inside.may_reach("fc00::7")
    assert not inside.may_reach("192.168.1.1")


def test_only_hosts_that_were_named_letter_by_letter(site: tuple[str, type[Site]]) -> None:
    name, handler = site
    port = name.partition(":")[2]
    fetcher = _fetcher(name)
    before = len(handler.asked)
    for url in (
        "http://127.0.0.1/tea",
        f"http://localhost:{port}/tea",
        f"http://127.1:{port}/tea",
        f"http://2130706433:{port}/tea",
        f"http://0x7f000001:{port}/tea",
        f"http://0177.0.0.1:{port}/tea",
        f"http://127.0.0.1.:{port}/tea",
        f"http://[::ffff:127.0.0.1]:{port}/tea",
        f"http://user@{name}/tea",
        f"http://{name}@evil.example/tea",
        f"http://evil.example#@{name}/tea",
        f"http://{name}\\@evil.example/tea",
        f"http://{name}.evil.example/tea",
        f"http://127.0.0.1:{port}x/tea",
        f"http://{name}/tea\r\nX: y",
        f"http://{name}/te a",
        f"http://１27.0.0.1:{port}/tea",
        f"ftp://{name}/tea",
        f"file://{name}/tea",
        "http:///tea",
        "http://[::1/tea",
    ):
        assert _refusal(fetcher, url).status == 422, url
    assert len(handler.asked) == before
    assert _fetch(fetcher, f"HTTP://{name}/tea?x=1#part") == handler.data
    assert handler.asked[before:] == ["/tea?x=1"]


def test_each_redirect_is_checked_like_a_url_of_its_own(site: tuple[str, type[Site]]) -> None:
    name, handler = site
    fetcher = _fetcher(name)
    assert _fetch(fetcher, f"http://{name}/to/self") == handler.data
    assert "from that host" in str(_refusal(fetcher, f"http://{name}/to/other"))
    assert "more than 3 redirects" in str(_refusal(fetcher, f"http://{name}/to/loop"))
    assert handler.asked.count("/to/loop") == 4


@pytest.mark.parametrize(
    ("path", "status", "says"),
    [
        ("/status/404", 422, "answered 404"),
        ("/status/429", 503, "answered 429"),
        ("/status/500", 503, "answered 500"),
        ("/zipped", 422, "compressed"),
        ("/empty", 422, "no bytes"),
        ("/short", 503, "IncompleteRead"),
        ("/slow", 503, "took too long"),
    ],
)
def test_what_is_not_a_whole_medium_is_refused_and_says_whether_to_try_again(
    site: tuple[str, type[Site]], path: str, status: int, says: str
) -> None:
    refusal = _refusal(_fetcher(site[0], seconds=1.0), f"http://{site[0]}{path}")
    assert (refusal.status, says in str(refusal)) == (status, True), refusal


def test_a_medium_that_is_too_large_and_a_time_that_is_over(site: tuple[str, type[Site]]) -> None:
    name, handler = site
    assert _refusal(_fetcher(name, most=len(handler.data) - 1), f"http://{name}/tea").status == 413
    assert _fetch(_fetcher(name, most=len(handler.data)), f"http://{name}/tea") == handler.data
    assert "no time was left" in str(_refusal(_fetcher(name), f"http://{name}/tea", seconds=-1))


def test_what_is_fetched_is_held_before_it_is_there(
    site: tuple[str, type[Site]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once where its size is stated. Else piece by piece: no more than one is read that there is no room for."""
    name, handler = site
    size = len(handler.data)
    monkeypatch.setattr("omnireward.serve.fetching._PIECE", size // 2)
    held: list[int] = []
    for path, pieces in (("stated", [size]), ("tea", [size // 2, size // 2, size % 2][: 2 + size % 2])):
        held.clear()
        assert _fetch(_fetcher(name), f"http://{name}/{path}", hold=held.append) == handler.data
        assert held == pieces
    room = Held(size // 2).share()
    read: list[int] = []
    monkeypatch.setattr(http.client.HTTPResponse, "read", _counted(http.client.HTTPResponse.read, read))
    for path in ("stated", "tea"):
        read.clear()
        with pytest.raises(OverloadedError):
            _fetch(_fetcher(name), f"http://{name}/{path}", hold=room.add)
        assert sum(read) <= {"stated": 0, "tea": size}[path]
        room.release()


def _counted(read: Callable[..., bytes], sizes: list[int]) -> Callable[..., bytes]:
    def counting(*args: Any) -> bytes:
        data = read(*args)
        sizes.append(len(data))
        return data

    return counting


def test_a_host_that_does_not_speak_tls_is_not_spoken_to_without(site: tuple[str, type[Site]]) -> None:
    assert _refusal(_fetcher(site[0]), f"https://{site[0]}/tea").status == 503


@pytest.mark.parametrize("host", ["", "http://x", "x/y", "user@x", "x:port", "x:"])
def test_what_is_no_host_is_refused_at_the_start(host: str) -> None:
    with pytest.raises(RecipeError, match="no host"):
        Fetcher.of([host], [], 1, 1.0)
    with pytest.raises(RecipeError, match="not a network"):
        Fetcher.of(["x"], ["10.0.0.1/8"], 1, 1.0)
    assert Fetcher.of([], [], 1, 1.0) is None


def test_a_url_in_a_request_is_the_medium_itself(judge: RewardJudge, site: tuple[str, type[Site]]) -> None:
    """Fetched once for the two responses that show it."""
    name, handler = site
    before = handler.asked.count("/tea?once")
    with serving(judge, media_hosts=(name,), media_networks=LOCAL) as one:
        shown = {**words("x"), "responses": [[{"type": "image", "url": f"http://{name}/tea?once"}]] * 2}
        inline = {**words("x"), "responses": [[part_body(picture(60))]]}
        fetched = values(one.client.post("/v1/rewards", json=shown))
        assert fetched == pytest.approx(values(one.client.post("/v1/rewards", json=inline)) * 2, abs=1e-5)
        elsewhere = {**words("x"), "responses": [[{"type": "image", "url": "http://localhost/tea"}]]}
        assert one.client.post("/v1/rewards", json=elsewhere).status_code == 422
    assert handler.asked.count("/tea?once") == before + 1
