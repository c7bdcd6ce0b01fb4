"""Servers for tests of the client that answer by a script."""

from __future__ import annotations

import json
from typing import Any

import httpx

URL = "http://127.0.0.1:8000"
Step = httpx.Response | BaseException


class Script:
    """Answers with each step in turn and repeats the last; keeps what it was sent."""

    def __init__(self, *steps: Step) -> None:
        self.steps, self.sent = list(steps), list[httpx.Request]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(request)
        step = self.steps[min(len(self.sent), len(self.steps)) - 1]
        if isinstance(step, BaseException):
            raise step
        return told(request, step)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.content) for request in self.sent]


class Hosts:
    """Servers by host, each with its script; keeps who was asked."""

    def __init__(self, **scripts: Script) -> None:
        self.scripts, self.asked = scripts, list[str]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.host)
        return self.scripts[request.url.host](request)


def told(request: httpx.Request, step: httpx.Response) -> httpx.Response:
    """The step as a server's reply to this request. What the step itself says holds: of two equal keys, the last."""
    asked = request.headers["X-Omnireward-Id"]
    body = step.content
    if step.status_code == 200 and body.startswith(b"{"):
        head = json.dumps({"id": asked, "revision": "r1", "raw": True}).encode()
        body = head[:-1] + (b"" if body == b"{}" else b", ") + body[1:]
    headers = {"x-omnireward-id": asked} | {
        name: value for name, value in step.headers.items() if name != "content-length"
    }
    return httpx.Response(step.status_code, headers=headers, content=body)


def ok(*rewards: Any, **others: Any) -> httpx.Response:
    """Rewards, or problems."""
    rows = [[one if isinstance(one, dict) else {"value": one} for one in rewards]]
    return httpx.Response(200, json={"rewards": rows, **others})


def refusal(status: int, headers: dict[str, str] | None = None, said: str = "no.") -> httpx.Response:
    """A status other than 200."""
    return httpx.Response(status, json={"error": {"kind": "x", "message": said}}, headers=headers)
