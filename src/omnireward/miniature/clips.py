"""Short clips: one shape moving across a plain ground at its own speed, perhaps striped."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import ImageDraw

from omnireward.media.encode import mp4
from omnireward.miniature.items import COLOURS, WARM, Item, colour_labels, level, one_of
from omnireward.miniature.pictures import SHAPES, ground, shape
from omnireward.types import Media

FRAMES = 4
FPS = 4  # frames per second
DIRECTIONS = ("left", "right")


@dataclass(frozen=True, slots=True)
class Clip:
    """What a clip shows. Values without a unit are in [0, 1]; `row` is the height of the way, pixels."""

    colour: str
    shape: str
    direction: str
    speed: float
    size: float
    light: float
    stripes: float
    filled: bool
    row: int


def draw_clip(rng: np.random.Generator) -> Clip:
    """A clip with every attribute drawn at random."""
    return Clip(
        colour=one_of(rng, list(COLOURS)),
        shape=one_of(rng, SHAPES),
        direction=one_of(rng, DIRECTIONS),
        speed=level(rng, 2),
        size=level(rng, 2),
        light=level(rng, 2),
        stripes=level(rng, 2),
        filled=bool(rng.random() < 0.7),
        row=20 + int(rng.integers(17)),
    )


def frames(c: Clip) -> npt.NDArray[np.uint8]:
    """The clip as uint8 (FRAMES, SIDE, SIDE, 3)."""
    made = []
    travel = 5 + 15 * c.speed  # pixels from the middle to either end of the way
    for n in range(FRAMES):
        t = 2 * n / (FRAMES - 1) - 1  # -1 at the first frame, +1 at the last
        image = ground(c.light, c.stripes)
        x = 28 + (1 if c.direction == "right" else -1) * travel * t
        pen = ImageDraw.Draw(image)
        shape(pen, c.shape, (round(x), c.row), 6 + 4 * c.size, COLOURS[c.colour], filled=c.filled)
        made.append(np.asarray(image))
    return np.stack(made)


def clip_labels(c: Clip) -> dict[str, float]:
    """What a model can be taught to see in a clip."""
    return {
        **colour_labels(c.colour),
        **{f"shape {name}": float(name == c.shape) for name in SHAPES},
        "moves right": float(c.direction == "right"),
        "speed": c.speed,
        "size": c.size,
        "light": c.light,
        "stripes": c.stripes,
        "filled": float(c.filled),
    }


def clip_item(c: Clip, wanted_colour: str | None = None) -> Item:
    """A clip as an item; `wanted_colour` is what the prompt asked for, if it asked."""
    truth = {
        "speed": c.speed,
        "size": c.size,
        "light": c.light,
        "stripes": c.stripes,
        "filled": float(c.filled),
        "warm": float(c.colour in WARM),
    }
    if wanted_colour is not None:
        truth["match"] = float(c.colour == wanted_colour)
        truth["general"] = (truth["match"] + 2 * (1 - c.stripes)) / 3
    return Item(Media("video", mp4(frames(c), FPS)), truth, clip_labels(c))
