"""Drawing surfaces by casting rays on the CPU: no graphics library, no display, the same bytes each time.

The light sits at the camera and shines on both sides of a face, so a face is brightest where it looks at you and
shape shows as shade. Nothing is whiter than 90 %: a white object stays visible on the white background.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene

from omnireward.errors import UnreadableMediaError
from omnireward.media.surface import Colours, Floats, Surface, interpolate

_ELEVATION = 20.0  # degrees above the horizon, for the views around
_HALF_FIELD = np.tan(np.radians(15.0))  # of view: half of 30 degrees
_FILL = 0.92  # of half the picture, by whatever reaches farthest in any view
_AMBIENT, _DIFFUSE = 0.4, 0.5
_RAYS = 2  # per pixel and axis, for smooth edges
_LAYERS = 8  # see-through surfaces behind each other
_STEP = 1e-4  # past a see-through surface, in radii of the object


@dataclass(frozen=True, slots=True)
class Camera:
    """Where a view is seen from.

    Attributes:
        azimuth: degrees around +Y; 0 looks at the front (from +Z), 90 at the object's left hand (from +X).
        elevation: degrees above the horizon.
    """

    azimuth: float
    elevation: float

    def axes(self) -> tuple[Floats, Floats, Floats]:
        """Unit vectors to the right, upwards, and from the object towards the camera."""
        a, e = np.radians(self.azimuth), np.radians(self.elevation)
        # Right depends on the azimuth alone, so views from straight above and below are no special case.
        right = np.array([np.cos(a), 0.0, -np.sin(a)])
        towards = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
        return right, np.cross(towards, right), towards


def cameras(views: int) -> list[Camera]:
    """Evenly around the object from its front on, slightly from above; from six on, the last two: above and below.

    >>> [(c.azimuth, c.elevation) for c in cameras(4)]
    [(0.0, 20.0), (90.0, 20.0), (180.0, 20.0), (270.0, 20.0)]
    >>> [(c.azimuth, c.elevation) for c in cameras(6)][-2:]
    [(0.0, 90.0), (0.0, -90.0)]
    """
    around = views if views < 6 else views - 2
    circle = [Camera(360.0 * i / around, _ELEVATION) for i in range(around)]
    return circle if views < 6 else [*circle, Camera(0.0, 90.0), Camera(0.0, -90.0)]


def render(surfaces: list[Surface], views: int, size: int, name: str) -> npt.NDArray[np.uint8]:
    """Draw surfaces from several sides, all at one scale.

    Args:
        surfaces: at least one, each with at least one triangle.
        views: how many pictures, see `cameras`.
        size: their width and height, pixels.
        name: for messages.

    Returns:
        (views, size, size, 3) uint8 RGB on white.

    Raises:
        UnreadableMediaError: all views are blank, or two views show the very same points of the object.
    """
    stage = _Stage(surfaces)
    chosen = cameras(views)
    distance = max(_distance(stage.corners, camera) for camera in chosen)
    pictures = np.empty((views, size, size, 3), np.uint8)
    seen: set[bytes] = set()
    visible = 0
    for picture, camera in zip(pictures, chosen, strict=True):
        picture[:], points = _view(stage, camera, distance, size)
        if len(points):
            visible += 1
            seen.add(hashlib.blake2b(points.tobytes()).digest())
    if (pictures == 255).all():
        raise UnreadableMediaError(f"{name}: all views are blank; nothing of it is visible.")
    # A vase gives equal colours from all sides, and should. But from another side other points of it are seen: equal
    # points mean that one view was drawn twice.
    if len(seen) < visible:
        raise UnreadableMediaError(f"{name}: two views are the same picture of the same points.")
    return pictures


class _Stage:
    """All triangles, centred and scaled to a radius of about 1, ready to be hit by rays.

    Attributes:
        corners: (3 * triangles, 3) float64.
        normals: (triangles, 3, 3) float32.
        surfaces: what the triangles belong to.
        first: (surfaces + 1,) the number of each surface's first triangle.
    """

    def __init__(self, surfaces: list[Surface]) -> None:
        triangles = np.concatenate([surface.triangles for surface in surfaces])
        low, high = triangles.min(axis=(0, 1)), triangles.max(axis=(0, 1))
        # Embree computes in float32: far from the origin it would see steps instead of a surface. Halved before
        # they are added, because the largest numbers would overflow.
        triangles = (triangles - (low / 2 + high / 2)) / max(np.max(high / 2 - low / 2), np.finfo(float).tiny)
        self.corners = triangles.reshape(-1, 3)
        self.normals = np.concatenate([surface.normals for surface in surfaces]).astype(np.float32)
        self.surfaces = surfaces
        self.first = np.cumsum([0, *(len(surface.triangles) for surface in surfaces)])
        self._embree = EmbreeScene()
        self._triangles = TriangleMesh(self._embree, triangles.astype(np.float32))

    def colour(self, triangle: npt.NDArray[np.int64], weights: Colours, directions: Colours) -> Colours:
        """(points, 4): lit colour and alpha of points on triangles, seen along directions."""
        normal = interpolate(self.normals[triangle], weights)
        length = np.sqrt((normal * normal).sum(axis=1))
        facing = np.abs((normal * directions).sum(axis=1)) / np.maximum(length, np.float32(1e-12))
        colour = np.empty((len(triangle), 4), np.float32)
        owner = np.searchsorted(self.first, triangle, side="right") - 1
        order = np.argsort(owner, kind="stable")
        for chunk in np.split(order, np.flatnonzero(np.diff(owner[order])) + 1):
            if len(chunk):
                number = owner[chunk[0]]
                colour[chunk] = self.surfaces[number].colour_at(triangle[chunk] - self.first[number], weights[chunk])
        colour[:, :3] *= (_AMBIENT + _DIFFUSE * np.minimum(facing, 1.0))[:, None]
        return colour

    def hit(self, origins: Colours, directions: Colours) -> dict[str, npt.NDArray[np.float32]]:
        """Embree's answer for rays: primID (-1: nothing), u, v, tfar."""
        answer: dict[str, npt.NDArray[np.float32]] = self._embree.run(origins, directions, output=1)
        return answer


def _distance(corners: Floats, camera: Camera) -> float:
    """How far from the centre a camera must be for all corners to be in the picture."""
    right, up, towards = camera.axes()
    depth = corners @ towards
    aside = np.maximum(np.abs(corners @ right), np.abs(corners @ up))
    return float(max((aside / (_HALF_FIELD * _FILL) + depth).max(), depth.max() + 0.1))


def _view(stage: _Stage, camera: Camera, distance: float, size: int) -> tuple[npt.NDArray[np.uint8], Colours]:
    """One picture, and the (n, 3) float32 points of the object that its rays hit first."""
    right, up, towards = camera.axes()
    steps = (np.arange(size * _RAYS) + 0.5) / (size * _RAYS) * 2 - 1
    x, y = np.meshgrid(steps * _HALF_FIELD, -steps * _HALF_FIELD)  # rows go down
    directions = (x[..., None] * right + y[..., None] * up - towards).reshape(-1, 3)
    directions /= np.sqrt((directions * directions).sum(axis=1, keepdims=True))
    rays = directions.astype(np.float32)
    origins = np.broadcast_to((towards * distance).astype(np.float32), rays.shape).copy()
    colour, points = _trace(stage, origins, rays)
    blocks = colour.reshape(size, _RAYS, size, _RAYS, 3)
    mean = (blocks[:, 0, :, 0] + blocks[:, 0, :, 1] + blocks[:, 1, :, 0] + blocks[:, 1, :, 1]) / 4
    return np.rint(np.clip(mean, 0, 1) * 255).astype(np.uint8), points


def _trace(stage: _Stage, origins: Colours, directions: Colours) -> tuple[Colours, Colours]:
    """(rays, 3) colours over white, front to back through what can be seen through; and the first points hit."""
    colour = np.zeros_like(directions)
    through = np.ones(len(directions), np.float32)  # the share of light still on its way
    alive = np.arange(len(directions))
    points = np.empty((0, 3), np.float32)
    for layer in range(_LAYERS):
        hit = stage.hit(origins[alive], directions[alive])
        struck = hit["primID"] >= 0
        alive = alive[struck]
        u, v, far = (hit[name][struck] for name in ("u", "v", "tfar"))
        weights = np.stack([1 - u - v, u, v], axis=1)
        where = origins[alive] + directions[alive] * far[:, None]
        if layer == 0:
            points = where
        shade = stage.colour(hit["primID"][struck].astype(np.int64), weights, directions[alive])
        colour[alive] += (through[alive] * shade[:, 3])[:, None] * shade[:, :3]
        through[alive] *= 1 - shade[:, 3]
        alive, where = alive[through[alive] > 0.01], where[through[alive] > 0.01]
        if not len(alive):
            break
        origins[alive] = where + directions[alive] * np.float32(_STEP)
    return colour + through[:, None], points
