"""Media over HTTP: what is served, to whom, and what must be played first."""

from __future__ import annotations

import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from tests.annotate.serving import Running, answered, item_of, serving
from tests.annotate.world import SENTENCE, text_sample

from omnireward.annotate.playable import Playable
from omnireward.media.encode import mp4, png, wav
from omnireward.types import Comparison, Media, Sample, Task, Text, Turn

_MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>"


def _media_samples() -> list[Sample]:
    frames = np.zeros((4, 32, 32, 3), np.uint8)
    frames[:, :16] = 200
    clips = [Media("video", mp4(frames + np.uint8(shade), 4)) for shade in (0, 30)]
    tones = [Media("audio", wav(np.sin(np.arange(4000) * step).astype(np.float32), 16_000)) for step in (0.1, 0.3)]
    dots = [Media("image", png(np.full((8, 8, 3), shade, np.uint8))) for shade in (10, 200)]
    prompt = (Turn("user", (Text(_MARKUP), tones[0])),)
    return [
        Sample("clips", Task.T2V, Comparison(prompt, (clips[0],), (clips[1],), SENTENCE), "a", "c1"),
        Sample("dots", Task.T2I, Comparison(prompt, (dots[0],), (dots[1],), SENTENCE), "a", "c2"),
        Sample(
            "broken", Task.T2I, Comparison(prompt, (dots[0],), (Media("image", b"\x89PNG no"),), SENTENCE), "a", "c3"
        ),
    ]


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with serving(tmp_path_factory.mktemp("media") / "out", _media_samples(), stage="vote") as one:
        yield one


def test_media_are_played_before_a_vote(media: Running) -> None:
    ann = media.client("ann")
    item = item_of(ann)
    assert (item["task"], len(item["must_play"])) == ("T2V", 3)
    assert answered(ann, item, {"side": "tie"}).status_code == 409
    for url in ("/media/made-up.mp4", "", None, 3):
        assert ann.post("/api/played", json={"item": item["id"], "url": url}).status_code == 404
    for left in (2, 1, 0):
        url = item_of(ann)["must_play"][0]
        assert len(ann.post("/api/played", json={"item": item["id"], "url": url}).json()["must_play"]) == left
    theirs = item_of(media.client("ben"))["must_play"]  # each for themselves, in the order of their sides
    assert sorted(theirs) == sorted(item["must_play"])
    assert answered(ann, item, {"side": "tie"}).status_code == 200


def _side(db: sqlite3.Connection, left: str) -> None:
    db.execute("UPDATE shown SET left = ?", (left,))


def test_what_is_to_be_played_is_in_the_order_that_is_seen(media: Running) -> None:
    """Were it a, then b, whoever looks at it would know the sides."""
    cid = media.client("cid")
    sound, *responses = item_of(cid)["must_play"]
    orders = []
    for left in "ab":  # as if it had been drawn
        media.store.do(_side, left)
        item = item_of(cid)
        orders.append([item["left"][0]["url"], item["right"][0]["url"]])
        assert item["must_play"] == [sound, *orders[-1]]
    assert orders[0] == orders[1][::-1] != orders[1]
    assert sorted(responses) == sorted(orders[0])


def test_media_come_whole_and_in_ranges_with_their_types(media: Running) -> None:
    cid = media.client("cid")
    item = item_of(cid)
    (clip,) = item["left"]
    whole = cid.get(clip["url"])
    assert (whole.status_code, whole.headers["content-type"]) == (200, "video/mp4")
    part = cid.get(clip["url"], headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, whole.content[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(whole.content)}"
    assert cid.get(clip["url"], headers={"Range": f"bytes={10**9}-"}).status_code == 416
    for reply in (whole, part):
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "sandbox" in reply.headers["content-security-policy"]
    sound = cid.get(item["prompt"][0]["content"][1]["url"])
    assert sound.headers["content-type"] == "audio/wav"
    assert item["prompt"][0]["content"][0] == {"kind": "text", "text": _MARKUP}


def test_a_sample_that_cannot_be_shown_is_handed_to_nobody(media: Running) -> None:
    ben = media.client("ben")
    seen = []
    while (item := ben.get("/api/next").json()["item"]) is not None:
        for url in item["must_play"]:
            ben.post("/api/played", json={"item": item["id"], "url": url})
        seen.append(item["task"])
        assert answered(ben, item, {"side": "tie"}).status_code == 200
    assert seen == ["T2V", "T2I"]
    dropped = ben.get("/api/state").json()["yield"]["dropped"]
    assert dropped == {"not shown": 1}
    ((reason,),) = media.store.do(
        lambda db: [tuple(r) for r in db.execute("SELECT broken FROM sample WHERE id = 'broken'")]
    )
    assert reason.startswith("media/")  # and not where that lies


@pytest.mark.parametrize(
    "path",
    [
        b"/media/../annotations.sqlite",
        b"/media/..%2fannotations.sqlite",
        b"/media/%2e%2e/annotations.sqlite",
        b"/media/%2e%2e%2fannotations.sqlite",
        b"/media/..%5cannotations.sqlite",
        b"/media//etc/passwd",
        b"/media/%2fetc%2fpasswd",
        b"/media/annotations.sqlite",
        b"/media/link.png",
        b"/media/a%00.png",
        b"/media/",
        b"/media/%ff%fe",
        b"/annotate/../../annotations.sqlite",
        b"/annotate/%2e%2e/annotation.py",
        b"/annotations.sqlite",
        b"/vendor/../annotation.py",
        b"/docs",
        b"/openapi.json",
    ],
    ids=bytes.decode,
)
def test_nothing_but_known_names_is_served(media: Running, path: bytes) -> None:
    link = media.store.folder / "media" / "link.png"
    if not link.is_symlink():
        link.symlink_to("/etc/passwd")
    cookie = f"annotator={media.tokens['ann']}".encode()
    said = media.raw(
        b"GET " + path + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: " + cookie + b"\r\nConnection: close\r\n\r\n"
    )
    assert said.startswith(b"HTTP/1.1 404 "), said[:200]
    assert b"SQLite" not in said
    assert b"root:" not in said


def test_a_known_name_that_became_a_link_is_not_followed(tmp_path: Path) -> None:
    with serving(tmp_path / "out", _media_samples()[1:2], stage="vote", overlap=1) as one:
        ann = one.client("ann")
        url = item_of(ann)["left"][0]["url"]
        assert ann.get(url).headers["content-type"] == "image/png"
        (path,) = (tmp_path / "out" / "media").glob(f"*/{url.rpartition('/')[2]}")
        path.unlink()
        path.symlink_to("/etc/passwd")
        assert ann.get(url).status_code == 404


def test_a_long_conversion_keeps_nobody_else_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it lasts a page asks again and again; the others' answers must not wait behind that."""
    over = threading.Event()
    plainly = Playable._made

    def slow(*given: Any) -> Any:
        assert over.wait(60)
        return plainly(*given)

    monkeypatch.setattr(Playable, "_made", slow)
    samples = [_media_samples()[1], text_sample("s0", SENTENCE), text_sample("s1", SENTENCE)]
    with serving(tmp_path / "out", samples, stage="vote", overlap=1) as one, ExitStack() as stack:
        ask = f"GET /api/next HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: annotator={one.tokens['ann']}\r\n\r\n".encode()
        for _ in range(50):  # more than asyncio has threads
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", one.port), 10))
            connection.sendall(ask)
        while not one.store.do(lambda db: db.execute("SELECT 1 FROM lease").fetchone()):
            time.sleep(0.01)
        ben = one.client("ben")
        ben.timeout = httpx.Timeout(10)
        try:
            for _ in range(2):
                assert answered(ben, item_of(ben), {"side": "tie"}).status_code == 200
            assert ben.get("/api/state").json()["done"] == 2
        finally:
            over.set()
        assert item_of(one.client("ann"))["task"] == "T2I"
