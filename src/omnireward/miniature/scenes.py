"""One scene for each task: what is asked, several responses, and the truth of each."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from omnireward.miniature.clips import DIRECTIONS, Clip, clip_item, draw_clip
from omnireward.miniature.items import COLOURS, Item, Split, draw_for, one_of
from omnireward.miniature.pictures import SHAPES, Picture, draw_picture, picture_item
from omnireward.miniature.solids import Solid, draw_solid, solid_item
from omnireward.miniature.sounds import PITCHES, TIMBRES, Sound, draw_sound, sound_item
from omnireward.miniature.texts import TOPICS, answer_item
from omnireward.types import Part, Task, Text


@dataclass(frozen=True, slots=True)
class Scene:
    """What is asked, and what responds to it.

    Attributes:
        prompt: in reading order.
        responses: items that are all of the split.
        labels: what can be read from the prompt alone, such as the colour asked for.
        shown: the prompt's medium, if any.
    """

    prompt: tuple[Part, ...]
    responses: tuple[Item, ...]
    labels: Mapping[str, float]
    shown: Item | None = None


def draw_scene(task: Task, split: Split, rng: np.random.Generator, count: int) -> Scene:
    """A scene for a task with `count` responses."""
    return _MAKERS[task](split, rng, count)


def _t2t(split: Split, rng: np.random.Generator, count: int) -> Scene:
    topic = one_of(rng, TOPICS)

    def answer() -> Item:
        named = _often(rng, topic, TOPICS)
        lead = one_of(rng, ("This is about {}.", "Here is some {}.", "On {}:"))
        return answer_item(split, rng, lead.format(named), {"topic": named}, {"topic": topic})

    ask = one_of(rng, ("Tell me about {}.", "What is {}?", "Write about {}."))
    return Scene((Text(ask.format(topic)),), tuple(answer() for _ in range(count)), {f"wants topic {topic}": 1.0})


def _often(rng: np.random.Generator, wanted: str, choices: Iterable[str]) -> str:
    """The wanted value half of the time, else another."""
    return wanted if rng.random() < 0.5 else one_of(rng, tuple(c for c in choices if c != wanted))


def _grounded(
    split: Split,
    rng: np.random.Generator,
    count: int,
    shown: Item,
    ask: str,
    right: Mapping[str, str],
    choices: Mapping[str, Iterable[str]],
    say: tuple[str, ...],
) -> Scene:
    """Answers about a medium, each fact of each true with probability 1/2."""

    def answer() -> Item:
        claims = {kind: _often(rng, value, choices[kind]) for kind, value in right.items()}
        return answer_item(split, rng, one_of(rng, say).format(**claims), claims, right)

    labels = {f"wants {kind} {value}": 1.0 for kind, value in right.items()}
    return Scene((shown.part, Text(ask)), tuple(answer() for _ in range(count)), labels, shown)


def _ti2t(split: Split, rng: np.random.Generator, count: int) -> Scene:
    p = draw_for(split, rng, draw_picture)
    right = {"colour": p.colour, "shape": p.shape}
    choices = {"colour": COLOURS, "shape": SHAPES}
    say = ("It is a {colour} {shape}.", "I see a {colour} {shape}.")
    return _grounded(split, rng, count, picture_item(p), "What is seen?", right, choices, say)


def _tv2t(split: Split, rng: np.random.Generator, count: int) -> Scene:
    c = draw_for(split, rng, draw_clip)
    right = {"colour": c.colour, "motion": c.direction}
    choices = {"colour": COLOURS, "motion": DIRECTIONS}
    say = ("A {colour} shape moves {motion}.", "It is {colour} and goes {motion}.")
    return _grounded(split, rng, count, clip_item(c), "What happens?", right, choices, say)


def _ta2t(split: Split, rng: np.random.Generator, count: int) -> Scene:
    s = draw_for(split, rng, draw_sound)
    right = {"pitch": s.pitch, "tone": s.timbre}
    choices = {"pitch": PITCHES, "tone": TIMBRES}
    say = ("I hear a {pitch} {tone} beep.", "A {pitch} sound, and {tone}.")
    return _grounded(split, rng, count, sound_item(s), "What is heard?", right, choices, say)


def _wants(colour: str) -> dict[str, float]:
    return {f"wants colour {colour}": 1.0}


def _t2i(split: Split, rng: np.random.Generator, count: int) -> Scene:
    colour, shape = one_of(rng, list(COLOURS)), one_of(rng, SHAPES)

    def draw(r: np.random.Generator) -> Picture:
        return replace(draw_picture(r), colour=_often(r, colour, COLOURS), shape=shape)

    responses = tuple(picture_item(draw_for(split, rng, draw), colour) for _ in range(count))
    return Scene((Text(f"Draw one {colour} {shape}."),), responses, _wants(colour))


def _ti2i(split: Split, rng: np.random.Generator, count: int) -> Scene:
    source = draw_for(split, rng, draw_picture)
    colour = one_of(rng, tuple(c for c in COLOURS if c != source.colour))

    def draw(r: np.random.Generator) -> Picture:
        edited = replace(draw_picture(r), shape=source.shape, place=source.place, filled=source.filled)
        return replace(edited, colour=_often(r, colour, COLOURS))

    responses = tuple(picture_item(draw_for(split, rng, draw), colour) for _ in range(count))
    ask = Text(f"Make the {source.shape} {colour}.")
    shown = picture_item(source)
    return Scene((shown.part, ask), responses, _wants(colour), shown)


def _t2v(split: Split, rng: np.random.Generator, count: int) -> Scene:
    colour, shape = one_of(rng, list(COLOURS)), one_of(rng, SHAPES)

    def draw(r: np.random.Generator) -> Clip:
        return replace(draw_clip(r), colour=_often(r, colour, COLOURS), shape=shape)

    responses = tuple(clip_item(draw_for(split, rng, draw), colour) for _ in range(count))
    return Scene((Text(f"Film one {colour} {shape}."),), responses, _wants(colour))


def _t2a(split: Split, rng: np.random.Generator, count: int) -> Scene:
    pitch = one_of(rng, list(PITCHES))

    def draw(r: np.random.Generator) -> Sound:
        return replace(draw_sound(r), pitch=_often(r, pitch, PITCHES))

    responses = tuple(sound_item(draw_for(split, rng, draw), pitch) for _ in range(count))
    return Scene((Text(f"Play one {pitch} beep."),), responses, {f"wants pitch {pitch}": 1.0})


def _t23d(split: Split, rng: np.random.Generator, count: int) -> Scene:
    colour = one_of(rng, list(COLOURS))

    def draw(r: np.random.Generator) -> Solid:
        return replace(draw_solid(r), colour=_often(r, colour, COLOURS))

    responses = tuple(solid_item(draw_for(split, rng, draw), colour) for _ in range(count))
    return Scene((Text(f"Build one {colour} object."),), responses, _wants(colour))


_MAKERS: dict[Task, Callable[[Split, np.random.Generator, int], Scene]] = {
    Task.T2T: _t2t,
    Task.TI2T: _ti2t,
    Task.TV2T: _tv2t,
    Task.TA2T: _ta2t,
    Task.T2I: _t2i,
    Task.T2V: _t2v,
    Task.T2A: _t2a,
    Task.T23D: _t23d,
    Task.TI2I: _ti2i,
}
