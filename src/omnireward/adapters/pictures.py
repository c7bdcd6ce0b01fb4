"""Pictures as frameworks hold them become media: PIL images, arrays, tensors, bytes, and the datasets library's dicts.

They are encoded as PNG, which loses nothing. Paths are refused: a row of a dataset could name any file of the machine.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from omnireward.errors import UnreadableMediaError
from omnireward.media.encode import png
from omnireward.types import Media

Pixels = npt.NDArray[np.uint8]


def picture(value: object) -> Media:
    """One picture.

    Args:
        value: a PIL image; encoded bytes, or a dict with them under ``bytes``; (height, width, 3) uint8, or
            (3, height, width) float in [0, 1], as an array or a tensor.

    Raises:
        UnreadableMediaError: none of these.
    """
    if isinstance(value, Image.Image):
        return Media("image", _as_png(value))
    if isinstance(value, dict) and isinstance(value.get("bytes"), bytes):
        value = value["bytes"]
    if isinstance(value, bytes):
        return Media("image", value)
    if hasattr(value, "shape"):
        array = as_array(value)
        return Media("image", png(pixels_of(array[None])[0]))
    raise UnreadableMediaError(
        f"a picture must be a PIL image, encoded bytes, a dict with them under `bytes`, or an array; got a "
        f"{type(value).__name__}. Paths are not opened: open the file where the dataset is made."
    )


def _as_png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    try:
        kept = image if image.mode in _OF_PNG else image.convert("RGB")
        kept.save(buffer, "PNG", compress_level=1)
    except (OSError, SyntaxError, ValueError) as error:  # opened, but read only now
        raise UnreadableMediaError(f"a picture of a row cannot be read ({error}).") from error
    return buffer.getvalue()


def pictures(value: object) -> list[Media]:
    """One or more: a list of pictures, or pictures in one array, (n, height, width, 3) uint8 or (n, 3, h, w) float."""
    if hasattr(value, "shape"):
        return [Media("image", png(one)) for one in pixels_of(as_array(value))]
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [picture(each) for each in value]
    return [picture(value)]


def as_array(value: Any) -> npt.NDArray[Any]:
    """An array, or a tensor of torch on any device, as numpy holds it; half precision becomes float32."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        if value.dtype.is_floating_point:
            value = value.float()
        value = value.numpy()
    return np.asarray(value)


def pixels_of(array: npt.NDArray[Any]) -> Pixels:
    """Pixels (n, height, width, 3) uint8 of either layout; floats are rounded to the nearest of 256 steps.

    Raises:
        UnreadableMediaError: another shape or type, or floats that are no colours.

    >>> pixels_of(np.full((1, 3, 2, 2), 0.5)).tolist()[0][0]
    [[128, 128, 128], [128, 128, 128]]
    """
    if array.ndim == 4 and array.dtype == np.uint8 and array.shape[3] == 3:
        return array
    if array.ndim == 4 and np.issubdtype(array.dtype, np.floating) and array.shape[1] == 3:
        if not np.isfinite(array).all() or array.min(initial=0.0) < -_SLACK or array.max(initial=0.0) > 1 + _SLACK:
            raise UnreadableMediaError("floats of pictures must lie in [0, 1]; scale them first.")
        return np.asarray(np.rint(array.clip(0, 1) * 255), np.uint8).transpose(0, 2, 3, 1)
    raise UnreadableMediaError(
        f"pictures must be (n, height, width, 3) uint8 or (n, 3, height, width) float; got {array.shape} {array.dtype}."
    )


_OF_PNG = ("1", "L", "LA", "P", "RGB", "RGBA")
_SLACK = 1e-2  # decoders of latents overshoot a little
