"""Media on the annotation page: played to the end before an answer, looked at closely, turned, said to be missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.web import browser
from tests.web.browser import Browser
from tests.web.fake_annotate import Study, studying, text, vote
from tests.web.pieces import everything, media, timed
from tests.web.visitor import Visitor, visiting

Part = dict[str, Any]
SOUNDS = ["/media/0.wav", "/media/1.wav"]
GATE = "document.getElementById('gate').textContent"


@pytest.fixture
def study() -> Iterator[Study]:
    with studying(Study(media=dict(media()))) as made:
        yield made


@pytest.fixture
def ann(chromium: Browser, study: Study) -> Iterator[Visitor]:
    with visiting(chromium) as visitor:
        yield visitor


def show(visitor: Visitor, study: Study, *items: dict[str, Any], **window: Any) -> None:
    study.items[:] = items
    visitor.goto(study.link, **window)
    visitor.ready()


def image(i: int) -> Part:
    return {"kind": "image", "url": f"/media/{i}.png"}


def sound(i: int) -> Part:
    return {"kind": "audio", "url": f"/media/{i}.wav"}


def test_space_plays_all_in_turn_and_then_a_vote_counts(ann: Visitor, study: Study) -> None:
    left, right = everything(0)[:4], everything(1)[:4]
    show(ann, study, vote("v", left, right, must_play=[*timed(0), *timed(1)]))
    assert ann.text("#gate") == "Play to the end first: 4 left"
    assert ann.value("[...document.querySelectorAll('.choice')].map((e) => e.ariaDisabled)") == ["true"] * 3
    ann.key("1")
    assert ann.text("#notice").startswith("Play everything to the end first: 4 left")
    assert study.answers == {}
    ann.key(" ")
    ann.wait(f"{GATE} === ''")
    assert study.played == [("v", url) for url in (*timed(0), *timed(1))]
    assert ann.texts(".watched") == ["played"] * 4
    ann.key("1")
    ann.wait("document.querySelector('#screen h1')?.textContent === 'All done'")
    assert [answer for _, answer, _ in study.answers.values()] == [{"side": "left"}]


def test_seeking_past_does_not_count_and_playing_the_rest_does(ann: Visitor, study: Study) -> None:
    study.media.update(media(1.0))
    show(ann, study, vote("v", [sound(0)], [sound(1)], must_play=SOUNDS[:1]))
    ann.wait("document.querySelector('audio').readyState === 4")
    ann.key("1")  # refused; without a key or a click first, a browser plays nothing
    ended = (
        "new Promise((resolve) => { const e = document.querySelector('audio'); e.onended = () => resolve(true); %s })"
    )
    assert ann.value(ended % "e.currentTime = 0.7; e.play();")
    assert ann.text("#gate") == "Play to the end first: 1 left"
    assert study.played == []
    assert ann.value(ended % "e.currentTime = 0; e.play();")
    ann.wait(f"{GATE} === ''")
    assert study.played == [("v", SOUNDS[0])]


def test_what_was_played_is_told_to_a_server_that_was_away(ann: Visitor, study: Study) -> None:
    show(ann, study, vote("v", [sound(0)], [sound(1)], must_play=SOUNDS))
    study.mode, study.only = "away", "/api/played"
    ann.key(" ")
    ann.wait("[...document.querySelectorAll('audio')].every((e) => e.ended)")
    assert ann.text("#gate") == "Play to the end first: 2 left"
    study.mode = ""
    ann.wait(f"{GATE} === ''")
    assert sorted(study.played) == [("v", url) for url in SOUNDS]


@pytest.mark.parametrize("together", [False, True])
def test_one_at_a_time_unless_wanted_together_and_equally_loud(ann: Visitor, study: Study, together: bool) -> None:
    study.media.update(media(1.0))
    show(ann, study, vote("v", [sound(0)], [sound(1)], must_play=SOUNDS))
    if together:
        ann.key("s")
    ann.value("document.querySelector('#left audio').volume = 0.25")
    ann.wait("document.querySelector('#right audio').volume === 0.25")
    playing = "[...document.querySelectorAll('audio')].map((e) => !e.paused)"
    ann.key(" ")
    ann.wait(f"{playing}[0] && document.querySelector('audio').currentTime > 0.1")
    assert ann.value(playing) == [True, together]
    ann.key(" ")
    ann.wait(f"!{playing}.includes(true)")
    ann.key(" ")  # goes on where it stopped
    ann.wait(f"{GATE} === ''")
    # Together, both took their one second at the same time.
    apart = ann.value("Math.abs(document.querySelector('#left audio').currentTime - 1)")
    assert apart < 0.05


def test_a_video_of_frames_is_leafed_through(ann: Visitor, study: Study) -> None:
    frames = {"kind": "video", "urls": ["/media/0.png", "/media/1.png", "/media/0.png"]}
    show(ann, study, vote("v", [frames], [text("None.")]))
    assert ann.text(".flip .muted") == "1 / 3"
    ann.key(" ")
    ann.wait("document.querySelector('.flip .muted').textContent === '3 / 3'")
    assert ann.value("[...document.querySelectorAll('.leaves img')].map((e) => e.classList.contains('on'))") == [
        False,
        False,
        True,
    ]


def test_pictures_are_looked_at_closely_side_by_side(ann: Visitor, study: Study) -> None:
    show(ann, study, vote("v", [image(0)], [image(1)]))
    ann.wait("[...document.querySelectorAll('.frame img')].every((e) => e.naturalWidth)")
    shapes = "[...document.querySelectorAll('.response .frame img')].map((e) => e.style.transform)"
    assert ann.value(shapes) == ["none", "none"]
    ann.key("z")
    one, other = ann.value(shapes)
    # Twice as large about the middle: half of the width and the height lie outside on either side.
    assert one == other == "translate(-50%, -50%) scale(2)"
    assert ann.text("#zoom").split() == ["Zoom", "2×", "Z"]
    ann.key("ArrowRight", shift=True)
    moved, other = ann.value(shapes)
    assert moved == other
    assert float(moved.split("(")[1].split("%")[0]) < -50
    ann.key("z")
    ann.key("z")
    assert ann.value(shapes) == ["none", "none"]
    assert study.answers == {}  # an arrow with shift is no vote


def test_a_drag_moves_both_pictures(ann: Visitor, study: Study) -> None:
    show(ann, study, vote("v", [image(0)], [image(1)]))
    ann.wait("[...document.querySelectorAll('.frame img')].every((e) => e.naturalWidth)")
    ann.key("z")
    x, y = ann.place("#left .frame")
    for kind, by in (("mousePressed", 0), ("mouseMoved", 60), ("mouseReleased", 60)):
        ann.send("Input.dispatchMouseEvent", type=kind, x=x + by, y=y, button="left", clickCount=1)
    one, other = ann.value("[...document.querySelectorAll('.frame img')].map((e) => e.getBoundingClientRect().x)")
    lefts = ann.value("[...document.querySelectorAll('.frame')].map((e) => e.getBoundingClientRect().x)")
    widths = ann.value("[...document.querySelectorAll('.frame')].map((e) => e.getBoundingClientRect().width)")
    # A picture twice as wide as its frame begins half a frame to the left of it; the hand took it along.
    assert [one - lefts[0], other - lefts[1]] == pytest.approx([60 - widths[0] / 2, 60 - widths[1] / 2], abs=2)


def test_without_3d_nobody_loads_its_library(ann: Visitor, study: Study) -> None:
    show(ann, study, vote("v", everything(0)[:4], everything(1)[:4]))
    assert not any("vendor" in path for path in study.asked)


def test_an_object_without_a_file_is_shown_by_its_views(ann: Visitor, study: Study) -> None:
    views = {"kind": "mesh", "url": "", "views": ["/media/0.png", "/media/1.png"]}
    show(ann, study, vote("v", [views], [{"kind": "mesh", "url": "", "views": []}]))
    ann.wait("[...document.querySelectorAll('.views img')].filter((e) => e.naturalWidth).length === 2")
    assert ann.texts(".problem") == ["This 3D object cannot be shown: it has no form that a browser takes."]
    assert not any("vendor" in path for path in study.asked)


@pytest.mark.slow
def test_objects_are_turned_together_and_broken_ones_have_views(
    ann: Visitor, study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(browser, "_PATIENCE", 120.0)  # drawn without a graphics card
    study.media["broken.glb"] = "model/gltf-binary", b"glTF and then nothing"
    mesh = [{"kind": "mesh", "url": f"/media/{name}.glb", "views": ["/media/0.png"]} for name in ("0", "1", "broken")]
    show(ann, study, vote("v", mesh[:1], mesh[1:]))
    shown = "[...document.querySelectorAll('.mesh > .mesh')].map((e) => e.dataset.shown)"
    ann.wait(f"{shown}.every(Boolean)", 120)
    assert ann.value(shown) == ["object", "object", "views"]
    orbits = "[...document.querySelectorAll('model-viewer')].map((e) => e.getCameraOrbit().theta)"
    x, y = ann.place("#left model-viewer")
    for kind, by in (("mousePressed", 0), ("mouseMoved", 40), ("mouseMoved", 80), ("mouseReleased", 80)):
        ann.send("Input.dispatchMouseEvent", type=kind, x=x + by, y=y, button="left", buttons=1, clickCount=1)
    ann.wait(f"Math.abs({orbits}[0]) > 0.1 && Math.abs({orbits}[0] - {orbits}[1]) < 0.01", 60)
    ann.key("1")  # the mouse left the focus in the viewer, and keys are the page's all the same
    ann.wait("document.querySelector('#screen h1')?.textContent === 'All done'")


def test_what_did_not_come_is_asked_for_again(ann: Visitor, study: Study) -> None:
    kept = {name: study.media.pop(name) for name in ("0.png", "0.wav")}
    show(ann, study, vote("v", [image(0)], [sound(0)]))
    ann.wait("document.querySelector('audio').error")
    study.media.update(kept)
    ann.wait("document.querySelector('.frame img').naturalWidth && document.querySelector('audio').readyState === 4")
    assert ann.texts(".problem") == []


def test_what_cannot_be_shown_says_so_in_the_server_s_words(ann: Visitor, study: Study) -> None:
    broken = {"kind": "video", "url": "", "error": "the file is broken."}
    show(ann, study, vote("v", [broken], [{**image(1), "note": "converted"}]))
    assert ann.texts(".problem") == ["This video cannot be shown: the file is broken."]
    assert ann.texts("figcaption") == ["converted"]


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (1280, 500), (700, 900), (360, 700)])
def test_nothing_that_loads_moves_the_buttons_or_leaves_the_window(
    ann: Visitor, study: Study, width: int, height: int
) -> None:
    long = "w" * 100_000
    rtl = "\u05e9\u05dc\u05d5\u05dd " * 500 + "\u202e" + "abc " * 100
    prompt = [{"role": "user", "content": [image(0), text(rtl), sound(0)]}]
    one = vote("v", [text(long), *everything(0)[1:4]], [text(rtl), image(1)], prompt=prompt, criterion=rtl[:3000])
    study.items[:] = [one, vote("w", [text("Short.")], [image(1)])]
    ann.goto(study.link, width=width, height=height)
    places = (
        "JSON.stringify([...document.querySelectorAll('.choice')].map((e) => e.getBoundingClientRect()).map("
        "(r) => [r.x, r.y, r.width, r.height]))"
    )
    ann.wait("document.querySelector('.choice')")
    before = ann.value(places)
    ann.ready()
    ann.wait("[...document.querySelectorAll('img')].every((e) => e.naturalWidth)")
    assert ann.value(places) == before
    boxes = json.loads(before)
    assert all(x >= 0 and x + w <= width and y + h <= height and w > 40 and h > 30 for x, y, w, h in boxes)
    assert ann.value("document.documentElement.scrollWidth") == width
    ann.key("1")
    ann.wait("document.getElementById('number').textContent === '2 of 2'")
    assert ann.value(places) == before
