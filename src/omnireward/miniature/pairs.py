"""One pair of items for each task: what is asked, two responses, and the truth of both."""

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
class Pair:
    """What is asked (`prompt`, in reading order) and two items that respond to it.

    `labels` is what can be read from the prompt alone, such as the colour asked for; `shown` is its medium, if any.
    """

    prompt: tuple[Part, ...]
    a: Item
    b: Item
    labels: Mapping[str, float]
    shown: Item | None = None


def draw_pair(task: Task, split: Split, rng: np.random.Generator) -> Pair:
    """A pair for a task, all of its items from the split."""
    return _MAKERS[task](split, rng)


def _t2t(split: Split, rng: np.random.Generator) -> Pair:
    topic = one_of(rng, TOPICS)

    def answer() -> Item:
        named = _often(rng, topic, TOPICS)
        lead = one_of(rng, ("This is about {}.", "Here is some {}.", "On {}:"))
        item = answer_item(split, rng, lead.format(named), {"topic": named}, {"topic": topic})
        # Without a criterion people want a reason first, then the topic.
        return replace(item, truth={**item.truth, "general": (item.truth["topic"] + 2 * item.truth["reason"]) / 3})

    ask = one_of(rng, ("Tell me about {}.", "What is {}?", "Write about {}."))
    return Pair((Text(ask.format(topic)),), answer(), answer(), {f"wants topic {topic}": 1.0})


def _often(rng: np.random.Generator, wanted: str, choices: Iterable[str]) -> str:
    """The wanted value half of the time, else another."""
    return wanted if rng.random() < 0.5 else one_of(rng, tuple(c for c in choices if c != wanted))


def _grounded(
    split: Split,
    rng: np.random.Generator,
    shown: Item,
    ask: str,
    right: Mapping[str, str],
    choices: Mapping[str, Iterable[str]],
    say: tuple[str, ...],
) -> Pair:
    """Two answers about a medium, each fact of each true with probability 1/2."""

    def answer() -> Item:
        claims = {kind: _often(rng, value, choices[kind]) for kind, value in right.items()}
        return answer_item(split, rng, one_of(rng, say).format(**claims), claims, right)

    labels = {f"wants {kind} {value}": 1.0 for kind, value in right.items()}
    return Pair((shown.part, Text(ask)), answer(), answer(), labels, shown)


def _ti2t(split: Split, rng: np.random.Generator) -> Pair:
    p = draw_for(split, rng, draw_picture)
    right = {"colour": p.colour, "shape": p.shape}
    choices = {"colour": COLOURS, "shape": SHAPES}
    say = ("It is a {colour} {shape}.", "I see a {colour} {shape}.")
    return _grounded(split, rng, picture_item(p), "What is seen?", right, choices, say)


def _tv2t(split: Split, rng: np.random.Generator) -> Pair:
    c = draw_for(split, rng, draw_clip)
    right = {"colour": c.colour, "motion": c.direction}
    choices = {"colour": COLOURS, "motion": DIRECTIONS}
    say = ("A {colour} shape moves {motion}.", "It is {colour} and goes {motion}.")
    return _grounded(split, rng, clip_item(c), "What happens?", right, choices, say)


def _ta2t(split: Split, rng: np.random.Generator) -> Pair:
    s = draw_for(split, rng, draw_sound)
    right = {"pitch": s.pitch, "tone": s.timbre}
    choices = {"pitch": PITCHES, "tone": TIMBRES}
    say = ("I hear a {pitch} {tone} beep.", "A {pitch} sound, and {tone}.")
    return _grounded(split, rng, sound_item(s), "What is heard?", right, choices, say)


def _wants(colour: str) -> dict[str, float]:
    return {f"wants colour {colour}": 1.0}


def _t2i(split: Split, rng: np.random.Generator) -> Pair:
    colour, shape = one_of(rng, list(COLOURS)), one_of(rng, SHAPES)

    def response() -> Item:
        def draw(r: np.random.Generator) -> Picture:
            return replace(draw_picture(r), colour=_often(r, colour, COLOURS), shape=shape)

        return picture_item(draw_for(split, rng, draw), colour)

    return Pair((Text(f"Draw one {colour} {shape}."),), response(), response(), _wants(colour))


def _ti2i(split: Split, rng: np.random.Generator) -> Pair:
    source = draw_for(split, rng, draw_picture)
    colour = one_of(rng, tuple(c for c in COLOURS if c != source.colour))

    def response() -> Item:
        def draw(r: np.random.Generator) -> Picture:
            edited = replace(draw_picture(r), shape=source.shape, place=source.place, filled=source.filled)
            light = source.light if r.random() < 0.5 else edited.light
            return replace(edited, colour=_often(r, colour, COLOURS), light=light)

        edit = draw_for(split, rng, draw)
        item = picture_item(edit, colour)
        return replace(item, truth={**item.truth, "kept": float(edit.light == source.light)})

    ask = Text(f"Make the {source.shape} {colour}.")
    shown = picture_item(source)
    return Pair((shown.part, ask), response(), response(), _wants(colour), shown)


def _t2v(split: Split, rng: np.random.Generator) -> Pair:
    colour, shape = one_of(rng, list(COLOURS)), one_of(rng, SHAPES)

    def response() -> Item:
        def draw(r: np.random.Generator) -> Clip:
            return replace(draw_clip(r), colour=_often(r, colour, COLOURS), shape=shape)

        return clip_item(draw_for(split, rng, draw), colour)

    return Pair((Text(f"Film one {colour} {shape}."),), response(), response(), _wants(colour))


def _t2a(split: Split, rng: np.random.Generator) -> Pair:
    pitch = one_of(rng, list(PITCHES))

    def response() -> Item:
        def draw(r: np.random.Generator) -> Sound:
            return replace(draw_sound(r), pitch=_often(r, pitch, PITCHES))

        return sound_item(draw_for(split, rng, draw), pitch)

    return Pair((Text(f"Play one {pitch} beep."),), response(), response(), {f"wants pitch {pitch}": 1.0})


def _t23d(split: Split, rng: np.random.Generator) -> Pair:
    colour = one_of(rng, list(COLOURS))

    def response() -> Item:
        def draw(r: np.random.Generator) -> Solid:
            return replace(draw_solid(r), colour=_often(r, colour, COLOURS))

        return solid_item(draw_for(split, rng, draw), colour)

    return Pair((Text(f"Build one {colour} object."),), response(), response(), _wants(colour))


_MAKERS: dict[Task, Callable[[Split, np.random.Generator], Pair]] = {
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
