"""A real server on loopback, in a thread of the test's process, and bodies to send it."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import numpy as np
import pytest

from omnireward.judges import Judge
from omnireward.judges.reward import RewardJudge
from omnireward.media import encode
from omnireward.serve.app import create_app
from omnireward.serve.config import ServeConfig
from omnireward.serve.run import Server, bound, server
from omnireward.serve.service import Service
from omnireward.types import Comparison, Media, Part, Text, Turn

KEY = "a-key-of-twenty-four-car"
_UP = 30.0  # seconds that starting may take


@dataclass(frozen=True)
class Running:
    """A server that answers: `client` has its address and its key."""

    client: httpx.Client
    service: Service
    server: Server
    port: int


@dataclass(frozen=True)
class Held:
    """A model that waits: `busy` once it was asked, until `go`."""

    go: threading.Event
    busy: threading.Event
    scored: list[int]


@contextmanager
def serving(judge: Judge, keys: Sequence[str] = (), name: str = "reward:tiny", **settings: Any) -> Iterator[Running]:
    """A server until the end of the block. `name` is the judge's, `settings` are those of `ServeConfig`."""
    config = ServeConfig(**{"judge": name, "port": 0, "notice": 0.0, "drain": 10.0, **settings})
    app = create_app(config, judge, keys)
    one = server(app)
    with bound(config) as taken:
        port = taken.getsockname()[1]
        thread = threading.Thread(target=one.run, args=([taken],))
        thread.start()
        until = time.monotonic() + _UP
        while not one.started:
            assert thread.is_alive() and time.monotonic() < until, "the server did not start"  # noqa: PT018
            time.sleep(0.01)
        headers = {"Authorization": f"Bearer {keys[0]}"} if keys else {}
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
                yield Running(client, app.state.service, one, port)
        finally:
            one.end()
            thread.join()


def picture(colour: int) -> Media:
    return Media("image", encode.png(np.full((28, 28, 3), colour, np.uint8)))


def part_body(part: Part) -> dict[str, str]:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    (piece,) = part.pieces()
    return {
        "type": part.kind,
        "base64": base64.b64encode(piece if isinstance(piece, bytes) else piece.read_bytes()).decode(),
    }


def turns_body(prompt: Sequence[Turn]) -> list[dict[str, Any]]:
    return [{"role": turn.role, "content": [part_body(part) for part in turn.content]} for turn in prompt]


def rewards_body(comparison: Comparison) -> dict[str, Any]:
    """Both responses of a comparison under its criterion."""
    responses = [[part_body(part) for part in one] for one in (comparison.response_a, comparison.response_b)]
    return {"prompt": turns_body(comparison.prompt), "responses": responses, "criterion": comparison.criterion}


def words(*responses: str, prompt: str = "Which drink?", **more: Any) -> dict[str, Any]:
    """A body of texts alone."""
    return {"prompt": [{"role": "user", "content": prompt}], "responses": list(responses), **more}


def values(reply: httpx.Response) -> list[float]:
    """The rewards of the only criterion."""
    assert reply.status_code == 200, reply.text
    (row,) = reply.json()["rewards"]
    assert all("value" in one for one in row), row
    return [one["value"] for one in row]


@contextmanager
def scoring_held(judge: RewardJudge) -> Iterator[Held]:
    """Until `go` is set, the model scores nothing; `scored` counts the rows of each call."""
    held, score = Held(threading.Event(), threading.Event(), []), judge.model.score_both

    def waiting(encoded: Sequence[Any]) -> Any:
        held.scored.append(len(encoded))
        held.busy.set()
        assert held.go.wait(_UP)
        return score(encoded)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(judge.model, "score_both", waiting)
        try:
            yield held
        finally:
            held.go.set()


def until(true: Callable[[], bool]) -> None:
    """Wait for something that other threads do."""
    end = time.monotonic() + _UP
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)
