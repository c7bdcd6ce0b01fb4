"""Two people vote in two browsers against the real server, which is killed under them: no vote is lost or doubled."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.web import browser
from tests.web.browser import Browser
from tests.web.pieces import media
from tests.web.visitor import Visitor, visiting

from omnireward.sample_rows import write_samples
from omnireward.types import Comparison, Media, MediaKind, Sample, Task, Text, Turn

SETS, CRITERIA = 2, 25  # of media, and of criteria for each: 50 votes
KEYS = ("1", "2", "0", "ArrowLeft", "ArrowRight", "t")
MEANS = {"1": "left", "ArrowLeft": "left", "2": "right", "ArrowRight": "right", "0": "tie", "t": "tie"}
KINDS: Sequence[tuple[MediaKind, str]] = (("image", "png"), ("video", "mp4"), ("audio", "wav"), ("mesh", "glb"))


def samples() -> Iterator[Sample]:
    for i in range(SETS):
        made = media(0.2, seed=i)

        def response(side: int, made: dict[str, tuple[str, bytes]] = made) -> tuple[Text | Media, ...]:
            return (Text("AB"[side]), *(Media(kind, made[f"{side}.{ending}"][1]) for kind, ending in KINDS))

        picture = Media("image", made["0.png"][1])
        for n in range(CRITERIA):
            asked = Comparison(
                (Turn("user", (picture, Text("Tell it anew."))),), response(0), response(1), f"C {i} {n}."
            )
            yield Sample(f"s{i}-{n}", Task.TI2TI, asked, "a", f"c{i}")


class Server:
    """`omnireward annotate` as a process of its own, always at the same port."""

    def __init__(self, folder: Path, out: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        people = ["--annotators", "ann", "ben", "--overlap", "2", "--stage", "vote"]
        self.command = ["annotate", str(folder), *people, "--out", str(out), "--port", str(self.port)]
        self.links: dict[str, str] = {}

    def start(self) -> None:
        """Up when this returns."""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "omnireward", *self.command],
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        assert self.process.stdout is not None
        for line in self.process.stdout:
            name, _, link = line.strip().partition(": ")
            if "#token=" in link:
                self.links[name] = link
            if line.startswith("The page is at"):
                return
        raise AssertionError("the server ended")

    def kill(self) -> None:
        """As the machine's owner or its memory might: at once, children too."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@contextmanager
def serving(folder: Path, out: Path) -> Iterator[Server]:
    server = Server(folder, out)
    try:
        server.start()
        yield server
    finally:
        server.kill()


class Voter:
    """Somebody who votes by keys and notes what they voted for."""

    def __init__(self, page: Visitor, shift: int) -> None:
        self.page, self.shift = page, shift
        self.votes: dict[str, str] = {}

    def look(self, number: int) -> None:
        """Wait for an item, and play what is to be played."""
        self.page.wait(f"document.getElementById('number').textContent === '{number} of {SETS * CRITERIA}'")
        self.page.ready()
        if self.page.text("#gate"):
            self.page.key("1")  # refused
            self.page.key(" ")
            self.page.wait("!document.getElementById('gate').textContent")

    def vote(self, number: int) -> None:
        key = KEYS[(number + self.shift) % len(KEYS)]
        side, left = MEANS[key], self.page.text("#left .text")
        criterion = self.page.text("#criterion")
        assert criterion not in self.votes
        self.votes[criterion] = "tie" if side == "tie" else "a" if (side == "left") == (left == "A") else "b"
        self.page.key(key)


def exported(out: Path, folder: Path) -> list[dict[str, str]]:
    command = ["annotate", "--out", str(out), "--export", str(folder), "--names"]
    subprocess.run([sys.executable, "-m", "omnireward", *command], check=True, stdout=subprocess.DEVNULL)
    return [json.loads(line) for line in (folder / "votes.jsonl").read_text("utf-8").splitlines()]


@pytest.mark.slow
def test_two_people_lose_and_double_no_vote_of_fifty_each(
    chromium: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser, "_PATIENCE", 120.0)  # a page that first draws in 3D says nothing for a while
    write_samples(samples(), tmp_path / "samples")
    out = tmp_path / "out"
    with (
        serving(tmp_path / "samples", out) as server,
        visiting(chromium) as one,
        visiting(chromium) as two,
    ):
        people = [Voter(one, 0), Voter(two, 1)]
        for voter, name in zip(people, ("ann", "ben"), strict=True):
            voter.page.goto(server.links[name])
            five_modalities(voter.page)  # one after the other: without a graphics card two at once take minutes
        for number in range(1, SETS * CRITERIA + 1):
            for voter in people:
                voter.look(number)
            if number == 20:  # killed before anything is sent
                server.kill()
            for voter in people:
                voter.vote(number)
                if number == 35 and voter is people[0]:  # killed while a vote is on its way, perhaps saved
                    server.kill()
            if number in (20, 35):
                for voter in people[number == 35 :]:
                    voter.page.wait("document.getElementById('saved').textContent.startsWith('Not saved yet')")
                server.start()
        for voter in people:
            voter.page.wait("document.querySelector('#screen h1')?.textContent === 'All done'")
        outside(server.port, server.links["ann"].partition("=")[2])
    votes = exported(out, tmp_path / "preferences")
    assert len(votes) == 2 * SETS * CRITERIA
    for name, voter in zip(("ann", "ben"), people, strict=True):
        own = {vote["sample"]: vote["choice"] for vote in votes if vote["person"] == name}
        assert own == {f"s{c.split()[1]}-{c.split()[2][:-1]}": choice for c, choice in voter.votes.items()}
    assert {vote["left"] for vote in votes} == {"a", "b"}


def five_modalities(page: Visitor) -> None:
    """Both responses show text, picture, video, sound and object, within the window at 1280 by 800."""
    # Drawn without a graphics card, by as much processor as others leave.
    page.wait("document.querySelectorAll('.mesh > .mesh[data-shown=object]').length === 2", 120)
    page.wait("[...document.querySelectorAll('.response img')].every((e) => e.naturalWidth)")
    bottoms = page.value(
        "['text', 'image', 'video', 'audio', 'mesh'].map((kind) => ['left', 'right'].map((side) =>"
        "document.querySelector(`#${side} .${kind}`).getBoundingClientRect().bottom))"
    )
    foot = page.value("document.getElementById('foot').getBoundingClientRect().top")
    assert all(0 < bottom < foot for pair in bottoms for bottom in pair)


def outside(port: int, token: str) -> None:
    """Nothing but what annotation has made is served, not even to who is logged in."""
    for path in ("/media/../annotations.sqlite", "/media/%2e%2e%2fannotations.sqlite", "/media/annotations.sqlite"):
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Cookie": f"annotator={token}"})
        with pytest.raises(urllib.error.HTTPError) as refused, urllib.request.urlopen(request):
            pass
        assert refused.value.code == 404
        refused.value.close()
