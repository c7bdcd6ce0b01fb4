"""A server that gives the page and answers as /v1/rewards and /v1/judgements are documented, from a rule by hand."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from omnireward.web import HEADERS, page

SERVED = {"id": "r-1", "model": "miniature-run", "revision": "0123456789abcdef"}


@dataclass
class Fake:
    """What the server answers with, and what it was asked.

    Without other orders a reward is the number of characters of the response's text, plus that of the criterion,
    minus 10.
    """

    url: str = ""
    key: str = ""
    replies: dict[str, tuple[int, Any]] = field(default_factory=dict)
    """Path to status and body, instead of a reward."""
    headers: dict[str, str] = field(default_factory=dict)
    asked: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    """Paths and bodies, of requests with the right key."""
    go_on: threading.Event = field(default_factory=threading.Event)
    """No answer is given before it is set."""

    def answer(self, path: str, body: Mapping[str, Any], authorization: str) -> tuple[int, Any]:
        if self.key and authorization != f"Bearer {self.key}":
            return 401, refusal("send one as Authorization: Bearer KEY")
        self.asked.append((path, body))
        self.go_on.wait(30)
        if path in self.replies:
            return self.replies[path]
        rewards = [[reward(response, criterion) for response in body["responses"]] for criterion in body["criteria"]]
        return 200, {**SERVED, "rewards": rewards, "raw": True}


def reward(response: Any, criterion: str) -> dict[str, float]:
    """The rule."""
    text = response if isinstance(response, str) else "".join(part.get("text", "") for part in response)
    return {"value": float(len(text) + len(criterion) - 10)}


def refusal(message: str) -> dict[str, Any]:
    """The body of a reply that refuses a request as a whole."""
    return {"error": {"kind": "request", "message": message, "field": ""}, "id": SERVED["id"]}


@contextmanager
def faking(answering: Fake | None = None) -> Iterator[Fake]:
    """A server on loopback; it ends with the block."""
    fake = answering or Fake()
    fake.go_on.set()
    files = page()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            kind, data = files.get(self.path, ("text/plain", b"There is nothing here."))
            found = self.path in files
            self._reply(200 if found else 404, kind, data, HEADERS if found else {})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, reply = fake.answer(self.path, body, self.headers.get("Authorization", ""))
            data = reply if isinstance(reply, bytes) else json.dumps(reply).encode()
            self._reply(status, "application/json", data, fake.headers)

        def _reply(self, status: int, kind: str, data: bytes, headers: Mapping[str, str]) -> None:
            try:
                self.send_response(status)
                for name, value in {**headers, "Content-Type": kind, "Content-Length": str(len(data))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)
            except (BrokenPipeError, ConnectionResetError):  # a stopped request
                self.close_connection = True

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield fake
    finally:
        fake.go_on.set()
        server.shutdown()
        server.server_close()
        thread.join()
