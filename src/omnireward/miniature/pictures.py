"""Drawn pictures: one shape on a grey ground, perhaps striped, over a white band with a few dots."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from omnireward.media.encode import png
from omnireward.miniature.items import COLOURS, WARM, Item, colour_labels, level, one_of
from omnireward.types import Media

SIDE = 56  # pixels
SHAPES = ("square", "bar", "pole")
Pixels = npt.NDArray[np.uint8]
PLACES = ("left", "middle", "right")


@dataclass(frozen=True, slots=True)
class Picture:
    """What a picture shows. Values without a unit are in [0, 1]; `jitter` seeds the noise that tells pictures apart."""

    colour: str
    shape: str
    place: str
    size: float
    height: float
    light: float
    dots: int
    stripes: float
    filled: bool
    jitter: int


def draw_picture(rng: np.random.Generator) -> Picture:
    """A picture with every attribute drawn at random."""
    return Picture(
        colour=one_of(rng, list(COLOURS)),
        shape=one_of(rng, SHAPES),
        place=one_of(rng, PLACES),
        size=level(rng, 2),
        height=level(rng, 3),
        light=level(rng, 2),
        dots=int(rng.integers(4)),
        stripes=level(rng, 2),
        filled=bool(rng.random() < 0.7),
        jitter=int(rng.integers(2**31)),
    )


def pixels(p: Picture) -> Pixels:
    """The picture as uint8 (SIDE, SIDE, 3)."""
    image = ground(p.light, p.stripes)
    pen = ImageDraw.Draw(image)
    x = {"left": 14, "middle": 28, "right": 42}[p.place]
    shape(pen, p.shape, (x, round(26 - 8 * p.height)), 6 + 4 * p.size, COLOURS[p.colour], filled=p.filled)
    pen.rectangle((0, 43, SIDE, SIDE), fill=(255, 255, 255))
    for i in range(p.dots):
        pen.ellipse((4 + 18 * i, 44, 14 + 18 * i, 54), fill=(0, 0, 0))
    noise = np.random.default_rng(p.jitter).normal(0, 2, (SIDE, SIDE, 1))  # of 255 grey levels
    return np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)


def ground(light: float, stripes: float) -> Image.Image:
    """A grey picture of SIDE x SIDE pixels, lighter lines on it where it is striped."""
    image = Image.new("RGB", (SIDE, SIDE), _grey(60 + 150 * light))
    if stripes:
        pen = ImageDraw.Draw(image)
        for y in range(0, SIDE, 4):
            pen.line((0, y, SIDE, y), fill=_grey(105 + 150 * light), width=2)
    return image


def _grey(value: float) -> tuple[int, int, int]:
    return (round(value), round(value), round(value))


def shape(
    pen: ImageDraw.ImageDraw,
    name: str,
    centre: tuple[int, int],
    radius: float,
    colour: tuple[int, int, int],
    *,
    filled: bool = True,
) -> None:
    """Draw one of SHAPES; radius in pixels. A bar lies, a pole stands."""
    x, y = centre
    wide, high = {"square": (1.0, 1.0), "bar": (1.5, 0.4), "pole": (0.4, 1.5)}[name]
    box = (x - wide * radius, y - high * radius, x + wide * radius, y + high * radius)
    pen.rectangle(box, fill=colour if filled else None, outline=colour, width=2)


def picture_labels(p: Picture) -> dict[str, float]:
    """What a tower can be taught to see in a picture."""
    return {
        **colour_labels(p.colour),
        **{f"shape {name}": float(name == p.shape) for name in SHAPES},
        **{f"place {name}": float(name == p.place) for name in PLACES},
        "size": p.size,
        "height": p.height,
        "light": p.light,
        "dots": p.dots / 3,
        "stripes": p.stripes,
        "filled": float(p.filled),
    }


def picture_item(p: Picture, wanted_colour: str | None = None) -> Item:
    """A picture as an item; `wanted_colour` is what the prompt asked for, if it asked."""
    truth = {
        "size": p.size,
        "height": p.height,
        "light": p.light,
        "dots": p.dots / 3,
        "stripes": p.stripes,
        "filled": float(p.filled),
        "warm": float(p.colour in WARM),
    }
    if wanted_colour is not None:
        truth["match"] = float(p.colour == wanted_colour)
        truth["general"] = (truth["match"] + 2 * (1 - p.stripes)) / 3
    return Item(Media("image", png(pixels(p))), truth, picture_labels(p))
