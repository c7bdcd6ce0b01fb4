"""Media on the page: dropped, chosen, refused, and sent as base64."""

from __future__ import annotations

import base64
from pathlib import Path

import numpy as np
import pytest
from tests.web.browser import Tab
from tests.web.fake import Fake
from tests.web.test_playground import ask, fill

from omnireward.media import encode

PICTURE = encode.png(np.full((6, 8, 3), (200, 30, 30), np.uint8))


def file(folder: Path, name: str, data: bytes = PICTURE) -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


def named(tab: Tab, place: str) -> list[str]:
    return tab.texts(f"{place} .files .note")


def test_a_dropped_picture_is_shown_and_sent_before_the_text(tab: Tab, fake: Fake, tmp_path: Path) -> None:
    fill(tab, "What is it?", ["A dog.", ""])
    # A picture that comes moves what is below it, so the next drop waits for it.
    drawn = "[...document.querySelectorAll('.files img')].filter((image) => image.naturalWidth === 8).length"
    tab.drop("#prompt .composer", [file(tmp_path, "dog.png")])
    tab.wait(f"{drawn} === 1")
    tab.drop("#responses .composer:nth-child(2)", [tmp_path / "dog.png"])
    tab.wait(f"{drawn} === 2")
    ask(tab)
    image = {"type": "image", "base64": base64.b64encode(PICTURE).decode()}
    assert fake.asked[0][1] == {
        "prompt": [{"role": "user", "content": [image, {"type": "text", "text": "What is it?"}]}],
        "responses": ["A dog.", [image]],
        "criteria": [""],
        "pairs": True,
    }


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.jpg", "image"),
        ("a.mp4", "video"),
        ("a.wav", "audio"),
        ("a.flac", "audio"),
        ("a.glb", "mesh"),
        ("A.OBJ", "mesh"),
    ],
)
def test_a_file_is_the_part_that_its_name_says(tab: Tab, fake: Fake, tmp_path: Path, name: str, kind: str) -> None:
    fill(tab, "Make it.", [""])
    tab.choose("#responses input[type=file]", [file(tmp_path, name, bytes(range(256)))])
    tab.wait("document.querySelector('#responses .no-preview')")  # these bytes are none; then nothing moves any more
    ask(tab)
    expected = {"type": kind, "base64": base64.b64encode(bytes(range(256))).decode()}
    assert fake.asked[0][1]["responses"] == [[expected]]


def test_several_keep_their_order_and_one_can_go(tab: Tab, fake: Fake, tmp_path: Path) -> None:
    fill(tab, "Make it.", [""])
    # The first is the largest: reading it ends last where all are read at once.
    paths = [file(tmp_path, f"{i}.wav", bytes([i]) * size) for i, size in enumerate((3_000_000, 200, 10), 1)]
    tab.choose("#responses input[type=file]", paths)
    tab.wait("document.querySelectorAll('#responses .no-preview').length === 3")
    assert named(tab, "#responses") == ["1.wav · 3.0 MB", "2.wav · 200 bytes", "3.wav · 10 bytes"]
    tab.click("#responses .files li:nth-child(2) button")
    ask(tab)
    sent = [base64.b64decode(part["base64"]) for part in fake.asked[0][1]["responses"][0]]
    assert sent == [b"\x01" * 3_000_000, b"\x03" * 10]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("notes.txt", b"x", "notes.txt is not an image, a video, a sound, a .glb or an .obj."),
        ("none.png", b"", "none.png is empty."),
        ("large.mp4", b"\0" * (45 * 2**20 + 1), "large.mp4 has 47.2 MB; this page sends files of up to 47.2 MB."),
    ],
)
def test_what_cannot_be_sent_is_said(tab: Tab, tmp_path: Path, name: str, data: bytes, words: str) -> None:
    tab.drop("#prompt .composer", [file(tmp_path, name, data)])
    tab.wait("!document.querySelector('#prompt .problem').hidden")
    assert tab.text("#prompt .problem") == words
    assert named(tab, "#prompt") == []


def test_what_the_browser_cannot_show_is_sent_all_the_same(tab: Tab, fake: Fake, tmp_path: Path) -> None:
    fill(tab, "What is it?", ["A dog."])
    tab.drop("#prompt .composer", [file(tmp_path, "broken.png", b"no picture")])
    tab.wait("document.querySelector('.no-preview')")
    assert tab.text(".no-preview") == "no preview"
    ask(tab)
    assert fake.asked[0][1]["prompt"][0]["content"][0]["base64"] == base64.b64encode(b"no picture").decode()


def test_a_pasted_picture_is_taken_but_not_one_of_words(tab: Tab) -> None:
    paste = (
        "(texts) => {{ const data = new DataTransfer();"
        "data.items.add(new File(['x'], '{0}.png', {{type: 'image/png'}}));"
        "for (const [kind, text] of Object.entries(texts)) data.setData(kind, text);"
        "const event = new ClipboardEvent('paste', {{clipboardData: data, cancelable: true}});"
        "return document.querySelector('#prompt textarea').dispatchEvent(event); }}"
    )
    left_to_the_browser = tab.value(f"({paste.format('words')})({{'text/plain': 'a', 'text/html': '<p>a</p>'}})")
    assert left_to_the_browser
    assert not tab.value(f"({paste.format('picture')})({{'text/html': '<img>'}})")
    tab.wait("document.querySelector('#prompt .files li')")
    assert named(tab, "#prompt") == ["picture.png · 1 byte"]


def test_a_file_dropped_beside_its_place_leaves_the_page(tab: Tab, tmp_path: Path) -> None:
    fill(tab, "Say hello.", ["a"])
    tab.drop("h1", [file(tmp_path, "dog.png")])
    assert tab.value("document.querySelector('#prompt textarea').value") == "Say hello."
    assert named(tab, "#prompt") == []


def test_another_medium_makes_the_answers_old(tab: Tab, tmp_path: Path) -> None:
    fill(tab, "Say hello.", ["a"])
    ask(tab)
    tab.drop("#prompt .composer", [file(tmp_path, "dog.png")])
    tab.wait("!document.getElementById('stale').hidden")
