"""A picture in 64 bits that survive re-encoding, resizing and recolouring: imagehash's `phash`.

The signs of the 8 x 8 lowest frequencies of the grey picture against their median (Zauner 2010, "Implementation and
benchmarking of perceptual image hash functions", section 3.2). Taken rather than `dhash`, whose bits are noise where
neighbours are equal. Within 6 bits, of 99 pieces of photographs: as JPEG of quality 20 phash finds 96 %, dhash 81 %; a
quarter of the size and JPEG 50, 96 % and 84 %; cut by 2 % on each side, 88 % and 87 %, by 3 % 53 % and 71 %, by 5 %
9 % and 24 %; of drawings on even ground as JPEG 60, 95 % and 35 %. Mirrored pictures are found by neither. Of 131,670
pairs of unrelated pieces none came within 10 bits; of different drawings that one program made of the same few shapes,
3.5 % within 6.

Unusual: a picture without anything on it has a hash too, made of noise; `is_plain` tells it, and `media_hashes` leaves
it out.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from omnireward.errors import MissingExtraError

BITS = 64
_PLAIN = 2.0  # grey levels of standard deviation; the noise of a compressed even picture stays below 1

Pixels = npt.NDArray[np.uint8]


def picture_hash(pixels: Pixels) -> int:
    """The 64-bit perceptual hash of a picture: near pictures differ in few bits (`distance`).

    Args:
        pixels: (height, width, 3) uint8 RGB.

    Raises:
        MissingExtraError: needs the extra ``construct``.
    """
    try:
        import imagehash
    except ImportError as error:
        raise MissingExtraError("hashing pictures", "construct") from error
    bits = imagehash.phash(Image.fromarray(pixels)).hash
    return int.from_bytes(np.packbits(np.asarray(bits, bool)).tobytes(), "big")


def is_plain(pixels: Pixels) -> bool:
    """Whether a (height, width, 3) uint8 picture is one even area, which a hash says nothing of."""
    small = Image.fromarray(pixels).convert("L").resize((32, 32), Image.Resampling.BOX)
    return float(np.asarray(small, np.float64).std()) < _PLAIN


def distance(a: int, b: int) -> int:
    """How many of 64 bits differ.

    >>> distance(0b1011, 0b0001)
    2
    """
    return (a ^ b).bit_count()
