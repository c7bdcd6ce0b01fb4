"""A server of annotations in this process, and clients who are logged in."""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from omnireward.annotate.app import create_app
from omnireward.annotate.config import AnnotateConfig, Stage
from omnireward.annotate.playable import Playable
from omnireward.annotate.run import Server
from omnireward.annotate.store import Store, begin, rules_of
from omnireward.listening import bound
from omnireward.types import Sample


class Running:
    """A server that listens."""

    def __init__(self, store: Store, port: int, tokens: Mapping[str, str]) -> None:
        self.store, self.port, self.tokens = store, port, tokens
        self.clients: list[httpx.Client] = []

    def client(self, name: str = "") -> httpx.Client:
        """Somebody's browser; without a name, nobody's."""
        client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers={"X-Omnireward": "1"}, timeout=60)
        self.clients.append(client)
        if name:
            client.post("/api/login", json={"token": self.tokens[name]}).raise_for_status()
        return client

    def raw(self, request: bytes) -> bytes:
        """What the server says to these very bytes."""
        with socket.create_connection(("127.0.0.1", self.port), 10) as connection:
            connection.sendall(request)
            said = b""
            while chunk := connection.recv(65_536):
                said += chunk
            return said


@contextmanager
def serving(
    out: Path,
    samples: Iterable[Sample],
    *,
    annotators: tuple[str, ...] = ("ann", "ben", "cid"),
    adjudicator: str = "",
    stage: Stage = "both",
    overlap: int = 3,
) -> Iterator[Running]:
    config = AnnotateConfig(
        folder="samples",
        annotators=annotators,
        adjudicator=adjudicator,
        stage=stage,
        overlap=overlap,
        out=out,
        port=0,
    )
    up = threading.Event()
    with bound(config.host, config.port) as taken, Store(out, rules_of(config)) as store:
        begin(store, config, lambda _place: samples)
        tokens = store.admit(config)
        with Playable(store) as playable:
            server = Server(create_app(store, playable), up.set)
            thread = threading.Thread(target=server.run, args=([taken],))
            thread.start()
            running = Running(store, taken.getsockname()[1], tokens)
            try:
                assert up.wait(20)
                yield running
            finally:
                for client in running.clients:
                    client.close()
                server.should_exit = True
                thread.join()


def answered(client: httpx.Client, item: Mapping[str, Any], answer: Mapping[str, Any], key: str = "") -> httpx.Response:
    given = {"item": item["id"], "key": key or str(uuid.uuid4()), "seconds": 1.5, "answer": dict(answer)}
    return client.post("/api/answer", json=given)


def item_of(client: httpx.Client) -> dict[str, Any]:
    found = client.get("/api/next").raise_for_status().json()["item"]
    assert isinstance(found, dict)
    return found
