"""Sounds of a fraction of a second, for examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from omnireward.media.encode import wav

RATE = 16_000  # Hz


def sound(loudness: float) -> bytes:
    """A hum as WAV, its loudness in [0, 1]."""
    return wav((loudness * np.sin(np.arange(RATE // 4) / 6)).astype(np.float32), RATE)


def write_sound(path: Path, loudness: float) -> None:
    """Write a hum; makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(sound(loudness))
