"""A server that gives the annotation page and answers as annotate's does, from a list of items, all in memory.

It can be away (no reply to anything), or lose its replies (what was asked is done, and nobody hears of it).
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from omnireward.web import annotation

TOKEN, NAME = "a-token-of-this-test", "Ann"
FILES = annotation.files()
Item = dict[str, Any]


@dataclass
class Study:
    """One person's items, and what the page did with them."""

    items: list[Item] = field(default_factory=list)
    media: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """Name below /media/ to content type and bytes."""
    url: str = ""
    mode: Literal["", "away", "deaf", "lossy"] = ""
    """away: no reply; deaf: 503; lossy: does as asked and gives no reply."""
    only: str = ""
    """The path that `mode` is for; empty means every path below /api/."""
    refuse: dict[str, tuple[int, str]] = field(default_factory=dict)
    """Path to status and sentence."""
    answers: dict[str, tuple[str, Any, float]] = field(default_factory=dict)
    """Key to item, answer and seconds, in the order they came; one that was taken back is gone."""
    keys: list[str] = field(default_factory=list)
    """Of every request to answer that was understood."""
    drafts: dict[str, Any] = field(default_factory=dict)
    played: list[tuple[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    """Every path that was asked for."""
    state: dict[str, Any] = field(default_factory=dict)
    """What /api/state says over the counts."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def link(self) -> str:
        return f"{self.url}/#token={TOKEN}"

    def counts(self) -> dict[str, int]:
        done = len({item for item, _, _ in self.answers.values()})
        return {"done": done, "left": len(self.items) - done}

    def handle(self, path: str, body: Mapping[str, Any]) -> tuple[int, Any]:
        if path in self.refuse:
            status, sentence = self.refuse[path]
            return status, {"error": sentence}
        if path == "/api/state":
            agreement: dict[str, Any] = {"agreement": None, "pairs": [], "yield": None, "median_seconds": None}
            return 200, {"name": NAME, "role": "annotator", **agreement, **self.counts(), **self.state}
        if path == "/api/next":
            answered = {item for item, _, _ in self.answers.values()}
            return 200, {"item": self.shown(next((one for one in self.items if one["id"] not in answered), None))}
        if path == "/api/undo":
            return self.undo()
        item = next((one for one in self.items if one["id"] == body.get("item")), None)
        if item is None:
            return 404, {"error": "there is no such item for you."}
        if path == "/api/draft":
            self.drafts[item["id"]] = body["draft"]
            return 200, {"saved": True}
        if path == "/api/played":
            self.played.append((item["id"], body["url"]))
            item["must_play"] = [url for url in item["must_play"] if url != body["url"]]
            return 200, {"must_play": item["must_play"]}
        assert path == "/api/answer", path
        return self.answer(item, body)

    def answer(self, item: Item, body: Mapping[str, Any]) -> tuple[int, Any]:
        assert set(body) == {"item", "key", "seconds", "answer"}
        self.keys.append(body["key"])
        if body["key"] not in self.answers:
            if item["must_play"]:
                return 409, {"error": "play to the end first."}
            if item["id"] in {done for done, _, _ in self.answers.values()}:
                return 409, {"error": "you have answered this item already."}
            self.answers[body["key"]] = item["id"], body["answer"], body["seconds"]
            self.drafts.pop(item["id"], None)
        return 200, {"saved": True, **self.counts()}

    def undo(self) -> tuple[int, Any]:
        if not self.answers:
            return 409, {"error": "there is nothing to take back."}
        name, answer, _ = self.answers.pop(list(self.answers)[-1])
        self.drafts[name] = answer
        return 200, {"item": self.shown(next(one for one in self.items if one["id"] == name))}

    def shown(self, item: Item | None) -> Item | None:
        if item is None:
            return None
        return {
            **item,
            "number": self.items.index(item) + 1,
            "of": len(self.items),
            "draft": self.drafts.get(item["id"]),
        }


def vote(name: str, left: list[Any], right: list[Any], **other: Any) -> Item:
    """An item to vote on; `other` changes or adds fields."""
    prompt = [{"role": "user", "content": [text("Draw a cup of tea.")]}]
    common = {"kind": "vote", "task": "T2I", "criterion": "The cup should be full.", "must_play": []}
    return {"id": name, **common, "prompt": prompt, "left": left, "right": right, **other}


def text(words: str) -> dict[str, str]:
    """A part."""
    return {"kind": "text", "text": words}


class _Handler(BaseHTTPRequestHandler):
    """HTTP around a study."""

    study: Study
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._api({}) if self.path.startswith("/api/") else self._file()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.headers.get("X-Omnireward") != "1":
            self._json(403, {"error": "the header X-Omnireward is missing."})
        elif self.path == "/api/login":
            good = body == {"token": TOKEN}
            cookie = {"Set-Cookie": "annotator=1; HttpOnly; SameSite=Strict; Path=/"} if good else {}
            self._json(200 if good else 401, {"name": NAME} if good else {"error": "no such link."}, cookie)
        else:
            self._api(body)

    def _api(self, body: Mapping[str, Any]) -> None:
        mode = self.study.mode if self.study.only in ("", self.path) else ""
        self.study.asked.append(self.path)
        if mode == "away":
            self.close_connection = True
        elif mode == "deaf":
            self._json(503, {"error": "not now."})
        elif "annotator=1" not in self.headers.get("Cookie", ""):
            self._json(401, {"error": "you are not logged in."})
        else:
            with self.study.lock:
                status, reply = self.study.handle(self.path, body)
            if mode == "lossy":
                self.close_connection = True
            else:
                self._json(status, reply)

    def _json(self, status: int, reply: Any, headers: Mapping[str, str] | None = None) -> None:
        headers = {"Content-Type": "application/json", **(headers or {})}
        self._reply(status, headers, json.dumps(reply).encode())

    def _file(self) -> None:
        self.study.asked.append(self.path)
        if self.path in FILES:
            self._reply(200, *FILES[self.path])
        elif (name := self.path.removeprefix("/media/")) in self.study.media:
            kind, data = self.study.media[name]
            first, _, last = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
            if not first:
                self._reply(200, {"Content-Type": kind, "Accept-Ranges": "bytes"}, data)
                return
            end = min(int(last or len(data) - 1), len(data) - 1)
            headers = {"Content-Type": kind, "Content-Range": f"bytes {first}-{end}/{len(data)}"}
            self._reply(206, headers, data[int(first) : end + 1])
        else:
            self._json(404, {"error": "there is nothing here."})

    def _reply(self, status: int, headers: Mapping[str, str], data: bytes) -> None:
        try:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)
        except (BrokenPipeError, ConnectionResetError):  # the page has gone on
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def studying(study: Study) -> Iterator[Study]:
    """A server on loopback; it ends with the block."""
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"study": study})) as server:
        server.daemon_threads = True
        study.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield study
        finally:
            server.shutdown()
            thread.join()
