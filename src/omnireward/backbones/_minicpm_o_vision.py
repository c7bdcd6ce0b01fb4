"""The vision tower: a SigLIP encoder over images of any shape (MiniCPM-o-2.6, module `vpm`).

Unusual: an image arrives as one strip of patches, and a patch's position is its *fraction* of the image, looked up in a
square table, so that any shape uses the whole table.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers.models.siglip.modeling_siglip import SiglipEncoder

from omnireward.backbones._minicpm_o_config import VisionConfig


class _Embeddings(nn.Module):
    def __init__(self, config: VisionConfig) -> None:
        super().__init__()
        self.patch_embedding = nn.Conv2d(3, config.hidden_size, config.patch_size, stride=config.patch_size)
        self.position_embedding = nn.Embedding(config.side**2, config.hidden_size)


class VisionTower(nn.Module):
    """Strips of patches become features of patches."""

    def __init__(self, config: VisionConfig, layers: int) -> None:
        super().__init__()
        self.side = config.side
        self.embeddings = _Embeddings(config)
        self.encoder = SiglipEncoder(cast("Any", config.build(layers)))  # annotated as taking the two-tower config
        self.post_layernorm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)

    def forward(self, strips: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> tuple[Tensor, Tensor | None]:
        """Features and, where views differ in length, the mask of real patches.

        Args:
            strips: for each view (3, patch, patch * patches), pixels from -1 to 1.
            sizes: for each view its patches (height, width).

        Returns:
            (views, longest, vision hidden); bool (views, longest), True on real patches, or None when all are real.
        """
        weight = self.embeddings.patch_embedding.weight
        pixels = nn.utils.rnn.pad_sequence([strip.movedim(-1, 0) for strip in strips], batch_first=True)
        patches = self.embeddings.patch_embedding(pixels.movedim(1, -1).to(weight.device, weight.dtype))
        positions = [_positions(height, width, self.side) for height, width in sizes]
        ids = nn.utils.rnn.pad_sequence(positions, batch_first=True).to(weight.device)
        hidden = patches.flatten(2).transpose(1, 2) + self.embeddings.position_embedding(ids)
        mask = real_patches(sizes)
        attend = None
        if mask is not None:
            mask = mask.to(weight.device)
            attend = mask[:, None, None, :]
        hidden = self.encoder(inputs_embeds=hidden, attention_mask=attend).last_hidden_state
        return self.post_layernorm(hidden), mask


def normalise(strip: Tensor) -> Tensor:
    """Pixels from 0..255 uint8 to -1..1 float32; the order of the operations is the published one."""
    return strip.float().div(255).sub(0.5).div(0.5)


def real_patches(sizes: Sequence[tuple[int, int]]) -> Tensor | None:
    """Bool (views, longest), True on real patches; None when no view is padded."""
    lengths = torch.tensor([height * width for height, width in sizes])
    longest = int(lengths.max())
    if bool((lengths == longest).all()):
        return None
    return torch.arange(longest) < lengths[:, None]


def _positions(height: int, width: int, side: int) -> Tensor:
    """Position ids of the patches, row-major: (height * width,) int64."""
    return (_buckets(height, side)[:, None] * side + _buckets(width, side)).flatten()


@lru_cache(maxsize=1024)
def _buckets(patches: int, side: int) -> Tensor:
    """Which of `side` rows of the table each of `patches` patches uses: (patches,) int64.

    float32 on purpose: on exact borders the rounding decides, and the published weights were trained with it.
    """
    fractions = torch.arange(0, 1 - 1e-6, 1 / patches, device="cpu")
    return torch.bucketize(fractions, torch.arange(1 / side, 1.0, 1 / side, device="cpu"), right=True)
