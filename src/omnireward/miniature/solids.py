"""Solid objects: surfaces of revolution, stacked, in one colour, perhaps with a side torn open. Written as GLB."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

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
    parts: int
    shade: float
    torn: float
    plate: bool
    turn: float


def draw_solid(rng: np.random.Generator) -> Solid:
    """An object with every attribute drawn at random."""
    return Solid(
        colour=one_of(rng, list(COLOURS)),
        form=one_of(rng, FORMS),
        tall=level(rng, 3),
        parts=1 + int(rng.integers(3)),
        shade=level(rng, 2),
        torn=level(rng, 2),
        plate=bool(rng.random() < 0.5),
        turn=round(float(rng.random()) * np.pi, 3),
    )


def glb(s: Solid) -> bytes:
    """The object as a binary glTF file, +Y up."""
    try:
        import trimesh
    except ImportError as error:
        raise MissingExtraError("the made-up world's 3D objects", "mesh") from error
    radius = 0.6 - 0.25 * s.tall
    height = 0.5 + 0.9 * s.tall
    sections = 4 if s.form == "box" else 12
    pieces = []
    for n in range(s.parts):
        scale = 1 - 0.25 * n
        rise = 0.5 * height / s.parts if s.parts > 1 else 0.5 * height
        profile = _profile(s.form) * [radius * scale, rise]
        piece = trimesh.creation.revolve(profile, sections=sections)
        piece.apply_translation([0, 0, 2 * rise * n])
        pieces.append(piece)
    mesh = trimesh.util.concatenate(pieces)
    mesh.apply_transform(trimesh.transformations.rotation_matrix(s.turn, [0, 0, 1]))
    if s.torn:  # about a third of the surface is missing on one side
        angle = np.arctan2(mesh.triangles_center[:, 1], mesh.triangles_center[:, 0])
        mesh.update_faces((angle < 0.6) | (angle > 2.6))
    rgb = (np.array(COLOURS[s.colour]) * (1.0 if s.shade else 0.5)).astype(np.uint8)
    mesh.visual = trimesh.visual.ColorVisuals(mesh, vertex_colors=np.tile([*rgb, 255], (len(mesh.vertices), 1)))
    if s.plate:
        plate = trimesh.creation.box(extents=[1.5, 1.5, 0.08])
        plate.apply_translation([0, 0, mesh.bounds[0, 2] - 0.04])
        plate.visual = trimesh.visual.ColorVisuals(
            plate, vertex_colors=np.tile([90, 90, 90, 255], (len(plate.vertices), 1))
        )
        mesh = trimesh.util.concatenate([mesh, plate])
    mesh.apply_transform(trimesh.transformations.rotation_matrix(-np.pi / 2, [1, 0, 0]))  # glTF is +Y up
    return bytes(mesh.export(file_type="glb"))


def _profile(form: str) -> np.ndarray:
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
        "parts": (s.parts - 1) / 2,
        "shade": s.shade,
        "torn": s.torn,
        "plate": float(s.plate),
    }


def solid_item(s: Solid, wanted_colour: str) -> Item:
    """An object as an item; `wanted_colour` is what the prompt asked for."""
    match = float(s.colour == wanted_colour)
    truth = {
        "tall": s.tall,
        "parts": (s.parts - 1) / 2,
        "shade": s.shade,
        "torn": s.torn,
        "plate": float(s.plate),
        "round": float(s.form in ("ball", "cone", "cylinder")),
        "warm": float(s.colour in WARM),
        "match": match,
        "general": (match + 2 * (1 - s.torn)) / 3,
    }
    return Item(Media("mesh", glb(s)), truth, solid_labels(s))
