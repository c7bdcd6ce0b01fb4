"""What is drawn: triangles in one scene's coordinates, and what colour each point of them has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Colours = npt.NDArray[np.float32]
Index = npt.NDArray[np.integer[Any]]


@dataclass(frozen=True, slots=True)
class Surface:
    """Triangles of one material. Colours are display values (sRGB) from 0 to 1, with alpha last.

    Attributes:
        triangles: (faces, 3, 3) float64, corners in scene coordinates.
        normals: (faces, 3, 3) float64, unit length, at each corner.
        tint: (4,) float32, multiplies everything else.
        colours: (faces, 3, 4) float32 at each corner, or None.
        uv: (faces, 3, 2) float32 at each corner, v upwards, or None without texture.
        texture: (height, width, 4) uint8, first row on top, or None.
        cutoff: alpha below this is a hole and above it solid; None: alpha is opacity.
    """

    triangles: Floats
    normals: Floats
    tint: Colours
    colours: Colours | None = None
    uv: Colours | None = None
    texture: npt.NDArray[np.uint8] | None = None
    cutoff: float | None = 0.0

    def colour_at(self, face: Index, weights: Colours) -> Colours:
        """The colour of points on the surface.

        Args:
            face: (points,) which triangle.
            weights: (points, 3) float32, barycentric.

        Returns:
            (points, 4) float32 in [0, 1].
        """
        colour = np.broadcast_to(self.tint, (len(face), 4)).copy()
        if self.colours is not None:
            colour *= interpolate(self.colours[face], weights)
        if self.uv is not None and self.texture is not None:
            colour *= _bilinear(self.texture, interpolate(self.uv[face], weights))
        if self.cutoff is not None:
            colour[:, 3] = colour[:, 3] >= self.cutoff
        return colour


def interpolate(corners: npt.NDArray[Any], weights: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """(points, 3, n) values at corners and (points, 3) barycentric weights: (points, n) values at points."""
    # Written out: a matrix product would go through BLAS, whose rounding differs between machines.
    first, second, third = weights[:, 0:1], weights[:, 1:2], weights[:, 2:3]
    mixed: npt.NDArray[Any] = corners[:, 0] * first + corners[:, 1] * second + corners[:, 2] * third
    return mixed


def _bilinear(texture: npt.NDArray[np.uint8], uv: Colours) -> Colours:
    """Sample a repeating texture at (points, 2) coordinates: (points, 4) float32 in [0, 1]."""
    height, width = texture.shape[:2]
    # Texel centres lie at half integers. v points up and rows go down; wrapping before scaling keeps precision.
    x = (uv[:, 0] % 1.0) * width - 0.5
    y = (1.0 - uv[:, 1] % 1.0) * height - 0.5
    left, top = np.floor(x), np.floor(y)
    fx, fy = (x - left)[:, None], (y - top)[:, None]
    x0, y0 = left.astype(np.int64) % width, top.astype(np.int64) % height
    x1, y1 = (x0 + 1) % width, (y0 + 1) % height
    above = texture[y0, x0] * (1 - fx) + texture[y0, x1] * fx
    below = texture[y1, x0] * (1 - fx) + texture[y1, x1] * fx
    mixed: Colours = ((above * (1 - fy) + below * fy) / np.float32(255.0)).astype(np.float32)
    return mixed
