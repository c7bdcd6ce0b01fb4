"""Meshes: GLB, OBJ with its materials and textures, PLY. Loaded with trimesh, drawn by render.py.

Animations and skins are ignored: a character stands as it was modelled. OBJ and PLY have no agreed "up"; glTF's, +Y,
is taken for all three.
"""

from __future__ import annotations

import importlib.util
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, cast

from omnireward.errors import MediaError, MediaLimitError, MissingExtraError, UnreadableMediaError
from omnireward.media import gltf
from omnireward.media.image import Pixels
from omnireward.media.limits import Limits
from omnireward.media.pieces import Piece, describe, read_piece
from omnireward.media.sidecars import Sidecars

if TYPE_CHECKING:
    import trimesh
    from trimesh.resolvers import Resolver

_PLY_COUNT = re.compile(rb"^element\s+(vertex|face)\s+(\d+)", re.MULTILINE)
_OBJ_VERTEX = re.compile(rb"^\s*v\s", re.MULTILINE)
_OBJ_FACE = re.compile(rb"^\s*f\s", re.MULTILINE)


def require_extra() -> None:
    """Check that meshes can be drawn here.

    Raises:
        MissingExtraError: trimesh or embreex is not installed.
    """
    if any(importlib.util.find_spec(module) is None for module in ("trimesh", "embreex")):
        raise MissingExtraError("3D meshes", "mesh")


def decode_mesh(piece: Piece, views: int, size: int, limits: Limits) -> Pixels:
    """Load a mesh and draw it from several sides; see `omnireward.media.render` for the cameras.

    Args:
        piece: an encoded mesh. Files that it names are read from its own folder only.
        views: how many pictures.
        size: their width and height, pixels.
        limits: `vertices`, `faces` and `texture_pixels` are checked before loading where the format tells them.

    Returns:
        (views, size, size, 3) uint8 RGB on white.

    Raises:
        MissingExtraError: trimesh or embreex is not installed.
        MediaLimitError: too many vertices or faces, or too large a texture.
        UnreadableMediaError: damaged, without a visible face, with coordinates that are not numbers, naming files
            that are missing or outside its folder, or in another format.
    """
    require_extra()
    # Only with the extra can these be imported.
    from omnireward.media.render import render
    from omnireward.media.scene import surfaces

    return render(surfaces(load(piece, limits), describe(piece), limits), views, size, describe(piece))


def load(piece: Piece, limits: Limits) -> trimesh.Scene:
    """Check a mesh and load it, without merging or repairing anything. Raises as `decode_mesh` does."""
    import trimesh  # in the extra

    data, name = read_piece(piece), describe(piece)
    sidecars = Sidecars(piece if isinstance(piece, Path) else None, limits)
    kind = _kind(piece, data)
    if kind == "glb":
        gltf.check_glb(data, name, sidecars, limits)
    elif kind == "ply":
        head = data[: max(0, data.find(b"end_header"))]
        for element, count in _PLY_COUNT.findall(head):
            _check_count(int(count), "vertices" if element == b"vertex" else "faces", name, limits)
    else:
        _check_count(sum(1 for _ in _OBJ_VERTEX.finditer(data)), "vertices", name, limits)
        _check_count(sum(1 for _ in _OBJ_FACE.finditer(data)), "faces", name, limits)
    try:
        # trimesh asks a resolver for nothing but files by name; its own base class needs the extra to be imported.
        resolver = cast("Resolver", sidecars)
        scene = trimesh.load_scene(io.BytesIO(data), file_type=kind, resolver=resolver, process=False)
    except MediaError:
        raise
    # What trimesh raises on damaged files depends on where it stumbles; these are the kinds seen in fuzzing.
    except (ArithmeticError, AssertionError, AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        sidecars.raise_refusal()
        raise UnreadableMediaError(f"{name}: not a readable mesh ({type(error).__name__}: {error}).") from error
    sidecars.raise_refusal()
    return scene


def _kind(piece: Piece, data: bytes) -> str:
    if data.startswith(gltf.MAGIC):
        return "glb"
    if data.startswith((b"ply\n", b"ply\r")):
        return "ply"
    # OBJ is plain text without a mark of its own.
    named = isinstance(piece, Path) and piece.suffix.lower() == ".obj"
    if (named or isinstance(piece, bytes)) and b"\0" not in data and _OBJ_VERTEX.search(data):
        return "obj"
    raise UnreadableMediaError(f"{describe(piece)}: not a mesh that can be read. Meshes may be GLB, OBJ or PLY.")


def _check_count(count: int, what: str, name: str, limits: Limits) -> None:
    largest = limits.vertices if what == "vertices" else limits.faces
    if count > largest:
        raise MediaLimitError(f"{name}: {count:,} {what}; at most {largest:,} are read. Simplify the mesh first.")
