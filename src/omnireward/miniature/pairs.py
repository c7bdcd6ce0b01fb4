"""One pair of items for each task: what is asked, two responses, and the truth of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from omnireward.miniature.clips import DIRECTIONS, Clip, clip_item, draw_clip
from omnireward.miniature.items import COLOURS, Item, Split, draw_for, one_of
from omnireward.miniature.pictures import PLACES, SHAPES, Picture, draw_picture, picture_item
from omnireward.miniature.solids import Solid, draw_solid, solid_item
from omnireward.miniature.sounds import COUNTS, PITCHES, TIMBRES, Sound, draw_sound, sound_item
from omnireward.miniature.texts import TOPICS, Manner, answer_item, draw_manner
from omnireward.types import Part, Task, Text


@dataclass(frozen=True, slots=True)
class Pair:
    """What is asked (`prompt`, in reading order) and two items that respond to it."""

    prompt: tuple[Part, ...]
    a: Item
    b: Item


def draw_pair(task: Task, split: Split, rng: np.random.Generator) -> Pair:
    """A pair for a task, all of its items from the split."""
    return _MAKERS[task](split, rng)


def _t2t(split: Split, rng: np.random.Generator) -> Pair:
    topic = one_of(rng, TOPICS)

    def answer() -> Item:
        named = topic if rng.random() < 0.6 else one_of(rng, TOPICS)
        manner = draw_for(split, rng, draw_manner)
        lead = one_of(rng, ("Here is something about {}.", "This is about {}.", "I can tell you of {}."))
        item = answer_item(manner, (lead.format(named),), {"topic": float(named == topic)})
        # Without a criterion people want the topic first, then a reason.
        return replace(item, truth={**item.truth, "general": (2 * item.truth["topic"] + item.truth["reason"]) / 3})

    ask = one_of(rng, ("Tell me about {}.", "What do you know about {}?", "Write about {}."))
    return Pair((Text(ask.format(topic)),), answer(), answer())


def _claims(rng: np.random.Generator, right: dict[str, str], choices: dict[str, tuple[str, ...]]) -> dict[str, str]:
    """What an answer claims: each fact true with probability 1/2, else another of its choices."""
    claims = {}
    for name, value in right.items():
        others = tuple(c for c in choices[name] if c != value)
        claims[name] = value if rng.random() < 0.5 else one_of(rng, others)
    return claims


def _grounded(
    split: Split,
    rng: np.random.Generator,
    shown: Item,
    ask: str,
    right: dict[str, str],
    choices: dict[str, tuple[str, ...]],
    say: tuple[str, ...],
) -> Pair:
    def answer() -> Item:
        claims = _claims(rng, right, choices)
        manner: Manner = draw_for(split, rng, draw_manner)
        facts = one_of(rng, say).format(**claims)
        return answer_item(manner, (facts,), {name: float(claims[name] == right[name]) for name in right})

    return Pair((shown.part, Text(ask)), answer(), answer())


def _ti2t(split: Split, rng: np.random.Generator) -> Pair:
    p = draw_for(split, rng, draw_picture)
    right = {"colour": p.colour, "shape": p.shape, "place": p.place}
    choices = {"colour": tuple(COLOURS), "shape": SHAPES, "place": PLACES}
    say = ("A {colour} {shape} on the {place}.", "I see a {colour} {shape}, {place}.")
    return _grounded(split, rng, picture_item(p), "What is in the picture?", right, choices, say)


def _tv2t(split: Split, rng: np.random.Generator) -> Pair:
    c = draw_for(split, rng, draw_clip)
    right = {"colour": c.colour, "shape": c.shape, "motion": c.direction}
    choices = {"colour": tuple(COLOURS), "shape": SHAPES, "motion": DIRECTIONS}
    say = ("A {colour} {shape} moves {motion}.", "The {colour} {shape} goes {motion}.")
    return _grounded(split, rng, clip_item(c), "What happens in the clip?", right, choices, say)


def _ta2t(split: Split, rng: np.random.Generator) -> Pair:
    s = draw_for(split, rng, draw_sound)
    right = {"pitch": s.pitch, "tone": s.timbre, "count": COUNTS[s.beeps - 1]}
    choices = {"pitch": tuple(PITCHES), "tone": TIMBRES, "count": COUNTS}
    say = ("I hear {count} beep, {pitch} and {tone}.", "It is a {pitch} {tone} sound, {count} beep.")
    return _grounded(split, rng, sound_item(s), "What do you hear?", right, choices, say)


def _often(rng: np.random.Generator, wanted: str, choices: tuple[str, ...]) -> str:
    """The wanted value half of the time, else another."""
    return wanted if rng.random() < 0.5 else one_of(rng, tuple(c for c in choices if c != wanted))


def _t2i(split: Split, rng: np.random.Generator) -> Pair:
    colour, shape = one_of(rng, list(COLOURS)), one_of(rng, SHAPES)

    def response() -> Item:
        def draw(r: np.random.Generator) -> Picture:
            return replace(draw_picture(r), colour=_often(r, colour, tuple(COLOURS)), shape=shape)

        return picture_item(draw_for(split, rng, draw), colour)

    return Pair((Text(f"Draw one {colour} {shape}."),), response(), response())


def _ti2i(split: Split, rng: np.random.Generator) -> Pair:
    source = draw_for(split, rng, draw_picture)
    colour = one_of(rng, tuple(c for c in COLOURS if c != source.colour))

    def response() -> Item:
        def draw(r: np.random.Generator) -> Picture:
            edited = replace(draw_picture(r), shape=source.shape, place=source.place, filled=source.filled)
            light = source.light if r.random() < 0.5 else edited.light
            return replace(edited, colour=_often(r, colour, tuple(COLOURS)), light=light)

        edit = draw_for(split, rng, draw)
        item = picture_item(edit, colour)
        return replace(item, truth={**item.truth, "kept": float(edit.light == source.light)})

    ask = Text(f"Make the {source.shape} {colour}.")
    return Pair((picture_item(source).part, ask), response(), response())


def _t2v(split: Split, rng: np.random.Generator) -> Pair:
    colour, shape = one_of(rng, list(COLOURS)), one_of(rng, SHAPES)

    def response() -> Item:
        def draw(r: np.random.Generator) -> Clip:
            return replace(draw_clip(r), colour=_often(r, colour, tuple(COLOURS)), shape=shape)

        return clip_item(draw_for(split, rng, draw), colour)

    return Pair((Text(f"Film one {colour} {shape} that moves."),), response(), response())


def _t2a(split: Split, rng: np.random.Generator) -> Pair:
    pitch = one_of(rng, list(PITCHES))

    def response() -> Item:
        def draw(r: np.random.Generator) -> Sound:
            return replace(draw_sound(r), pitch=_often(r, pitch, tuple(PITCHES)))

        return sound_item(draw_for(split, rng, draw), pitch)

    return Pair((Text(f"Play one {pitch} beep."),), response(), response())


def _t23d(split: Split, rng: np.random.Generator) -> Pair:
    colour = one_of(rng, list(COLOURS))

    def response() -> Item:
        def draw(r: np.random.Generator) -> Solid:
            return replace(draw_solid(r), colour=_often(r, colour, tuple(COLOURS)))

        return solid_item(draw_for(split, rng, draw), colour)

    return Pair((Text(f"Build one {colour} object."),), response(), response())


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
