"""A trimesh scene becomes surfaces: every instance placed, every material reduced to the colour that it shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import trimesh
from PIL import Image
from trimesh.visual import ColorVisuals, TextureVisuals
from trimesh.visual.material import PBRMaterial, SimpleMaterial

from omnireward.errors import MediaLimitError, UnreadableMediaError
from omnireward.media import image as images
from omnireward.media.limits import Limits
from omnireward.media.surface import Colours, Floats, Surface

_GREY = (0.7, 0.7, 0.7, 1.0)  # an object without any colour
_TEXTURE_SIDE = 2048  # pixels; larger textures are halved until they fit, more than views can show
_CREASE = 0.7  # cosine of 45 degrees, about

_Loaded = dict[int, npt.NDArray[np.uint8]]


def surfaces(scene: trimesh.Scene, name: str, limits: Limits) -> list[Surface]:
    """The surfaces of a scene, degenerate triangles left out.

    Raises:
        MediaLimitError: more vertices or faces than allowed, instances counted, or too large a texture.
        UnreadableMediaError: coordinates that are not numbers, or no triangle with an area.
    """
    placed = [
        (scene.geometry[geometry], np.asarray(matrix, np.float64))
        for matrix, geometry in (scene.graph[node] for node in sorted(scene.graph.nodes_geometry))
        if isinstance(scene.geometry[geometry], trimesh.Trimesh)
    ]
    _check_counts([mesh for mesh, _ in placed], name, limits)
    textures: _Loaded = {}
    drawn = [_surface(mesh, matrix, textures, name, limits) for mesh, matrix in placed if len(mesh.faces)]
    drawn = [surface for surface in drawn if len(surface.triangles)]
    if not drawn:
        raise UnreadableMediaError(f"{name}: has no triangle with an area, so there is nothing to see.")
    return drawn


def _check_counts(meshes: list[trimesh.Trimesh], name: str, limits: Limits) -> None:
    vertices = sum(len(mesh.vertices) for mesh in meshes)
    faces = sum(len(mesh.faces) for mesh in meshes)
    if vertices > limits.vertices or faces > limits.faces:
        raise MediaLimitError(
            f"{name}: {vertices:,} vertices and {faces:,} faces with all instances; "
            f"at most {limits.vertices:,} and {limits.faces:,} are drawn. Simplify the mesh first."
        )


def _surface(mesh: trimesh.Trimesh, matrix: Floats, textures: _Loaded, name: str, limits: Limits) -> Surface:
    faces = np.asarray(mesh.faces)
    if faces.min() < 0 or faces.max() >= len(mesh.vertices):
        raise UnreadableMediaError(f"{name}: a face names a vertex that does not exist.")
    with np.errstate(over="ignore", invalid="ignore"):  # checked next
        triangles = (np.asarray(mesh.vertices, np.float64) @ matrix[:3, :3].T + matrix[:3, 3])[faces]
    if not np.isfinite(triangles).all():
        raise UnreadableMediaError(f"{name}: has coordinates that are not numbers.")
    scale = np.ptp(triangles.reshape(-1, 3), axis=0).max() or 1.0
    edges = (triangles[:, 1:] - triangles[:, :1]) / scale  # an area must not underflow because a mesh is tiny
    across = np.cross(edges[:, 0], edges[:, 1])
    length = np.linalg.norm(across, axis=1)
    keep = length > 0
    faces, flat = faces[keep], across[keep] / length[keep, None]
    visual = mesh.visual
    tint, texture, cutoff = _material(visual, textures, name, limits)
    return Surface(
        triangles=triangles[keep],
        normals=_normals(mesh, faces, matrix, flat),
        tint=tint,
        colours=_corner_colours(visual, faces, keep),
        uv=_corner_uv(visual, faces, name) if isinstance(visual, TextureVisuals) else None,
        texture=texture,
        cutoff=cutoff,
    )


def _normals(mesh: trimesh.Trimesh, faces: npt.NDArray[np.int64], matrix: Floats, flat: Floats) -> Floats:
    """(faces, 3, 3): the mesh's own normals where they follow the surface, else the face's.

    Where a file has no normals, trimesh averages over the faces that share a vertex, which would round off a cube.
    """
    try:
        placed = np.asarray(mesh.vertex_normals, np.float64) @ np.linalg.inv(matrix[:3, :3])
    except np.linalg.LinAlgError:  # flattened by its node: its faces' normals are all there is
        return np.repeat(flat[:, None], 3, axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = (placed / np.linalg.norm(placed, axis=1, keepdims=True))[faces]
    along = (unit * flat[:, None]).sum(axis=2, keepdims=True)
    # Two-sided: winding and normals may disagree. A comparison with NaN is false, which takes the face's.
    return np.where(np.abs(along) > _CREASE, unit * np.sign(along), flat[:, None])


def _corner_colours(visual: object, faces: npt.NDArray[np.int64], keep: npt.NDArray[np.bool_]) -> Colours | None:
    if not isinstance(visual, ColorVisuals) or visual.kind is None:
        return None
    if visual.kind == "face":
        colours = np.repeat(np.asarray(visual.face_colors)[keep][:, None], 3, axis=1)
    else:
        colours = np.asarray(visual.vertex_colors)[faces]
    return colours.astype(np.float32) / np.float32(255)


def _corner_uv(visual: TextureVisuals, faces: npt.NDArray[np.int64], name: str) -> Colours | None:
    if visual.uv is None:
        return None
    uv = np.asarray(visual.uv, np.float32)
    if not np.isfinite(uv).all() or uv.ndim != 2 or faces.max() >= len(uv):
        raise UnreadableMediaError(f"{name}: has texture coordinates that are missing or not numbers.")
    return uv[faces][:, :, :2]


def _material(
    visual: object, textures: _Loaded, name: str, limits: Limits
) -> tuple[Colours, npt.NDArray[np.uint8] | None, float | None]:
    """Tint, texture, and alpha cutoff (0: opaque; None: alpha is opacity)."""
    if isinstance(visual, ColorVisuals):
        return np.array(_GREY if visual.kind is None else (1, 1, 1, 1), np.float32), None, 0.0
    if not isinstance(visual, TextureVisuals):
        raise UnreadableMediaError(f"{name}: has colours of an unknown kind ({type(visual).__name__}).")
    material = visual.material
    if isinstance(material, PBRMaterial):
        texture, factor = material.baseColorTexture, material.baseColorFactor
        tint = np.ones(4, np.float32) if factor is None else _display(np.asarray(factor).astype(np.float32) / 255)
        # glTF: alpha counts only where the material says so (specification 3.9.4).
        cutoffs = {"MASK": 0.5 if material.alphaCutoff is None else float(material.alphaCutoff), "BLEND": None}
        cutoff = cutoffs.get(material.alphaMode or "OPAQUE", 0.0)
    elif isinstance(material, SimpleMaterial):
        texture, cutoff = material.image, 0.0
        tint = (np.asarray(material.diffuse) / 255).astype(np.float32)
    else:
        raise UnreadableMediaError(f"{name}: has a material of an unknown kind ({type(material).__name__}).")
    return tint, None if texture is None else _texture(texture, textures, name, limits), cutoff


def _display(factor: npt.NDArray[np.floating[Any]]) -> Colours:
    """Colour factors of glTF are linear light; everything else here is sRGB, as pictures are. Alpha stays."""
    rgb = np.where(factor <= 0.0031308, 12.92 * factor, 1.055 * factor ** (1 / 2.4) - 0.055)
    rgb[3] = factor[3]
    return rgb.astype(np.float32)


def _texture(picture: Image.Image, textures: _Loaded, name: str, limits: Limits) -> npt.NDArray[np.uint8]:
    """(height, width, 4) uint8. Materials that share a picture share the array."""
    key = id(picture)  # the scene holds the pictures while this runs
    if key not in textures:
        if picture.format not in images.FORMATS:
            raise UnreadableMediaError(f"{name}: a texture is {picture.format}; it may be {', '.join(images.FORMATS)}.")
        if picture.width * picture.height > limits.texture_pixels:
            raise MediaLimitError(
                f"{name}: a texture of {picture.width} x {picture.height} pixels; "
                f"at most {limits.texture_pixels:,} are decoded (Limits.texture_pixels)."
            )
        try:
            rgba = images.to_rgba(picture)
        except (OSError, SyntaxError, ValueError) as error:
            raise UnreadableMediaError(f"{name}: a texture cannot be decoded ({error}).") from error
        factor = -(-max(picture.size) // _TEXTURE_SIDE)
        textures[key] = rgba if factor == 1 else np.asarray(Image.fromarray(rgba).reduce(factor))
    return textures[key]
