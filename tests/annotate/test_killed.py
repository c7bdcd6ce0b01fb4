"""The server is killed with votes on their way, and started again: nothing is lost, nothing is doubled."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.annotate.world import SENTENCE, text_sample

from omnireward.annotate import tables
from omnireward.sample_rows import write_samples

_SAMPLES, _KILLS = 40, 1


class _Server:
    """`omnireward annotate` in a process of its own, always on the same port once it has one."""

    def __init__(self, folder: Path, out: Path) -> None:
        self._words = [
            str(folder),
            "--annotators",
            "ann",
            "ben",
            "--overlap",
            "2",
            "--stage",
            "vote",
            "--out",
            str(out),
        ]
        self.port, self.tokens = 0, dict[str, str]()
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "omnireward", "annotate", *self._words, "--port", str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if link := re.search(r"(\w+): http://127\.0\.0\.1:(\d+)/#token=(\S+)", line):
                self.tokens[link[1]], self.port = link[3], int(link[2])
            if line.startswith("The page is at"):
                return
        raise AssertionError("the server ended")

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        code = self.process.wait(30)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


def _work(server: _Server, name: str, meant: dict[str, str]) -> None:
    """Votes as the page does: the same answer with the same key until it is told that it is saved."""
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", headers={"X-Omnireward": "1"}) as client:
        client.post("/api/login", json={"token": server.tokens[name]}).raise_for_status()
        while (item := _asked(client, "GET", "/api/next", None)["item"]) is not None:
            text = item["prompt"][0]["content"][0]["text"]
            number = int(text.rpartition("s")[2].rstrip("."))
            side = ("left", "right", "tie")[number % 3]
            shown = item["left"][0]["text"][0].lower()
            meant[f"s{number}"] = "tie" if side == "tie" else shown if side == "left" else "ab"[shown == "a"]
            given = {"item": item["id"], "key": str(uuid.uuid4()), "seconds": 0.1, "answer": {"side": side}}
            _asked(client, "POST", "/api/answer", given)


def _asked(client: httpx.Client, method: str, path: str, body: object) -> dict[str, Any]:
    until = time.monotonic() + 60
    while True:
        try:
            reply = client.request(method, path, json=body).raise_for_status().json()
        except httpx.TransportError:
            assert time.monotonic() < until
            time.sleep(0.05)
        else:
            assert isinstance(reply, dict)
            return reply


@pytest.mark.slow
def test_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    write_samples((text_sample(f"s{i}", SENTENCE) for i in range(_SAMPLES)), tmp_path / "samples")
    server = _Server(tmp_path / "samples", tmp_path / "out")
    meant: dict[str, dict[str, str]] = {"ann": {}, "ben": {}}
    with ThreadPoolExecutor(len(meant)) as pool:
        people = [pool.submit(_work, server, name, meant[name]) for name in meant]
        for kill in range(_KILLS):
            # In the midst of it, with both at work.
            while sum(map(len, meant.values())) < (kill + 1) * 2 * _SAMPLES // (_KILLS + 1):
                assert not any(person.done() for person in people)
                time.sleep(0.002)
            server.end(signal.SIGKILL)
            server.start()
        for person in people:
            person.result(90)
    assert server.end(signal.SIGTERM) == 0
    db = tables.opened(tmp_path / "out", fresh=False)
    rows = db.execute(
        "SELECT person.name, sample.id, answer.choice FROM answer JOIN item ON item.number = answer.item "
        "JOIN sample ON sample.number = item.sample JOIN person ON person.number = answer.person"
    ).fetchall()
    db.close()
    assert len(rows) == 2 * _SAMPLES
    assert {(row["name"], row["id"]): row["choice"] for row in rows} == {
        (name, sample): choice for name, choices in meant.items() for sample, choice in choices.items()
    }
