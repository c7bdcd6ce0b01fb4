"""Which samples are shown, and what becomes of their media."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from omnireward import gallery
from omnireward.media import encode
from omnireward.types import Comparison, Media, Part, Sample, Task, Text, Turn

PROMPT = (Turn("user", (Text("draw"),)),)


def _sample(name: str, task: Task, part: Part) -> Sample:
    return Sample(name, task, Comparison(PROMPT, (part,), (Text("b"),), "criterion"), "a", "c")


def _shown(tmp_path: Path, part: Part) -> dict[str, Any]:
    gallery.write([(7, _sample("s", Task.T2I, part))], tmp_path / "shown.jsonl")
    (line,) = (tmp_path / "shown.jsonl").read_text().splitlines()
    found = json.loads(line)
    assert (found["index"], found["criterion"]) == (7, "criterion")
    assert found["prompt"] == [{"role": "user", "content": [{"kind": "text", "text": "draw"}]}]
    assert found["response_b"] == [{"kind": "text", "text": "b"}]
    (shown,) = found["response_a"]
    assert isinstance(shown, dict)
    return shown


def _decoded(url: str) -> tuple[str, bytes]:
    head, data = url.split(",", 1)
    return head, base64.b64decode(data)


def test_the_shelf_keeps_some_of_each_task_whatever_the_order() -> None:
    samples = [
        *enumerate(_sample(f"t{n}", Task.T2T, Text("a")) for n in range(20)),
        (20, _sample("i", Task.T2I, Text("a"))),
    ]
    forward, backward = gallery.Shelf(3), gallery.Shelf(3)
    assert list(forward.watch(samples)) == samples
    assert list(backward.watch(reversed(samples))) == samples[::-1]
    kept = forward.samples()
    assert kept == backward.samples()
    assert [sample.task for _, sample in kept] == [Task.T2T] * 3 + [Task.T2I]
    assert [index for index, _ in kept] == sorted(index for index, _ in kept)
    nothing = gallery.Shelf(0)
    assert len(list(nothing.watch(samples))) == 21
    assert nothing.samples() == []


def test_a_picture_is_scaled_down_and_keeps_its_shape(tmp_path: Path) -> None:
    """800 x 400 pixels become 384 x 192; noise is smaller as JPEG, one colour as PNG."""
    noise = np.random.default_rng(0).integers(0, 256, (400, 800, 3), dtype=np.uint8)
    for pixels, head in ((noise, "data:image/jpeg;base64"), (np.full_like(noise, 9), "data:image/png;base64")):
        shown = _shown(tmp_path, Media("image", encode.png(pixels)))
        assert (shown["kind"], shown["media"], shown["error"]) == ("image", "", "")
        (url,) = shown["pictures"]
        found, data = _decoded(url)
        assert found == head
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == (384, 192)


def test_a_sound_is_playable_as_it_was_or_as_wav(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tone = (np.sin(np.arange(8000) / 8) / 2).astype(np.float32)
    wav = encode.wav(tone, 8000)
    shown = _shown(tmp_path, Media("audio", wav))
    assert _decoded(shown["media"]) == ("data:audio/wav;base64", wav)
    assert shown["pictures"] == []

    # As if browsers did not play the original: one second at 16 kHz, 2 bytes a sample, after a header of 44 bytes.
    monkeypatch.setattr(gallery, "_PLAYABLE", ())
    head, data = _decoded(_shown(tmp_path, Media("audio", wav))["media"])
    assert head == "data:audio/wav;base64"
    assert len(data) == pytest.approx(44 + 32000, abs=64)

    monkeypatch.setattr(gallery, "LARGEST_PLAYABLE", 1000)
    shown = _shown(tmp_path, Media("audio", wav))
    assert (shown["media"], shown["error"]) == ("", "too long to be played from this page")


def test_a_video_shows_frames_and_plays(tmp_path: Path) -> None:
    frames = np.zeros((8, 32, 32, 3), np.uint8)
    frames[4:] = 255
    mp4 = encode.mp4(frames, 4)
    shown = _shown(tmp_path, Media("video", mp4))
    assert len(shown["pictures"]) == gallery.OPTIONS.frames
    assert shown["pictures"][0] != shown["pictures"][-1]
    assert _decoded(shown["media"]) == ("data:video/mp4;base64", mp4)
    given = _shown(tmp_path, Media("video", tuple(encode.png(frame) for frame in frames)))
    assert (len(given["pictures"]), given["media"]) == (gallery.OPTIONS.frames, "")


@pytest.mark.parametrize(
    "media",
    [
        Media("image", Path("/nowhere/cat.png")),
        Media("image", b"\x89PNG but not really"),
        Media("audio", b"RIFF\0\0\0\0WAVE"),
        Media("video", b"\0\0\0\0ftyp<script>"),
        Media("mesh", b"glTF"),
    ],
)
def test_media_that_cannot_be_shown_say_why_and_are_not_in_the_page(media: Media, tmp_path: Path) -> None:
    shown = _shown(tmp_path, media)
    assert shown["error"]
    assert (shown["pictures"], shown["media"]) == ([], "")
