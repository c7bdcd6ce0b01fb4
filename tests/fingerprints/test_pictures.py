"""Hashes of pictures: what changes them, and what doesn't."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from omnireward.fingerprints import NEAR, distance, picture_hash
from omnireward.fingerprints.pictures import is_plain

Pixels = npt.NDArray[np.uint8]


def scenery(seed: int, height: int = 192, width: int = 256) -> Pixels:
    """A picture with much on it at all sizes, like a photograph: noise scaled up from 3 to 48 points across."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3))
    for points, weight in ((3, 1.0), (6, 0.7), (12, 0.5), (48, 0.15)):
        noise = Image.fromarray(rng.integers(0, 256, (points, points, 3), dtype=np.uint8))
        total += weight * np.asarray(noise.resize((width, height), Image.Resampling.BICUBIC), np.float64)
    return np.asarray(total / total.max() * 255, np.uint8)


def jpeg(pixels: Pixels, quality: int) -> Pixels:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def resized(pixels: Pixels, width: int, height: int) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((width, height)))


def changed(change: Callable[[Pixels], Pixels], seeds: int = 20) -> list[int]:
    """Distances of pictures to themselves, changed."""
    return [distance(picture_hash(scenery(seed)), picture_hash(change(scenery(seed)))) for seed in range(seeds)]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda p: jpeg(p, 20), id="jpeg"),
        pytest.param(lambda p: resized(p, 128, 96), id="half"),
        pytest.param(lambda p: resized(p, 300, 300), id="stretched"),
        pytest.param(lambda p: (p * 0.8).astype(np.uint8), id="darker"),
        pytest.param(lambda p: p[2:-2, 3:-3], id="cut-by-1-percent"),
    ],
)
def test_a_copy_is_near(change: Callable[[Pixels], Pixels]) -> None:
    assert max(changed(change)) <= NEAR["image"]


def test_what_is_not_found() -> None:
    assert min(changed(lambda p: p[:, ::-1])) > NEAR["image"]  # mirrored
    assert np.median(changed(lambda p: p[29:-29, 38:-38])) > NEAR["image"]  # cut by 15 % on each side


def test_different_pictures_are_far() -> None:
    """Half of 64 bits on average, by chance; 190 pairs."""
    hashes = [picture_hash(scenery(seed)) for seed in range(20)]
    distances = [distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(distances) > NEAR["image"]
    assert 28 < np.mean(distances) < 36


def test_equals_the_cosine_transform_by_hand() -> None:
    """Frequencies from their definition, without scipy."""
    pixels = scenery(3)
    grey = np.asarray(Image.fromarray(pixels).convert("L").resize((32, 32), Image.Resampling.LANCZOS), np.float64)
    wave = np.cos(np.pi * np.outer(np.arange(8), 2 * np.arange(32) + 1) / 64)  # (frequency, place)
    lowest = wave @ grey @ wave.T
    bits = (lowest > np.median(lowest)).ravel()
    assert picture_hash(pixels) == sum(1 << (63 - place) for place, bit in enumerate(bits) if bit)


def test_a_picture_without_anything_on_it() -> None:
    rng = np.random.default_rng(0)
    noisy = (200 + rng.integers(-3, 4, (100, 100, 3))).astype(np.uint8)
    dotted = np.full((100, 100, 3), 255, np.uint8)
    dotted[40:60, 40:60] = 0
    assert is_plain(np.zeros((1, 1, 3), np.uint8))
    assert is_plain(noisy)
    assert not is_plain(dotted)
    assert not is_plain(scenery(0))


def test_the_smallest_picture_has_a_hash() -> None:
    assert 0 <= picture_hash(np.zeros((1, 1, 3), np.uint8)) < 1 << 64
