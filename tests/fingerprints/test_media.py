"""What each kind of medium is hashed as."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from omnireward.errors import MissingExtraError, UnreadableMediaError
from omnireward.fingerprints import media_hashes, picture_hash, text_signature, texts
from omnireward.fingerprints.sounds import sound_hashes
from omnireward.media import DecodeOptions, Decoder, decode, encode
from omnireward.miniature.solids import draw_solid, glb
from omnireward.types import Media


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(DecodeOptions(frames=3, views=2)) as decoder:
        yield decoder


def blurred_noise(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).resize((96, 64), Image.Resampling.BICUBIC))


def test_an_image_has_one_hash(decoder: Decoder) -> None:
    pixels = blurred_noise(0)
    assert media_hashes(Media("image", encode.png(pixels)), decoder) == (picture_hash(pixels),)


def test_a_video_has_one_for_each_frame_with_something_on_it(decoder: Decoder) -> None:
    frames = np.stack([blurred_noise(0), np.zeros((64, 96, 3), np.uint8), blurred_noise(1)])
    video = Media("video", encode.mp4(frames, 1))
    first, last = media_hashes(video, decoder)
    assert (first, last) == tuple(picture_hash(decode(video, DecodeOptions(frames=3))[i]) for i in (0, 2))
    pictures = Media("video", tuple(encode.png(frame) for frame in frames))
    assert media_hashes(pictures, decoder) == (picture_hash(frames[0]), picture_hash(frames[2]))


def test_a_mesh_has_one_for_each_view_the_same_each_time(decoder: Decoder) -> None:
    mesh = Media("mesh", glb(draw_solid(np.random.default_rng(0))))
    found = media_hashes(mesh, decoder)
    assert len(found) == 2
    assert media_hashes(mesh, decoder) == found


def test_a_sound_has_one_for_each_four_seconds(decoder: Decoder) -> None:
    sound = np.random.default_rng(0).normal(0, 0.1, 9 * 16_000).astype(np.float32)
    found = media_hashes(Media("audio", encode.wav(sound, 16_000)), decoder)
    assert len(found) == 2
    assert found == sound_hashes(decode(Media("audio", encode.wav(sound, 16_000))), 16_000)


def test_what_cannot_be_decoded_is_an_error(decoder: Decoder) -> None:
    with pytest.raises(UnreadableMediaError):
        media_hashes(Media("image", b"\x89PNG and nothing more"), decoder)


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    texts._empty.cache_clear()
    for name in ("imagehash", "datasketch"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=r"omnireward\[construct\]"):
        picture_hash(blurred_noise(0))
    with pytest.raises(MissingExtraError, match=r"omnireward\[construct\]"):
        text_signature("text")
