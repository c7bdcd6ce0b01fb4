"""The contract with the page, and everything that a page should not be able to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from tests.annotate.serving import Running, answered, item_of, serving
from tests.annotate.world import SENTENCE, text_sample


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with serving(tmp_path / "out", [text_sample(f"s{i}") for i in range(3)], adjudicator="dan") as one:
        yield one


def test_the_whole_way_of_a_criterion(running: Running) -> None:
    ann, ben, cid, dan = (running.client(name) for name in ("ann", "ben", "cid", "dan"))
    item = item_of(ann)
    assert {name: item[name] for name in ("kind", "task", "number", "of", "most", "draft", "must_play")} == {
        "kind": "write", "task": "T2T", "number": 1, "of": 3, "most": 5, "draft": None, "must_play": [],
    }  # fmt: skip
    assert "criterion" not in item
    assert item["prompt"] == [{"role": "user", "content": [{"kind": "text", "text": "Name a river, s0."}]}]
    assert sorted(part["text"] for side in ("left", "right") for part in item[side]) == ["A s0", "B s0"]
    # ann leaves two samples to write for; ben one, and ann's criterion to check; cid that criterion.
    for client, criteria, left in ((ann, [SENTENCE], 2), (ben, [], 2), (cid, [], 1)):
        draft = {"criteria": ["half a"]}
        mine = item_of(client)
        assert client.post("/api/draft", json={"item": mine["id"], "draft": draft}).json() == {"saved": True}
        assert item_of(client)["draft"] == draft
        assert answered(client, mine, {"criteria": criteria}).json() == {"saved": True, "done": 1, "left": left}
    assert ann.get("/api/next").json() == {"item": None}
    check = item_of(ben)
    assert (check["kind"], check["criterion"]) == ("check", SENTENCE)
    assert answered(ben, check, {"verdict": "ok", "note": ""}).status_code == 200
    for client, side in ((ann, "A s0"), (ben, "B s0"), (cid, "tie")):
        vote = item_of(client)
        chosen = "tie" if side == "tie" else "left" if vote["left"][0]["text"] == side else "right"
        assert answered(client, vote, {"side": chosen}).status_code == 200
    ruling = item_of(dan)
    assert (ruling["kind"], ruling["votes"]) == ("adjudicate", {"left": 1, "right": 1, "tie": 1})
    assert answered(dan, ruling, {"side": "tie"}).status_code == 200
    state = dan.get("/api/state").json()
    assert (state["name"], state["role"], state["done"], state["left"]) == ("dan", "adjudicator", 1, 0)
    assert state["median_seconds"] == 1.5
    assert state["yield"] == {"criteria": 1, "valid": 1, "agreed": 1, "dropped": {}}
    assert state["pairs"][0] == {"who": ["ann", "ben"], "same": 0, "both": 1}


def test_figures_tell_nobody_how_others_voted_on_what_they_can_still_change(running: Running) -> None:
    """After the last of three votes, its voter could take theirs back: they see neither fate nor agreement yet."""
    ann, ben, cid = (running.client(name) for name in ("ann", "ben", "cid"))
    answered(ann, item_of(ann), {"criteria": [SENTENCE]})
    for _ in range(2):
        answered(ben, item_of(ben), {"criteria": []})
    answered(ben, item_of(ben), {"verdict": "ok"})
    for client in (ann, ben, cid):
        answered(client, item_of(client), {"side": "tie"})
    for client in (ann, ben, cid):
        state = client.get("/api/state").json()
        assert (state["pairs"], state["agreement"]) == ([], None)
        assert state["yield"] == {"criteria": 1, "valid": 1, "agreed": 0, "dropped": {}}


def test_undo_gives_the_item_back(running: Running) -> None:
    ann = running.client("ann")
    assert ann.post("/api/undo", json={}).status_code == 409
    item = item_of(ann)
    answered(ann, item, {"criteria": [SENTENCE]})
    back = ann.post("/api/undo", json={}).json()["item"]
    assert (back["id"], back["draft"], back["left"]) == (item["id"], {"criteria": [SENTENCE]}, item["left"])
    assert item_of(ann)["id"] == item["id"]


def test_only_a_link_lets_in(running: Running) -> None:
    nobody = running.client()
    for token in ("", "x" * 43, running.tokens["ann"][:-1], None, 3, ["a"], {"a": 1}):
        assert nobody.post("/api/login", json={"token": token}).status_code == 401
    nobody.cookies.set("annotator", "made-up")
    for path in ("/api/state", "/api/next", "/media/anything.png"):
        assert nobody.get(path).status_code == 401
    for path in ("/api/played", "/api/draft", "/api/answer", "/api/undo"):
        assert nobody.post(path, json={}).status_code == 401
    reply = nobody.post("/api/login", json={"token": running.tokens["ann"]})
    assert reply.json() == {"name": "ann"}
    cookie = reply.headers["set-cookie"].lower()
    assert all(word in cookie for word in ("httponly", "samesite=strict", "path=/"))


@pytest.mark.parametrize("path", ["login", "played", "draft", "answer", "undo"])
def test_what_another_origin_can_send_changes_nothing(running: Running, path: str) -> None:
    ann = running.client("ann")
    del ann.headers["X-Omnireward"]
    reply = ann.post(f"/api/{path}", json={"token": running.tokens["ann"]})
    assert (reply.status_code, "error" in reply.json()) == (403, True)
    assert "access-control-allow-origin" not in reply.headers


def test_names_of_other_sites_do_not_lead_here(running: Running) -> None:
    for path in ("/", "/api/state"):
        assert running.client("ann").get(path, headers={"Host": "evil.example"}).status_code == 403


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b"{", 400),
        (b'{"item": NaN}', 400),
        (b'{"item": 1e999}', 400),
        (b'{"item": "\\ud800"}', 400),
        (b'{"a": ' * 200 + b"1" + b"}" * 200, 400),
        (b"[" * 100_000, 400),
        (b'{"item": "' + b"x" * 300_000 + b'"}', 413),
        (b"\xff\xfe", 400),
        (b'{"item": "nothing", "key": "a key", "answer": {}}', 404),
    ],
    ids=["empty", "list", "half", "nan", "infinite", "surrogate", "deep", "deeper", "large", "no utf-8", "unknown"],
)
def test_bodies_that_are_refused(running: Running, body: bytes, status: int) -> None:
    reply = running.client("ann").post("/api/answer", content=body)
    assert reply.status_code == status
    assert isinstance(reply.json()["error"], str)


def test_a_body_that_lies_about_its_size_is_counted(running: Running) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 10_000

    with suppress(httpx.WriteError):  # closed in the midst of it, which is as good
        assert running.client("ann").post("/api/draft", content=endless()).status_code == 413


def test_a_draft_has_a_limit(running: Running) -> None:
    ann = running.client("ann")
    item = item_of(ann)["id"]
    assert ann.post("/api/draft", json={"item": item, "draft": {"note": "x" * 70_000}}).status_code == 400
    assert ann.post("/api/draft", json={"item": item, "draft": ["x"]}).status_code == 400


def test_the_page_is_there_and_says_nothing_of_anybody(running: Running) -> None:
    nobody = running.client()
    page = nobody.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    viewer = nobody.get("/vendor/model-viewer.min.js")
    assert viewer.headers["content-encoding"] == "gzip"
    assert b"model-viewer" in viewer.content
