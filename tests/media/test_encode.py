from __future__ import annotations

import numpy as np
import pytest

from omnireward.media import DecodeOptions, decode, encode
from omnireward.types import Media


def test_png_is_lossless() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (31, 17, 3), dtype=np.uint8)
    np.testing.assert_array_equal(decode(Media("image", encode.png(pixels))), pixels)
    grey = decode(Media("image", encode.png(pixels[..., 0])))
    np.testing.assert_array_equal(grey, np.repeat(pixels[..., :1], 3, axis=2))


def test_wav_clips_and_keeps_sixteen_bits() -> None:
    """By hand: 16 bits are multiples of 1 / 32768 and end at 32767 / 32768."""
    samples = np.array([0, 0.5, -0.5, 1, -1, 2, -2] * 50, np.float32)
    top = 32767 / 32768
    expected = np.array([0, 0.5, -0.5, top, -1, top, -1] * 50, np.float32)
    np.testing.assert_array_equal(decode(Media("audio", encode.wav(samples, 16_000))), expected)


def test_mp4_keeps_frames_their_number_and_their_time() -> None:
    frames = np.zeros((8, 64, 64, 3), np.uint8)
    for i, frame in enumerate(frames):
        frame[:, 8 * i : 8 * i + 8] = (220, 40, 60)
    decoded = decode(Media("video", encode.mp4(frames, 4)), DecodeOptions(frames=8))
    assert np.abs(decoded.astype(int) - frames).mean() < 4  # colour has half the resolution


def test_the_same_array_gives_the_same_bytes() -> None:
    frames = np.random.default_rng(1).integers(0, 256, (6, 64, 48, 3), dtype=np.uint8)
    assert encode.mp4(frames, 8) == encode.mp4(frames, 8)
    assert encode.png(frames[0]) == encode.png(frames[0])


@pytest.mark.parametrize("shape", [(0, 64, 64, 3), (2, 63, 64, 3), (2, 64, 63, 3)])
def test_mp4_refuses_what_it_cannot_express(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="even height and width"):
        encode.mp4(np.zeros(shape, np.uint8), 8)
