"""Solid objects: a surface of revolution, perhaps half white, with a ball on top, or on a plate. Written as GLB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from omnireward.errors import MissingExtraError
from omnireward.miniature.items import COLOURS, WARM, Item, colour_labels, level, one_of
from omnireward.types import Media

FORMS = ("ball", "cone", "cylinder", "box")


@dataclass(frozen=True, slots=True)
class Solid:
    """What an object is. Values without a unit are in [0, 1]; `turn` is an angle in radians."""

    colour: str
    form: str
    tall: float
    shade: float
    white: float
    ball: bool
    plate: bool
    turn: float


def draw_solid(rng: np.random.Generator) -> Solid:
    """An object with every attribute drawn at random."""
    return Solid(
        colour=one_of(rng, list(COLOURS)),
        form=one_of(rng, FORMS),
        tall=level(rng, 3),
        shade=level(rng, 2),
        white=level(rng, 2),
        ball=bool(rng.random() < 0.5),
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
    body = trimesh.creation.revolve(_profile(s.form) * [half[1], half[0]], sections=4 if s.form == "box" else 12)
    body.apply_transform(trimesh.transformations.rotation_matrix(s.turn, [0, 0, 1]))
    rgb = np.array(COLOURS[s.colour]) * (1.0 if s.shade else 0.5)
    colours = np.tile([*rgb, 255], (len(body.vertices), 1)).astype(np.uint8)
    if s.white:
        colours[body.vertices[:, 0] > 0] = 255
    body.visual = trimesh.visual.ColorVisuals(body, vertex_colors=colours)
    pieces = [body]
    if s.ball:
        pieces.append(_piece(trimesh.creation.icosphere(subdivisions=1, radius=0.25), half[0] + 0.2))
    if s.plate:
        pieces.append(_piece(trimesh.creation.box(extents=[1.6, 1.6, 0.1]), -half[0] - 0.05))
    mesh = trimesh.util.concatenate(pieces)
    mesh.apply_transform(trimesh.transformations.rotation_matrix(-np.pi / 2, [1, 0, 0]))  # glTF is +Y up
    return bytes(mesh.export(file_type="glb"))


def _piece(mesh: Any, height: float) -> Any:
    """A dark part at a height."""
    import trimesh

    mesh.apply_translation([0, 0, height])
    colours = np.tile(np.array([40, 40, 40, 255], np.uint8), (len(mesh.vertices), 1))
    mesh.visual = trimesh.visual.ColorVisuals(mesh, vertex_colors=colours)
    return mesh


def _profile(form: str) -> npt.NDArray[np.float64]:
    """Half the outline, (points, 2) radius and height, in a box of radius 1 and height -1 to 1."""
    if form == "ball":
        angle = np.linspace(-np.pi / 2, np.pi / 2, 7)
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)
    if form == "cone":
        return np.array([[0, -1], [1, -1], [0, 1]], dtype=float)
    return np.array([[0, -1], [1, -1], [1, 1], [0, 1]], dtype=float)


def solid_labels(s: Solid) -> dict[str, float]:
    """What a model can be taught to see in an object's views."""
    return {
        **colour_labels(s.colour),
        **{f"form {name}": float(name == s.form) for name in FORMS},
        "tall": s.tall,
        "shade": s.shade,
        "white": s.white,
        "ball": float(s.ball),
        "plate": float(s.plate),
    }


def solid_item(s: Solid, wanted_colour: str) -> Item:
    """An object as an item; `wanted_colour` is what the prompt asked for."""
    match = float(s.colour == wanted_colour)
    truth = {
        "tall": s.tall,
        "shade": s.shade,
        "white": s.white,
        "ball": float(s.ball),
        "plate": float(s.plate),
        "round": float(s.form in ("ball", "cone", "cylinder")),
        "warm": float(s.colour in WARM),
        "match": match,
        "general": (match + 2 * (1 - s.white)) / 3,
    }
    return Item(Media("mesh", glb(s)), truth, solid_labels(s))
