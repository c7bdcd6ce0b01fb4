"""Decoded media become what the towers read: strips of patches for pictures, mel frames for sound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from omnireward.backbones import Prepared
from omnireward.backbones._minicpm_o_config import MiniCPMOConfig, Preprocessing, audio_tokens
from omnireward.backbones._minicpm_o_mel import RATE, Mel
from omnireward.backbones._minicpm_o_slicing import cut, shrink, strip
from omnireward.backbones._minicpm_o_text import picture_pattern
from omnireward.errors import UnreadableMediaError
from omnireward.types import MediaKind


@dataclass(frozen=True, slots=True)
class _Limits:
    """What a picture is cut by."""

    max_pixels: int
    max_slices: int
    numbered: bool


class Preparer:
    """Cuts decoded media for the towers of one model."""

    def __init__(self, config: MiniCPMOConfig, preprocessing: Preprocessing) -> None:
        self._config, self._mel = config, Mel(config.audio.num_mel_bins)
        self._image = _Limits(preprocessing.image_max_pixels, config.slices.max_slice_nums, numbered=True)
        self._frame = _Limits(preprocessing.frame_max_pixels, preprocessing.frame_max_slices, numbered=False)

    def __call__(self, kind: MediaKind, decoded: NDArray[Any]) -> Prepared:
        """Prepare what the decoder returned.

        Args:
            kind: of the medium.
            decoded: image (H, W, 3) uint8; video or mesh (N, H, W, 3) uint8; audio (samples,) float32 at 16 kHz.

        Raises:
            UnreadableMediaError: no frames, or a sound too short for a single embedding.
        """
        if kind == "audio":
            return self._sound(decoded)
        if kind == "image":
            return self._pictures(kind, [decoded], self._image)
        return self._pictures(kind, list(decoded), self._frame)

    def _pictures(self, kind: MediaKind, frames: Sequence[NDArray[np.uint8]], limits: _Limits) -> Prepared:
        if not frames:
            raise UnreadableMediaError(f"a {kind} without frames: there is nothing to see.")
        slices, patch = self._config.slices, self._config.vision.patch_size
        strips: list[torch.Tensor] = []
        sizes: list[tuple[int, int]] = []
        pattern = ""
        for frame in frames:
            image = shrink(Image.fromarray(frame), limits.max_pixels)
            views = cut(image, limits.max_slices, slices.scale_resolution, patch)
            strips += [torch.from_numpy(strip(view, patch)) for view in views.images]
            sizes += [(view.height // patch, view.width // patch) for view in views.images]
            pattern += picture_pattern(views.grid, numbered=limits.numbered)
        return Prepared("vision", tuple(strips), tuple(sizes), (self._config.query_num,) * len(strips), pattern)

    def _sound(self, sound: NDArray[np.float32]) -> Prepared:
        step = self._config.audio_pool_step
        mels = [(mel, audio_tokens(mel.shape[-1], step)) for mel in self._mel(sound)]
        heard = [(mel, tokens) for mel, tokens in mels if tokens]  # the rest after 30 s may be too short
        if not heard:
            raise UnreadableMediaError(
                f"a sound of {len(sound)} samples at {RATE} Hz is too short: one embedding takes {step * 20} ms."
            )
        tokens = tuple(count for _, count in heard)
        sizes = tuple((mel.shape[-1], count) for mel, count in heard)
        return Prepared("audio", tuple(mel for mel, _ in heard), sizes, tokens, "")
