"""Pictures and clips of a few hundred bytes, in one brightness, for examples."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from omnireward.media.encode import mp4, png


def write_picture(path: Path, level: int) -> None:
    """Write a PNG or a JPEG, by the name, of one grey level from 0 to 255; makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(picture(level, "JPEG" if path.suffix == ".jpg" else "PNG"))


def picture(level: int, kind: str = "PNG") -> bytes:
    """A picture of one grey level."""
    pixels = np.full((32, 32, 3), level, np.uint8)
    if kind == "PNG":
        return png(pixels)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def write_clip(path: Path, level: int) -> None:
    """Write an MP4 of one second; makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(mp4(np.full((4, 32, 32, 3), level, np.uint8), 4))
