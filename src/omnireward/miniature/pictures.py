"""Drawn pictures: one shape on a plain ground, with dots along the lower edge and grain over it all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from omnireward.media.encode import png
from omnireward.miniature.items import COLOURS, WARM, Item, colour_labels, level, one_of
from omnireward.types import Media

SIDE = 56  # pixels
SHAPES = ("circle", "square", "triangle")
PLACES = ("left", "middle", "right")


@dataclass(frozen=True, slots=True)
class Picture:
    """What a picture shows. Values without a unit are in [0, 1]; `jitter` is the grain's seed."""

    colour: str
    shape: str
    place: str
    size: float
    height: float
    light: float
    dots: int
    grain: float
    filled: bool
    jitter: int


def draw_picture(rng: np.random.Generator) -> Picture:
    """A picture with every attribute drawn at random."""
    return Picture(
        colour=one_of(rng, list(COLOURS)),
        shape=one_of(rng, SHAPES),
        place=one_of(rng, PLACES),
        size=level(rng, 3),
        height=level(rng, 3),
        light=level(rng, 3),
        dots=int(rng.integers(4)),
        grain=level(rng, 3),
        filled=bool(rng.random() < 0.7),
        jitter=int(rng.integers(2**31)),
    )


def pixels(p: Picture) -> np.ndarray:
    """The picture as uint8 (SIDE, SIDE, 3)."""
    ground = round(60 + 180 * p.light)
    image = Image.new("RGB", (SIDE, SIDE), (ground, ground, ground))
    pen = ImageDraw.Draw(image)
    x = {"left": 16, "middle": 28, "right": 40}[p.place]
    shape(pen, p.shape, (x, round(34 - 14 * p.height)), 6 + 5 * p.size, COLOURS[p.colour], filled=p.filled)
    dot = (20, 20, 20) if p.light > 0.25 else (235, 235, 235)
    for i in range(p.dots):
        pen.ellipse((6 + 13 * i, 48, 11 + 13 * i, 53), fill=dot)
    return add_grain(np.asarray(image), p.grain, p.jitter)


def shape(
    pen: ImageDraw.ImageDraw,
    name: str,
    centre: tuple[int, int],
    radius: float,
    colour: tuple[int, int, int],
    *,
    filled: bool = True,
) -> None:
    """Draw one of SHAPES; radius in pixels."""
    x, y = centre
    box = (x - radius, y - radius, x + radius, y + radius)
    fill, line = (colour if filled else None), colour
    if name == "circle":
        pen.ellipse(box, fill=fill, outline=line, width=3)
    elif name == "square":
        pen.rectangle(box, fill=fill, outline=line, width=3)
    else:
        pen.polygon(
            [(x, y - radius), (x - radius, y + radius), (x + radius, y + radius)], fill=fill, outline=line, width=3
        )


def add_grain(image: np.ndarray, grain: float, seed: int) -> np.ndarray:
    """Gaussian noise of up to 45 grey levels; a little is always there, so that no two pictures share their bytes."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 1.5 + 45 * grain, image.shape[:2])[..., None]
    return np.clip(image + noise, 0, 255).astype(np.uint8)


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
        "grain": p.grain,
        "filled": float(p.filled),
    }


def picture_item(p: Picture, wanted_colour: str | None = None) -> Item:
    """A picture as an item; `wanted_colour` is what the prompt asked for, if it asked."""
    truth = {
        "size": p.size,
        "height": p.height,
        "light": p.light,
        "right": PLACES.index(p.place) / 2,
        "dots": p.dots / 3,
        "grain": p.grain,
        "filled": float(p.filled),
        "warm": float(p.colour in WARM),
    }
    if wanted_colour is not None:
        truth["match"] = float(p.colour == wanted_colour)
        truth["general"] = (truth["match"] + 2 * (1 - p.grain)) / 3
    return Item(Media("image", png(pixels(p))), truth, picture_labels(p))
