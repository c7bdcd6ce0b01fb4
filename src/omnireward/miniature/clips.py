"""Short clips: one shape moving across a plain ground at its own speed, perhaps with a white flash."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from omnireward.media.encode import mp4
from omnireward.miniature.items import COLOURS, WARM, Item, colour_labels, level, one_of
from omnireward.miniature.pictures import SHAPES, SIDE, grey, shape
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
    flash: float
    growth: float
    row: int


def draw_clip(rng: np.random.Generator) -> Clip:
    """A clip with every attribute drawn at random."""
    return Clip(
        colour=one_of(rng, list(COLOURS)),
        shape=one_of(rng, SHAPES),
        direction=one_of(rng, DIRECTIONS),
        speed=level(rng, 3),
        size=level(rng, 3),
        light=level(rng, 3),
        flash=level(rng, 2),
        growth=level(rng, 3),
        row=20 + int(rng.integers(17)),
    )


def frames(c: Clip) -> npt.NDArray[np.uint8]:
    """The clip as uint8 (FRAMES, SIDE, SIDE, 3)."""
    made = []
    travel = 5 + 15 * c.speed  # pixels from the middle to either end of the way
    for n in range(FRAMES):
        t = 2 * n / (FRAMES - 1) - 1  # -1 at the first frame, +1 at the last
        image = Image.new("RGB", (SIDE, SIDE), grey(255 if c.flash and n == 2 else 60 + 120 * c.light))
        x = 28 + (1 if c.direction == "right" else -1) * travel * t
        radius = 6 + 4 * c.size + 4 * (c.growth - 0.5) * t
        shape(ImageDraw.Draw(image), c.shape, (round(x), c.row), radius, COLOURS[c.colour])
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
        "flash": c.flash,
        "growth": c.growth,
    }


def clip_item(c: Clip, wanted_colour: str | None = None) -> Item:
    """A clip as an item; `wanted_colour` is what the prompt asked for, if it asked."""
    truth = {
        "speed": c.speed,
        "size": c.size,
        "light": c.light,
        "flash": c.flash,
        "growth": c.growth,
        "rightwards": float(c.direction == "right"),
        "warm": float(c.colour in WARM),
    }
    if wanted_colour is not None:
        truth["match"] = float(c.colour == wanted_colour)
        truth["general"] = (truth["match"] + 2 * (1 - c.flash)) / 3
    return Item(Media("video", mp4(frames(c), FPS)), truth, clip_labels(c))
