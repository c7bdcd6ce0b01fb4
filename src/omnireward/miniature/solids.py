"""Solid objects: a surface of revolution, perhaps banded with white, perhaps on a plate. Written as GLB."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omnireward.errors import MissingExtraError
from omnireward.miniature.items import COLOURS, WARM, Item, colour_labels, level, one_of
from omnireward.types import Media

RINGS = 7  # of vertices, from bottom to top
FORMS = ("ball", "cone", "cylinder", "box")


@dataclass(frozen=True, slots=True)
class Solid:
    """What an object is. Values without a unit are in [0, 1]; `turn` is an angle in radians."""

    colour: str
    form: str
    tall: float
    light: float
    stripes: float
    plate: bool
    turn: float


def draw_solid(rng: np.random.Generator) -> Solid:
    """An object with every attribute drawn at random."""
    return Solid(
        colour=one_of(rng, list(COLOURS)),
        form=one_of(rng, FORMS),
        tall=level(rng, 2),
        light=level(rng, 2),
        stripes=level(rng, 2),
        plate=bool(rng.random() < 0.5),
        turn=round(float(rng.random()) * np.pi, 3),
    )


def glb(s: Solid) -> bytes:
    """The object as a binary glTF file, +Y up."""
    try:
        import trimesh
    except ImportError as error:
        raise MissingExtraError("the made-up world's 3D objects", "mesh") from error
    half = (0.3 + 0.6 * s.tall, 0.7 - 0.3 * s.tall)  # height, radius
    outline = _outline(s.form)
    body = trimesh.creation.revolve(outline * [half[1], half[0]], sections=4 if s.form == "box" else 12)
    rgb = np.array(COLOURS[s.colour]) * (1.0 if s.light else 0.5)
    colours = np.tile([*rgb, 255], (len(body.vertices), 1)).astype(np.uint8)
    if s.stripes:  # every other ring of vertices is white
        rings = np.round((body.vertices[:, 2] / half[0] + 1) / 2 * (RINGS - 1)).astype(int)
        colours[rings % 2 == 1] = 255
    body.visual = trimesh.visual.ColorVisuals(body, vertex_colors=colours)
    body.apply_transform(trimesh.transformations.rotation_matrix(s.turn, [0, 0, 1]))
    pieces = [body]
    if s.plate:
        plate = trimesh.creation.box(extents=[1.6, 1.6, 0.1])
        plate.apply_translation([0, 0, -half[0] - 0.05])
        dark = np.tile(np.array([40, 40, 40, 255], np.uint8), (len(plate.vertices), 1))
        plate.visual = trimesh.visual.ColorVisuals(plate, vertex_colors=dark)
        pieces.append(plate)
    mesh = trimesh.util.concatenate(pieces)
    mesh.apply_transform(trimesh.transformations.rotation_matrix(-np.pi / 2, [1, 0, 0]))  # glTF is +Y up
    return bytes(mesh.export(file_type="glb"))


def _outline(form: str) -> npt.NDArray[np.float64]:
    """Half the outline, (points, 2) radius and height, in a box of radius 1 and height -1 to 1; RINGS heights."""
    height = np.linspace(-1, 1, RINGS)
    if form == "ball":
        return np.stack([np.sqrt(1 - height**2), height], axis=1)
    if form == "cone":
        return np.concatenate([[[0, -1]], np.stack([(1 - height) / 2, height], axis=1)])
    return np.concatenate([[[0, -1]], np.stack([np.ones(RINGS), height], axis=1), [[0, 1]]])


def solid_labels(s: Solid) -> dict[str, float]:
    """What a model can be taught to see in an object's views."""
    return {
        **colour_labels(s.colour),
        **{f"form {name}": float(name == s.form) for name in FORMS},
        "tall": s.tall,
        "light": s.light,
        "stripes": s.stripes,
        "plate": float(s.plate),
    }


def solid_item(s: Solid, wanted_colour: str) -> Item:
    """An object as an item; `wanted_colour` is what the prompt asked for."""
    match = float(s.colour == wanted_colour)
    truth = {
        "tall": s.tall,
        "light": s.light,
        "stripes": s.stripes,
        "plate": float(s.plate),
        "round": float(s.form != "box"),
        "warm": float(s.colour in WARM),
        "match": match,
        "general": (match + 2 * (1 - s.stripes)) / 3,
    }
    return Item(Media("mesh", glb(s)), truth, solid_labels(s))
