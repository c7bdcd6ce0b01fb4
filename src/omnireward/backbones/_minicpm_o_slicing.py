"""An image becomes views: an overview and, when it is large, a grid of crops; a view becomes a strip of patches.

Pillow and numpy only. The published slicing, bit for bit: the rounding (Python's, half to even), the order in which
grids are tried, and the bicubic filter all change pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Views:
    """An image cut for the vision tower.

    Attributes:
        images: the overview, then the crops row by row.
        grid: (columns, rows) of the crops; (0, 0) when there are none.
    """

    images: tuple[Image.Image, ...]
    grid: Size


def shrink(image: Image.Image, max_pixels: int) -> Image.Image:
    """The image with at most `max_pixels` of area. Nearest neighbour, because the published weights saw that."""
    width, height = image.size
    if width * height <= max_pixels:
        return image
    factor = math.sqrt(max_pixels / (width * height))
    # A very long image would lose its short side altogether.
    size = (max(1, int(width * factor)), max(1, int(height * factor)))
    return image.resize(size, Image.Resampling.NEAREST)


def cut(image: Image.Image, max_slices: int, resolution: int, patch: int) -> Views:
    """The views of an RGB image.

    Args:
        image: RGB.
        max_slices: most crops.
        resolution: a view has about resolution x resolution pixels.
        patch: sides of a view are multiples of this.
    """
    width, height = image.size
    slices = min(math.ceil(width * height / resolution**2), max_slices)
    if slices <= 1:
        size = _fit((width, height), resolution, patch, upscale=True)
        return Views((image.resize(size, Image.Resampling.BICUBIC),), (0, 0))
    overview = image.resize(_fit((width, height), resolution, patch, upscale=False), Image.Resampling.BICUBIC)
    columns, rows = _grid(math.log(width / height), slices, max_slices)
    one = (_snap(width, columns) / columns, _snap(height, rows) / rows)
    w, h = _fit(one, resolution, patch, upscale=True)
    whole = image.resize((columns * w, rows * h), Image.Resampling.BICUBIC)
    crops = [
        whole.crop((column * w, row * h, (column + 1) * w, (row + 1) * h))
        for row in range(rows)
        for column in range(columns)
    ]
    return Views((overview, *crops), (columns, rows))


def strip(view: Image.Image, patch: int) -> NDArray[np.uint8]:
    """Patches side by side, row-major: (3, patch, patch * patches) uint8."""
    pixels = np.asarray(view)
    rows, columns = pixels.shape[0] // patch, pixels.shape[1] // patch
    patches = pixels.reshape(rows, patch, columns, patch, 3).transpose(4, 1, 0, 2, 3)
    return np.ascontiguousarray(patches.reshape(3, patch, rows * columns * patch))


def _grid(log_ratio: float, slices: int, max_slices: int) -> Size:
    """(columns, rows) nearest in shape to the image, of one crop less, as many, or one more; the first of equals."""
    candidates = [
        (columns, total // columns)
        for total in (slices - 1, slices, slices + 1)
        if total != 1 and total <= max_slices
        for columns in range(1, total + 1)
        if total % columns == 0
    ]
    return min(candidates, key=lambda grid: abs(log_ratio - math.log(grid[0] / grid[1])))


def _fit(size: tuple[float, float], resolution: int, patch: int, *, upscale: bool) -> Size:
    width, height = size
    if upscale or width * height > resolution**2:
        ratio = width / height
        height = int(resolution / math.sqrt(ratio))
        width = int(height * ratio)
    return _snap(width, patch), _snap(height, patch)


def _snap(length: float, multiple: int) -> int:
    return max(round(length / multiple) * multiple, multiple)
