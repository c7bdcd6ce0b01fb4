"""Decoded pictures become what a Qwen vision tower reads: slices of one or two frames, cut into patches.

A slice is kept as resized pixels, one byte for each colour, and becomes patches only when it is encoded. A picture is a
slice of one frame, which the tower sees twice; a video is slices of two frames; a mesh is pictures, one for each view.
Attention never crosses from one slice to another, so each is an input of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize as _smart_resize

from omnireward.backbones import Prepared
from omnireward.backbones._qwen_preprocessing import VisionPreprocessing
from omnireward.errors import UnreadableMediaError
from omnireward.types import MediaKind

NOMINAL_FPS = 2.0  # of frames whose times nobody tells: the rate that the published models sample at
VIEW_TOKENS = 768  # of a mesh's view, at most: as many as the published limit for a video's frame
# Patches that one pass of a tower holds; a larger slice goes alone.
BUDGET = 16 * 1024
# Embeddings of one medium, at most: as many as the models have positions. Checked before pictures are made larger: a
# checkpoint's lower bound may be anything.
MOST_TOKENS = 128 * 1024
# (frames, height, width) to the height and width that a video's frames are resized to.
FrameSize = Callable[[int, int, int], tuple[int, int]]


class Pictures:
    """Cuts decoded pictures for the vision tower of one model.

    Args:
        preprocessing: of the checkpoint.
        frame_size: what a family resizes a video's frames to; by default each has limits of its own.
    """

    def __init__(self, preprocessing: VisionPreprocessing, frame_size: FrameSize | None = None) -> None:
        self._given = preprocessing
        self._frame_size = frame_size or self._each_frame

    def __call__(self, kind: MediaKind, decoded: NDArray[Any], seconds: float | None = None) -> Prepared:
        """Prepare what the decoder returned.

        Args:
            kind: image, video or mesh.
            decoded: image (H, W, 3) uint8; video or mesh (N, H, W, 3) uint8.
            seconds: from a video's first frame to its last; None: frames are taken to be half a second apart.

        Raises:
            UnreadableMediaError: no frames, a picture too long and narrow, or more embeddings than any model reads.
        """
        frames = decoded[None] if kind == "image" else decoded
        if not len(frames):
            raise UnreadableMediaError(f"a {kind} without frames: there is nothing to see.")
        height, width = frames.shape[1:3]
        try:
            if kind == "video":
                size, pattern = self._frame_size(len(frames), height, width), video_pattern(len(frames), seconds)
            else:
                size, pattern = self._picture_size(kind, height, width), kind
        except ValueError as error:  # the published rule has no size for it
            raise UnreadableMediaError(f"a {kind} of {width} x {height} pixels cannot be used: {error}.") from error
        together = self._given.temporal_patch_size if kind == "video" else 1
        patches = (size[0] // self._given.patch_size, size[1] // self._given.patch_size)
        tokens = patches[0] * patches[1] // self._given.merge_size**2
        if (wanted := tokens * -(-len(frames) // together)) > MOST_TOKENS:
            raise UnreadableMediaError(
                f"a {kind} of {width} x {height} pixels would become {wanted:,} embeddings, more than {MOST_TOKENS:,}. "
                "Lower the bounds of pictures in the checkpoint's preprocessor_config.json."
            )
        resized = torch.from_numpy(np.stack([_resized(frame, size) for frame in frames])).permute(0, 3, 1, 2)
        inputs = tuple(each.contiguous() for each in torch.split(resized, together))
        return Prepared("vision", inputs, (patches,) * len(inputs), (tokens,) * len(inputs), pattern)

    def _picture_size(self, kind: MediaKind, height: int, width: int) -> tuple[int, int]:
        given = self._given
        most = given.image.most
        if kind == "mesh":
            most = max(given.image.least, min(most, VIEW_TOKENS * given.factor**2))
        return smart_resize(height, width, given.factor, given.image.least, most)

    def _each_frame(self, _frames: int, height: int, width: int) -> tuple[int, int]:
        return smart_resize(height, width, self._given.factor, self._given.video.least, self._given.video.most)


def smart_resize(height: int, width: int, factor: int, least: int, most: int) -> tuple[int, int]:
    """The size, in multiples of `factor`, that a picture is resized to. Raises ValueError for a very narrow one."""
    return cast("tuple[int, int]", _smart_resize(height, width, factor=factor, min_pixels=least, max_pixels=most))


def video_pattern(frames: int, seconds: float | None) -> str:
    """How a video stands in the text: how many frames, and the seconds from one to the next.

    >>> video_pattern(5, 8.0), video_pattern(5, None), spacing(video_pattern(5, 8.0)), frame_count("video 5 2.0")
    ('video 5 2.0', 'video 5 0.5', 2.0, 5)
    """
    return f"video {frames} {1 / NOMINAL_FPS if seconds is None or frames < 2 else seconds / (frames - 1)!r}"


def spacing(pattern: str) -> float | None:
    """Seconds from one frame of a video to the next; None for pictures."""
    return float(pattern.split()[2]) if pattern.startswith("video ") else None


def frame_count(pattern: str) -> int:
    """Frames of a video."""
    return int(pattern.split()[1])


def patches(pixels: Tensor, given: VisionPreprocessing) -> Tensor:
    """A slice as the tower reads it: (patches, colours x frames x patch x patch) float32, patches by merged squares.

    Args:
        pixels: (frames, 3, height, width) uint8; the last frame is repeated until there are enough.
        given: sizes, and the mean and deviation of each colour.
    """
    mean, std = (torch.tensor(each, device=pixels.device).view(3, 1, 1) for each in (given.mean, given.std))
    frames = (pixels.float() / 255 - mean) / std
    missing = given.temporal_patch_size - len(frames)
    frames = torch.cat([frames, frames[-1:].expand(missing, -1, -1, -1)])
    side, merge = given.patch_size, given.merge_size
    rows, columns = frames.shape[2] // (side * merge), frames.shape[3] // (side * merge)
    cut = frames.reshape(len(frames), 3, rows, merge, side, columns, merge, side).permute(2, 5, 3, 6, 1, 0, 4, 7)
    return cut.reshape(rows * columns * merge**2, -1)


def see(
    tower: nn.Module, slices: Sequence[Tensor], sizes: Sequence[tuple[int, int]], given: VisionPreprocessing
) -> list[Tensor]:
    """Embeddings of slices: for each (tokens, width), where width has DeepStack's features behind the embeddings.

    Args:
        tower: a vision tower of transformers' Qwen models.
        slices: as `Pictures` makes them.
        sizes: patches of each, (height, width).
        given: as the slices were made with.
    """
    device = next(tower.parameters()).device
    found: list[Tensor] = []
    for batch in _batches([height * width for height, width in sizes]):
        shapes = [(1, *sizes[i]) for i in batch]
        pixels = torch.cat([patches(slices[i].to(device), given) for i in batch])
        seen = tower(pixels, grid_thw=torch.tensor(shapes, device=device))
        features = torch.cat([seen.pooler_output, *(getattr(seen, "deepstack_features", None) or ())], dim=1)
        found += torch.split(features, [height * width // given.merge_size**2 for _, height, width in shapes])
    return found


def _batches(lengths: Sequence[int]) -> Iterator[range]:
    """Ranges of slices that stand together; nothing is padded, so order is kept."""
    start, total = 0, 0
    for i, length in enumerate(lengths):
        if i > start and total + length > BUDGET:
            yield range(start, i)
            start, total = i, 0
        total += length
    if lengths:
        yield range(start, len(lengths))


def _resized(frame: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    height, width = size
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BICUBIC))
