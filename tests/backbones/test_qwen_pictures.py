"""Pictures for Qwen's vision towers, against transformers' own processor, which needs nothing else for images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from omnireward.backbones import _qwen_pictures
from omnireward.backbones._qwen_pictures import Pictures, patches, see, spacing
from omnireward.backbones._qwen_preprocessing import CLIP_MEAN, CLIP_STD, Pixels, VisionPreprocessing
from omnireward.backbones.qwen2_5_vl import tiny
from omnireward.backbones.qwen3_vl import Qwen3VL
from omnireward.errors import UnreadableMediaError
from omnireward.media.encode import mp4
from omnireward.types import Media, MediaKind

GIVEN = VisionPreprocessing(Pixels(56 * 56, 112 * 112), Pixels(56 * 56, 84 * 84), CLIP_MEAN, CLIP_STD, patch_size=14)


@pytest.mark.parametrize(("height", "width"), [(56, 56), (30, 31), (57, 200), (300, 200), (1, 40), (113, 13)])
def test_an_image_is_cut_as_transformers_cuts_it(
    height: int, width: int, picture: Callable[[int, int, int], NDArray[np.uint8]]
) -> None:
    image = picture(height, width, 0)
    size = {"shortest_edge": GIVEN.image.least, "longest_edge": GIVEN.image.most}
    theirs = Qwen2VLImageProcessorPil(size=size)(image, return_tensors="pt", input_data_format="channels_last")
    medium = Pictures(GIVEN)("image", image)
    assert medium.inputs is not None
    assert theirs["image_grid_thw"].tolist() == [[1, *medium.sizes[0]]]
    torch.testing.assert_close(patches(medium.inputs[0], GIVEN), theirs["pixel_values"], rtol=0, atol=1e-6)


def test_a_slice_of_a_video_is_an_image_where_both_its_frames_are_the_same(
    picture: Callable[[int, int, int], NDArray[np.uint8]],
) -> None:
    """And the last of an odd number of frames is repeated."""
    frame = picture(56, 84, 0)
    video = Pictures(GIVEN)("video", np.stack([frame] * 3))
    image = Pictures(GIVEN)("image", frame)
    assert video.inputs is not None
    assert image.inputs is not None
    assert [len(each) for each in video.inputs] == [2, 1]
    for each in video.inputs:
        assert torch.equal(patches(each, GIVEN), patches(image.inputs[0], GIVEN))


@pytest.mark.parametrize("kind", ["image", "video"])
def test_more_embeddings_than_a_model_reads_are_refused_before_they_take_memory(
    kind: MediaKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20,000 pixels are 715 begun squares of 28, and 715 squared is 511,225: a gigabyte for each frame."""
    bounds, pictures = Pixels(20_000**2, 20_000**2), np.zeros((2, 9, 9, 3), np.uint8)
    monkeypatch.delattr(_qwen_pictures, "_resized")
    with pytest.raises(UnreadableMediaError, match="511,225 embeddings"):
        Pictures(replace(GIVEN, image=bounds, video=bounds))(kind, pictures[0] if kind == "image" else pictures)


def test_views_of_a_mesh_are_images(picture: Callable[[int, int, int], NDArray[np.uint8]]) -> None:
    views = np.stack([picture(56, 56, seed) for seed in range(3)])
    mesh = Pictures(GIVEN)("mesh", views)
    assert mesh.inputs is not None
    for view, found in zip(views, mesh.inputs, strict=True):
        (alone,) = Pictures(GIVEN)("image", view).inputs or ()
        assert torch.equal(found, alone)


@pytest.mark.parametrize(
    ("frames", "bounds", "size"),
    [
        # 8 frames share 64 x 1024 pixels: 8 x 1024 each, so sides of sqrt(8192) = 90.5, in multiples of 32
        (8, Pixels(4096, 65_536), (64, 64)),
        # a bound above 768 tokens a frame gives each those: sqrt(768 x 1024) = 886.8
        (2, Pixels(4096, 10_000_000), (864, 864)),
        # 1.05 times the lower bound of all frames is a frame's, whatever its share: sqrt(1.05 x 65536) = 262.3
        (16, Pixels(65_536, 70_000), (256, 256)),
    ],
)
def test_frames_of_qwen3_share_one_bound(frames: int, bounds: Pixels, size: tuple[int, int]) -> None:
    """By hand, from the published rule, for square frames of 1000 pixels."""
    given = VisionPreprocessing(bounds, bounds, CLIP_MEAN, CLIP_STD, patch_size=16)
    medium = Qwen3VL.pictures(given)("video", np.zeros((frames, 1000, 1000, 3), np.uint8))
    assert medium.sizes[0] == (size[0] // 16, size[1] // 16)


def test_the_time_between_frames_is_that_of_the_file(tmp_path: Path) -> None:
    """9 frames, 2 in a second, are 4.5 s long; 4 of them, evenly, are 1.5 s apart. Pictures in order tell no time."""
    model = tiny(["a"], 0)
    try:
        frames = np.zeros((9, 64, 64, 3), np.uint8)
        path = tmp_path / "video.mp4"
        path.write_bytes(mp4(frames, fps=2))
        assert spacing(model.prepare(Media("video", path)).pattern) == pytest.approx(1.5)
    finally:
        model.close()


class _Counting(nn.Module):
    """A tower that tells how many patches came at once, instead of what is in them."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seen: list[int] = []

    def forward(self, pixels: torch.Tensor, grid_thw: torch.Tensor) -> Any:
        self.seen.append(len(pixels))
        assert int(grid_thw.prod(dim=1).sum()) == len(pixels)
        return BaseModelOutputWithPooling(pooler_output=pixels.view(-1, 4, pixels.shape[1])[:, 0, :1])


def test_slices_are_encoded_in_passes_of_a_bounded_size_and_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 64 patches at most: 16 + 16 + 36 are more, and so are 100 alone."""
    monkeypatch.setattr(_qwen_pictures, "BUDGET", 64)
    sides = [4, 4, 6, 10, 6, 4, 8]
    slices = [torch.full((1, 3, side * 14, side * 14), i, dtype=torch.uint8) for i, side in enumerate(sides)]
    tower = _Counting()
    found = see(tower, slices, [(side, side) for side in sides], GIVEN)
    assert [len(each) for each in found] == [side**2 // 4 for side in sides]
    for each, pixels in zip(found, slices, strict=True):
        assert torch.allclose(each, patches(pixels, GIVEN)[0, 0])
    assert tower.seen == [16 + 16, 36, 100, 36 + 16, 64]
