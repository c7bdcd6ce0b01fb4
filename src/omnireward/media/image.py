"""Images: PNG, JPEG, WEBP, and the first frame of a GIF.

Pillow registers some seventy formats, several with a history of memory-safety bugs; only these four are offered to it.
The size comes from the header, before any pixel is decoded.
"""

from __future__ import annotations

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, UnidentifiedImageError

from omnireward.errors import MediaError, MediaLimitError, UnreadableMediaError
from omnireward.media.pieces import Piece, describe, open_piece

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")

Pixels = npt.NDArray[np.uint8]


def decode_image(piece: Piece, pixels: int) -> Pixels:
    """Decode an image as people see it: alpha over white, turned as its EXIF orientation says.

    Args:
        piece: an encoded image.
        pixels: the largest width x height.

    Returns:
        (height, width, 3) uint8 RGB.

    Raises:
        MediaLimitError: more pixels than that.
        UnreadableMediaError: truncated, damaged, or of another format.
    """
    with opened(piece, pixels) as image:
        image.load()
        upright = ImageOps.exif_transpose(image)
        if upright.has_transparency_data or upright.mode.startswith("I"):
            return over_white(to_rgba(upright))
        return np.asarray(upright.convert("RGB"))  # the usual case, twice as fast


def check_image(piece: Piece, pixels: int) -> None:
    """Check format and size by the header alone. Raises as `decode_image` does."""
    with opened(piece, pixels):
        pass


@contextmanager
def opened(piece: Piece, pixels: int) -> Iterator[Image.Image]:
    """An image whose format and size have been checked but whose pixels have not been read.

    What Pillow raises inside the block becomes an `UnreadableMediaError`.
    """
    name = describe(piece)
    try:
        with warnings.catch_warnings():
            # Pillow only warns of decompression bombs up to twice its own limit. A warning means a damaged file,
            # except the one about EXIF: cameras and web sites write broken EXIF into pictures that are whole.
            warnings.simplefilter("error")
            warnings.filterwarnings("ignore", message="Corrupt EXIF data")
            with open_piece(piece) as file, Image.open(file, formats=FORMATS) as image:
                _check_size(image, pixels, name)
                yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise MediaLimitError(f"{name}: {error}") from error
    except MediaError:
        raise
    except UnidentifiedImageError as error:  # its text has an address in memory, and messages are compared
        raise UnreadableMediaError(f"{name}: not a readable image. Images may be {', '.join(FORMATS)}.") from error
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, struct.error, zlib.error, Warning) as error:
        raise UnreadableMediaError(
            f"{name}: not a readable image ({error}). Images may be {', '.join(FORMATS)}."
        ) from error


def to_rgba(image: Image.Image) -> Pixels:
    """Any of Pillow's modes as (height, width, 4) uint8 RGBA."""
    if image.mode.startswith("I"):
        # Pillow clips 16-bit grey to 255 when it converts, which turns most of a picture white.
        grey = (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
        image = Image.fromarray(grey)
    return np.asarray(image.convert("RGBA"))


def over_white(rgba: Pixels) -> Pixels:
    """Lay (..., 4) uint8 RGBA over white: (..., 3) uint8, rounded to nearest.

    >>> over_white(np.array([255, 0, 0, 128], np.uint8)).tolist()
    [255, 127, 127]
    """
    alpha = rgba[..., 3:]
    if alpha.min(initial=255) == 255:
        return np.ascontiguousarray(rgba[..., :3])
    weight = alpha.astype(np.uint16)
    mixed = rgba[..., :3] * weight + 255 * (255 - weight)
    return ((mixed + 127) // 255).astype(np.uint8)


def resize(pixels: Pixels, height: int, width: int) -> Pixels:
    """Resize (h, w, 3) uint8 to (height, width, 3), bicubic with antialiasing."""
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BICUBIC))


def _check_size(image: Image.Image, pixels: int, name: str) -> None:
    if image.width * image.height > pixels:
        raise MediaLimitError(
            f"{name}: {image.width} x {image.height} pixels; at most {pixels:,} are decoded. Make it smaller first."
        )
