"""The truth of an item can be seen and heard in what is decoded from its bytes.

Each attribute is set low and high on the same random items, all else equal, and measured in pixels, samples or meshes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import trimesh

from omnireward.media import DecodeOptions, Decoder
from omnireward.miniature.clips import clip_item, draw_clip
from omnireward.miniature.items import Item, Split, draw_for, split_of
from omnireward.miniature.pairs import draw_pair
from omnireward.miniature.pictures import draw_picture, picture_item
from omnireward.miniature.solids import draw_solid, solid_item
from omnireward.miniature.sounds import RATE, draw_sound, sound_item
from omnireward.miniature.texts import TOPICS
from omnireward.types import Media, Task, Text

Array = npt.NDArray[Any]
ITEMS = 4  # of each kind are measured


@pytest.fixture(scope="module")
def decode() -> Decoder:
    return Decoder(DecodeOptions(frames=8))


def _media(item: Item) -> Media:
    assert isinstance(item.part, Media)
    return item.part


def _generators() -> Iterator[np.random.Generator]:
    return (np.random.default_rng([11, number]) for number in range(ITEMS))


def _ground(picture: Array) -> Array:
    """The corner at the upper left, which no shape reaches."""
    return picture[..., :4, :4, :].astype(float)


def _shape(picture: Array) -> Array:
    """True where there is colour: ground, dots and grain are grey."""
    return np.asarray(np.ptp(picture.astype(float), axis=-1) > 40)


def _middle(picture: Array, axis: int) -> float:
    """The middle of the shape, in pixels: axis 0 counts downwards, axis 1 to the right."""
    return float(np.argwhere(_shape(picture))[:, axis].mean())


def _redness(picture: Array) -> float:
    red, _, blue = picture[_shape(picture)].astype(float).mean(axis=0)
    return float(red - blue)


PICTURES: list[tuple[str, Any, Any, Callable[[Array], float]]] = [
    ("light", 0.0, 1.0, lambda p: _ground(p).mean()),
    ("size", 0.0, 1.0, lambda p: _shape(p).sum()),
    ("place", "left", "right", lambda p: _middle(p, 1)),
    ("height", 0.0, 1.0, lambda p: -_middle(p, 0)),
    ("filled", False, True, lambda p: _shape(p).sum()),
    ("grain", 0.0, 1.0, lambda p: _ground(p).std()),
    ("colour", "blue", "red", _redness),
]


@pytest.mark.parametrize(("attribute", "low", "high", "measure"), PICTURES, ids=[row[0] for row in PICTURES])
def test_pictures(decode: Decoder, attribute: str, low: Any, high: Any, measure: Callable[[Array], float]) -> None:
    for rng in _generators():
        drawn = replace(draw_picture(rng), grain=0.0)
        less, more = (decode(_media(picture_item(replace(drawn, **{attribute: v})))) for v in (low, high))
        assert measure(less) < measure(more)


CLIPS: list[tuple[str, Any, Any, Callable[[Array], float]]] = [
    ("direction", "left", "right", lambda c: _middle(c[-1], 1) - _middle(c[0], 1)),
    ("speed", 0.0, 1.0, lambda c: abs(_middle(c[-1], 1) - _middle(c[0], 1))),
    ("size", 0.0, 1.0, lambda c: _shape(c).sum()),
    ("light", 0.0, 1.0, lambda c: _ground(c).mean()),
    ("flicker", 0.0, 1.0, lambda c: _ground(c).mean(axis=(1, 2, 3)).std()),
    ("growth", 0.0, 1.0, lambda c: float(_shape(c[-1]).sum()) - float(_shape(c[0]).sum())),
]


@pytest.mark.parametrize(("attribute", "low", "high", "measure"), CLIPS, ids=[row[0] for row in CLIPS])
def test_clips(decode: Decoder, attribute: str, low: Any, high: Any, measure: Callable[[Array], float]) -> None:
    for rng in _generators():
        drawn = draw_clip(rng)
        less, more = (decode(_media(clip_item(replace(drawn, **{attribute: v})))) for v in (low, high))
        assert measure(less) < measure(more)


def _peak(sound: Array) -> float:
    """The loudest frequency, Hz."""
    return float(np.fft.rfftfreq(len(sound), 1 / RATE)[np.abs(np.fft.rfft(sound)).argmax()])


def _overtones(sound: Array) -> float:
    """The share of energy above twice the loudest frequency."""
    energy = np.abs(np.fft.rfft(sound)) ** 2
    return float(energy[np.fft.rfftfreq(len(sound), 1 / RATE) > 2 * _peak(sound)].sum() / energy.sum())


SOUNDS: list[tuple[str, Any, Any, Callable[[Array], float]]] = [
    ("loudness", 0.0, 1.0, lambda s: float(np.sqrt((s**2).mean()))),
    ("length", 0.0, 1.0, len),
    ("pitch", "low", "high", _peak),
    ("timbre", "pure", "harsh", _overtones),
    ("hiss", 0.0, 1.0, lambda s: float(np.median(np.abs(np.diff(s[-RATE // 50 :]))))),  # the last 20 ms are a pause
    ("glide", 0.0, 1.0, lambda s: _peak(s[len(s) // 2 : len(s) // 2 + RATE // 20]) - _peak(s[: RATE // 20])),
]


@pytest.mark.parametrize(("attribute", "low", "high", "measure"), SOUNDS, ids=[row[0] for row in SOUNDS])
def test_sounds(decode: Decoder, attribute: str, low: Any, high: Any, measure: Callable[[Array], float]) -> None:
    for rng in _generators():
        drawn = replace(draw_sound(rng), hiss=0.0, beeps=2, pitch="high", loudness=1.0, timbre="pure")
        less, more = (decode(_media(sound_item(replace(drawn, **{attribute: v})))) for v in (low, high))
        assert measure(less) < measure(more)


def _mesh(item: Item) -> trimesh.Trimesh:
    data = _media(item).source
    assert isinstance(data, bytes)
    mesh = trimesh.load(io.BytesIO(data), file_type="glb", force="mesh")
    assert isinstance(mesh, trimesh.Trimesh)
    return mesh


def _colour(mesh: trimesh.Trimesh) -> Array:
    assert isinstance(mesh.visual, trimesh.visual.ColorVisuals)
    colours: Array = np.asarray(mesh.visual.vertex_colors, dtype=float)
    return colours[:, :3].mean(axis=0)  # type: ignore[no-any-return]


SOLIDS: list[tuple[str, Any, Any, Callable[[trimesh.Trimesh], float]]] = [
    ("tall", 0.0, 1.0, lambda m: m.extents[1] / m.extents[0]),  # glTF is +Y up
    ("torn", 1.0, 0.0, lambda m: m.area),
    ("shade", 0.0, 1.0, lambda m: _colour(m).sum()),
    ("plate", False, True, lambda m: m.extents[0] + m.extents[2]),
    ("colour", "blue", "red", lambda m: _colour(m)[0] - _colour(m)[2]),
    ("parts", 1, 3, lambda m: m.body_count),
]


@pytest.mark.parametrize(("attribute", "low", "high", "measure"), SOLIDS, ids=[row[0] for row in SOLIDS])
def test_solids(attribute: str, low: Any, high: Any, measure: Callable[[trimesh.Trimesh], float]) -> None:
    for rng in _generators():
        drawn = replace(draw_solid(rng), plate=False, torn=0.0)
        less, more = (_mesh(solid_item(replace(drawn, **{attribute: v}), "red")) for v in (low, high))
        assert measure(less) < measure(more)


def test_texts() -> None:
    """Figures are digits, the topic is its word, and of thirty pairs those with more detail are longer on average."""
    lengths: dict[float, list[int]] = {}
    for number in range(30):
        pair = draw_pair(Task.T2T, "train", np.random.default_rng([12, number]))
        (prompt,) = pair.prompt
        assert isinstance(prompt, Text)
        (topic,) = set(re.findall(r"\w+", prompt.text)) & set(TOPICS)
        for item in (pair.a, pair.b):
            assert isinstance(item.part, Text)
            words = item.part.text
            assert item.truth["numbers"] == float(any(letter.isdigit() for letter in words))
            assert item.truth["topic"] == float(topic in re.findall(r"\w+", words))
            lengths.setdefault(item.truth["detail"], []).append(len(words))
    assert np.mean(lengths[min(lengths)]) < np.mean(lengths[max(lengths)])


def test_a_draw_is_repeated_until_it_is_of_the_split() -> None:
    rng = np.random.default_rng(0)
    splits: tuple[Split, ...] = ("train", "test")
    for split in splits:
        drawn = [draw_for(split, rng, lambda r: int(r.integers(1000))) for _ in range(30)]
        assert {split_of(repr(number)) for number in drawn} == {split}


def test_a_description_without_variety_is_an_error_not_an_endless_loop() -> None:
    other: Split = "test" if split_of("1") == "train" else "train"
    with pytest.raises(RuntimeError, match="too little variety"):
        draw_for(other, np.random.default_rng(0), lambda _: 1)
