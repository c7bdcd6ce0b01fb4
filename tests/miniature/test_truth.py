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
from omnireward.miniature.items import COLOURS, WARM, Item, Split, draw_for, split_of
from omnireward.miniature.pictures import draw_picture, picture_item
from omnireward.miniature.scenes import draw_scene
from omnireward.miniature.solids import FORMS, draw_solid, solid_item
from omnireward.miniature.sounds import RATE, draw_sound, sound_item
from omnireward.miniature.texts import CAUTIOUS, CHEERFUL, DETAILS, EXAMPLES, POLITE, REASONS, TOPICS
from omnireward.types import Media, Part, Task, Text

Array = npt.NDArray[Any]
ITEMS = 4  # of each kind are measured
COLD = tuple(colour for colour in COLOURS if colour not in WARM)


@pytest.fixture(scope="module")
def decode() -> Decoder:
    return Decoder(DecodeOptions(frames=8))


def _media(item: Item) -> Media:
    assert isinstance(item.part, Media)
    return item.part


def _generators() -> Iterator[np.random.Generator]:
    return (np.random.default_rng([11, number]) for number in range(ITEMS))


def _told(item: Item, name: str) -> float:
    return {**item.labels, **item.truth}[name]


def _ground(picture: Array) -> Array:
    """The rows at the top, which no shape reaches."""
    return picture[..., :3, :, :].astype(float)


def _shape(picture: Array) -> Array:
    """True where there is colour: ground, stripes, band and dots are grey."""
    return np.asarray(np.ptp(picture.astype(float), axis=-1) > 40)


def _middle(picture: Array, axis: int) -> float:
    """The middle of the shape, in pixels: axis 0 counts downwards, axis 1 to the right."""
    return float(np.argwhere(_shape(picture))[:, axis].mean())


def _upright(picture: Array) -> float:
    """How much higher than wide the shape is, in pixels."""
    down, right = np.ptp(np.argwhere(_shape(picture)), axis=0)
    return float(down - right)


def _redness(picture: Array) -> float:
    red, _, blue = picture[_shape(picture)].astype(float).mean(axis=0)
    return float(red - blue)


# What is told (a truth or a label), the attribute, its lower and its higher value, and how it is measured.
Row = tuple[str, str, Any, Any, Callable[[Any], float]]
COLOURED: list[Row] = [("warm", "colour", cold, warm, _redness) for cold in COLD for warm in WARM]
DRAWN: list[Row] = [
    ("light", "light", 0.0, 1.0, lambda p: _ground(p).mean()),
    ("stripes", "stripes", 0.0, 1.0, lambda p: _ground(p).std(axis=-3).mean()),
    ("size", "size", 0.0, 1.0, lambda p: _shape(p).sum()),
    ("filled", "filled", False, True, lambda p: _shape(p).sum()),
    *COLOURED,
]
PICTURES: list[Row] = [
    *DRAWN,
    ("dots", "dots", 0, 1, lambda p: (p[44:55] < 60).sum()),
    ("dots", "dots", 1, 2, lambda p: (p[44:55] < 60).sum()),
    ("dots", "dots", 2, 3, lambda p: (p[44:55] < 60).sum()),
    ("height", "height", 0.0, 1.0, lambda p: -_middle(p, 0)),
    ("place middle", "place", "left", "middle", lambda p: _middle(p, 1)),
    ("place right", "place", "middle", "right", lambda p: _middle(p, 1)),
    ("shape square", "shape", "bar", "square", _upright),
    ("shape pole", "shape", "square", "pole", _upright),
]
CLIPS: list[Row] = [
    *DRAWN,
    ("speed", "speed", 0.0, 1.0, lambda c: abs(_middle(c[-1], 1) - _middle(c[0], 1))),
    ("moves right", "direction", "left", "right", lambda c: _middle(c[-1], 1) - _middle(c[0], 1)),
    ("shape pole", "shape", "bar", "pole", lambda c: _upright(c[1])),
]


def _names(rows: list[Row]) -> list[str]:
    return [f"{said} {high}" for said, _, _, high, _ in rows]


@pytest.mark.parametrize(("said", "attribute", "low", "high", "measure"), PICTURES, ids=_names(PICTURES))
def test_pictures(
    decode: Decoder, said: str, attribute: str, low: Any, high: Any, measure: Callable[[Array], float]
) -> None:
    for rng in _generators():
        drawn = draw_picture(rng)
        less, more = (picture_item(replace(drawn, **{attribute: value}), "red") for value in (low, high))
        assert _told(less, said) < _told(more, said)
        assert measure(decode(_media(less))) < measure(decode(_media(more)))


@pytest.mark.parametrize(("said", "attribute", "low", "high", "measure"), CLIPS, ids=_names(CLIPS))
def test_clips(
    decode: Decoder, said: str, attribute: str, low: Any, high: Any, measure: Callable[[Array], float]
) -> None:
    for rng in _generators():
        drawn = draw_clip(rng)
        less, more = (clip_item(replace(drawn, **{attribute: value}), "red") for value in (low, high))
        assert _told(less, said) < _told(more, said)
        assert measure(decode(_media(less))) < measure(decode(_media(more)))


def _peak(sound: Array) -> float:
    """The loudest frequency, Hz."""
    return float(np.fft.rfftfreq(len(sound), 1 / RATE)[np.abs(np.fft.rfft(sound)).argmax()])


def _overtones(sound: Array) -> float:
    """The share of energy above twice the loudest frequency."""
    energy = np.abs(np.fft.rfft(sound)) ** 2
    return float(energy[np.fft.rfftfreq(len(sound), 1 / RATE) > 2 * _peak(sound)].sum() / energy.sum())


def _beeps(sound: Array) -> int:
    """In how many thirds of the sound there is more than the faintest hiss (a deviation of 0.002)."""
    return sum(float(third.std()) > 0.008 for third in np.split(sound, 3))


SOUNDS: list[Row] = [
    ("loudness", "loudness", 0.0, 1.0, lambda s: s.std()),
    ("length", "length", 0.0, 1.0, lambda s: (np.abs(s) > 0.01).sum()),
    ("pitch", "pitch", "low", "middle", _peak),
    ("pitch", "pitch", "middle", "high", _peak),
    ("harsh", "timbre", "pure", "harsh", _overtones),
    ("beeps", "beeps", 1, 2, _beeps),
    ("beeps", "beeps", 2, 3, _beeps),
    ("hiss", "hiss", 0.0, 1.0, lambda s: s[-RATE // 50 :].std()),  # the last 20 ms are a pause
    ("glide", "glide", 0.0, 1.0, lambda s: _peak(s[RATE // 5 : RATE // 4]) - _peak(s[: RATE // 20])),
]


@pytest.mark.parametrize(("said", "attribute", "low", "high", "measure"), SOUNDS, ids=_names(SOUNDS))
def test_sounds(
    decode: Decoder, said: str, attribute: str, low: Any, high: Any, measure: Callable[[Array], float]
) -> None:
    for rng in _generators():
        drawn = replace(draw_sound(rng), hiss=0.0)
        if said == "glide":
            drawn = replace(drawn, pitch="high", length=1.0)  # so that 50 ms tell its beginning from its end
        less, more = (sound_item(replace(drawn, **{attribute: value}), "low") for value in (low, high))
        assert _told(less, said) < _told(more, said)
        assert measure(decode(_media(less))) < measure(decode(_media(more)))


def _body(views: Array) -> Array:
    """True where an object is: the views' ground is white, and so are stripes, which have dark edges."""
    return np.asarray(views.min(axis=-1) < 250)


def _extents(views: Array) -> Array:
    """Height and width of the object in the first view, in pixels."""
    return np.asarray(np.ptp(np.argwhere(_body(views[0])), axis=0))


def _coloured(views: Array) -> float:
    """How much colour there is: the mean range of red, green and blue over the object."""
    return float(np.ptp(views.astype(float), axis=-1)[_body(views)].mean())


def _dark(views: Array) -> float:
    """The share of the object that is as dark as its plate, which is grey."""
    grey = (np.ptp(views.astype(float), axis=-1) < 20) & (views.max(axis=-1) < 60)
    return float(grey.sum() / _body(views).sum())


def _red(views: Array) -> float:
    red, _, blue = views[_body(views)].astype(float).mean(axis=0)
    return float(red - blue)


SOLIDS: list[Row] = [
    ("light", "light", 0.0, 1.0, lambda v: v[_body(v)].max(axis=-1).mean()),
    ("stripes", "stripes", 0.0, 1.0, lambda v: -_coloured(v)),
    ("plate", "plate", False, True, _dark),
    ("tall", "tall", 0.0, 1.0, lambda v: _extents(v)[0] / _extents(v)[1]),
    *[("warm", "colour", cold, warm, _red) for cold, warm in zip(COLD, WARM, strict=True)],
]


@pytest.mark.parametrize(("said", "attribute", "low", "high", "measure"), SOLIDS, ids=_names(SOLIDS))
def test_solids(
    decode: Decoder, said: str, attribute: str, low: Any, high: Any, measure: Callable[[Array], float]
) -> None:
    """In the views that a model is shown."""
    for rng in _generators():
        drawn = replace(draw_solid(rng), plate=False)
        if said != "stripes":
            drawn = replace(drawn, stripes=0.0)
        less, more = (solid_item(replace(drawn, **{attribute: value}), "red") for value in (low, high))
        assert _told(less, said) < _told(more, said)
        assert measure(decode(_media(less))) < measure(decode(_media(more)))


def test_what_is_round_has_no_edges_from_bottom_to_top() -> None:
    """Seen from above: a square's half width is from cos 45 deg = 0.71 to 1 of its radius, a 12-gon's at least 0.96."""
    turns = np.linspace(0, np.pi, 180)
    for rng in _generators():
        for form in FORMS:
            item = solid_item(replace(draw_solid(rng), form=form, plate=False), "red")
            data = _media(item).source
            assert isinstance(data, bytes)
            mesh = trimesh.load(io.BytesIO(data), file_type="glb", force="mesh")
            assert isinstance(mesh, trimesh.Trimesh)
            flat = np.asarray(mesh.vertices)[:, [0, 2]]  # glTF is +Y up
            width = (flat @ np.array([np.cos(turns), np.sin(turns)])).max(axis=0)
            assert item.truth["round"] == float(width.min() / width.max() > 0.9)


@pytest.mark.parametrize(
    ("item", "rows"),
    [
        (picture_item(draw_picture(np.random.default_rng(0)), "red"), PICTURES),
        (clip_item(draw_clip(np.random.default_rng(0)), "red"), CLIPS),
        (sound_item(draw_sound(np.random.default_rng(0)), "low"), SOUNDS),
        (solid_item(draw_solid(np.random.default_rng(0)), "red"), SOLIDS),
    ],
    ids=["picture", "clip", "sound", "solid"],
)
def test_no_truth_is_left_unmeasured(item: Item, rows: list[Row]) -> None:
    """`round` has a test of its own; `match` and `general` follow from the colour or pitch, and stripes or hiss."""
    assert set(item.truth) - {row[0] for row in rows} - {"round"} == {"match", "general"}


def test_what_was_asked_for_matches_and_is_better_in_general() -> None:
    """By hand: a third for the match, two thirds for the absence of stripes or hiss."""
    rng = np.random.default_rng(3)
    picture, clip, solid, sound = draw_picture(rng), draw_clip(rng), draw_solid(rng), draw_sound(rng)
    for right, spoilt, general in ((True, 0.0, 1.0), (True, 1.0, 1 / 3), (False, 0.0, 2 / 3), (False, 1.0, 0.0)):
        colour, pitch = ("red", "low") if right else ("blue", "high")
        for item in (
            picture_item(replace(picture, colour=colour, stripes=spoilt), "red"),
            clip_item(replace(clip, colour=colour, stripes=spoilt), "red"),
            solid_item(replace(solid, colour=colour, stripes=spoilt), "red"),
            sound_item(replace(sound, pitch=pitch, hiss=spoilt), "low"),
        ):
            assert item.truth["match"] == float(right)
            assert item.truth["general"] == pytest.approx(general)


PHRASES = {"polite": POLITE, "cautious": CAUTIOUS, "cheerful": CHEERFUL, "reason": REASONS, "example": EXAMPLES}


@pytest.mark.parametrize("task", [Task.T2T, Task.TI2T, Task.TV2T, Task.TA2T], ids=lambda task: task.short)
def test_texts(task: Task) -> None:
    """Each manner is there where one of its phrases is, figures where digits are, detail where two fillers are."""
    manners: set[tuple[str, float]] = set()
    for number in range(12):
        for item in draw_scene(task, "train", np.random.default_rng([12, number]), 4).responses:
            assert isinstance(item.part, Text)
            words = item.part.text
            found = {name: float(any(each in words for each in phrases)) for name, phrases in PHRASES.items()}
            found["numbers"] = float(any(letter.isdigit() for letter in words))
            found["detail"] = sum(each in words for each in DETAILS) / 2
            assert {name: item.truth[name] for name in found} == found
            assert set(item.truth) - set(found) == {"true", "general"}
            manners |= set(found.items())
    assert manners == {(name, value) for name in (*PHRASES, "numbers", "detail") for value in (0.0, 1.0)}


def test_an_answer_is_true_as_far_as_it_names_what_is_asked_about_and_shown() -> None:
    """The topic is a word of the prompt; colour and shape of a picture are among its own labels."""
    for number in range(12):
        scene = draw_scene(Task.T2T, "train", np.random.default_rng([13, number]), 4)
        (prompt,) = scene.prompt
        assert isinstance(prompt, Text)
        (topic,) = _words(prompt) & set(TOPICS)
        for item in scene.responses:
            assert item.truth["true"] == float(topic in _words(item.part))
        scene = draw_scene(Task.TI2T, "train", np.random.default_rng([13, number]), 4)
        assert scene.shown is not None
        right = {name.split()[1] for name, there in scene.shown.labels.items() if there and name[:5] in _TOLD}
        assert len(right) == 2
        for item in scene.responses:
            assert item.truth["true"] == len(right & _words(item.part)) / 2
            assert item.truth["general"] == (item.truth["true"] + item.truth["polite"]) / 2


_TOLD = ("colou", "shape")


def _words(part: Part) -> set[str]:
    assert isinstance(part, Text)
    return set(re.findall(r"\w+", part.text))


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
