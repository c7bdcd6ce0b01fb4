"""Media of a moment for the annotation page: a picture, 0.2 seconds of video and of sound, an object."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from omnireward.media import encode
from omnireward.miniature.solids import draw_solid, glb

Media = dict[str, tuple[str, bytes]]


@cache
def media(seconds: float = 0.2, seed: int = 6) -> Media:
    """Files by name: two pictures, two videos, two sounds, two objects."""
    rng = np.random.default_rng(seed)
    found: Media = {}
    for i in range(2):
        picture = rng.integers(0, 255, (6, 8, 3), np.uint8).repeat(40, 0).repeat(40, 1)
        found[f"{i}.png"] = "image/png", encode.png(picture)
        frames = np.stack(
            [np.full((48, 64, 3), (40 * n + 20 * i + seed) % 256, np.uint8) for n in range(round(20 * seconds))]
        )
        found[f"{i}.mp4"] = "video/mp4", encode.mp4(frames, 20)
        tone = np.sin(np.arange(round(16_000 * seconds)) / (8 + 4 * i + seed)).astype(np.float32) * 0.3
        found[f"{i}.wav"] = "audio/wav", encode.wav(tone, 16_000)
        found[f"{i}.glb"] = "model/gltf-binary", glb(draw_solid(rng))
    return found


def everything(i: int) -> list[dict[str, Any]]:
    """A response with a part of each modality."""
    return [
        {"kind": "text", "text": f"Here is number {i}."},
        {"kind": "image", "url": f"/media/{i}.png"},
        {"kind": "video", "url": f"/media/{i}.mp4"},
        {"kind": "audio", "url": f"/media/{i}.wav"},
        {"kind": "mesh", "url": f"/media/{i}.glb", "views": []},
    ]


def timed(i: int) -> list[str]:
    """The addresses of what such a response wants played."""
    return [f"/media/{i}.mp4", f"/media/{i}.wav"]
