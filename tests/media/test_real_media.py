"""Files that were not made for these tests, kept beside the checkout by those who have them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from omnireward.errors import UnreadableMediaError
from omnireward.media import DecodeOptions, Decoder
from omnireward.types import Media

REAL = Path(__file__).resolve().parents[2] / ".." / "shared" / "real"

pytestmark = pytest.mark.skipif(not REAL.is_dir(), reason="no real media beside the checkout")


def found(*patterns: str) -> list[Path]:
    return [path for pattern in patterns for path in sorted(REAL.glob(pattern))]


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder(DecodeOptions(frames=3, view_size=96)) as decoder:
        yield decoder


def test_images(decoder: Decoder) -> None:
    paths = found("media/*.jpg", "images_one_prompt/*.webp", "edits/*.png")
    assert paths
    for path in paths:
        pixels = decoder(Media("image", path))
        assert pixels.ndim == 3
        assert pixels.std() > 5, path


def test_videos(decoder: Decoder) -> None:
    paths = found("media/*.mp4", "media/*.avi", "omni_rewardbench_sample/**/*.mp4")
    assert paths
    for path in paths:
        pixels = decoder(Media("video", path))
        assert len(pixels) == 3
        assert all(frame.std() > 5 for frame in pixels), path
        assert (pixels[0] != pixels[2]).any(), path


def test_sounds(decoder: Decoder) -> None:
    paths = found("omni_rewardbench_sample/**/*.wav")
    assert paths
    for path in paths:
        samples = decoder(Media("audio", path))
        assert len(samples) > 8_000  # half a second
        assert 0.001 < np.sqrt(np.mean(samples**2)) < 0.5, path


def test_meshes(decoder: Decoder) -> None:
    paths = found("meshes/*.glb", "meshes/*.obj")
    assert paths
    for path in paths:
        views = decoder(Media("mesh", path))
        assert views.shape == (4, 96, 96, 3)
        for view in views:
            drawn = (view != 255).any(axis=2)
            assert drawn.mean() > 0.04, path
            assert not drawn[0].any(), path
            assert not drawn[:, 0].any(), path


def test_duck_is_yellow_with_an_orange_bill(decoder: Decoder) -> None:
    """The bill points to +X: in the first view it is on the right, in the third on the left."""
    views = decoder(Media("mesh", REAL / "meshes" / "Duck.glb")).astype(int)
    orange = (views[..., 0] > 150) & (views[..., 1] > 60) & (views[..., 1] < 130) & (views[..., 2] < 60)
    assert np.nonzero(orange[0])[1].mean() > 60
    assert np.nonzero(orange[2])[1].mean() < 36


def test_a_texture_that_is_missing_is_an_error(decoder: Decoder, tmp_path: Path) -> None:
    (tmp_path / "fuze.obj").write_bytes((REAL / "meshes" / "fuze.obj").read_bytes())
    with pytest.raises(UnreadableMediaError, match=r"fuze\.obj\.mtl"):
        decoder(Media("mesh", tmp_path / "fuze.obj"))
