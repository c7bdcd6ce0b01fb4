"""The resampler: a fixed number of learned queries read the patches of a view (MiniCPM-o-2.6, module `resampler`).

Unusual: keys carry the position, values and queries do not; the first half of a position encodes the *column*.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn

from omnireward.backbones._minicpm_o_config import HEAD_DIM


class Resampler(nn.Module):
    """Features of patches become `queries` embeddings in the language model's space."""

    def __init__(self, queries: int, hidden: int, vision_hidden: int) -> None:
        super().__init__()
        self.query = nn.Parameter(torch.randn(queries, hidden) * 0.02)
        self.kv_proj = nn.Linear(vision_hidden, hidden, bias=False)
        self.attn = nn.MultiheadAttention(hidden, hidden // HEAD_DIM, batch_first=True)
        self.ln_q = nn.LayerNorm(hidden, eps=1e-6)
        self.ln_kv = nn.LayerNorm(hidden, eps=1e-6)
        self.ln_post = nn.LayerNorm(hidden, eps=1e-6)
        self.proj = nn.Parameter(torch.randn(hidden, hidden) * hidden**-0.5)

    def forward(self, features: Tensor, sizes: Sequence[tuple[int, int]], mask: Tensor | None) -> Tensor:
        """Embeddings of views.

        Args:
            features: (views, longest, vision hidden).
            sizes: for each view its patches (height, width).
            mask: bool (views, longest), True on real patches; None when all are.

        Returns:
            (views, queries, hidden)
        """
        values = self.ln_kv(self.kv_proj(features))
        hidden = values.shape[-1]
        places = [_places(height, width, hidden) for height, width in sizes]
        keys = values + nn.utils.rnn.pad_sequence(places, batch_first=True).to(values)
        queries = self.ln_q(self.query).expand(len(values), -1, -1)
        ignored = None if mask is None else ~mask
        read, _ = self.attn(queries, keys, values, key_padding_mask=ignored, need_weights=False)
        out: Tensor = self.ln_post(read) @ self.proj
        return out


def _places(height: int, width: int, hidden: int) -> Tensor:
    """Sine-cosine position of each patch, row-major: (height * width, hidden) float32, column half first."""
    columns = _waves(width, hidden // 2).expand(height, -1, -1)
    rows = _waves(height, hidden // 2)[:, None].expand(-1, width, -1)
    return torch.cat([columns, rows], dim=-1).flatten(0, 1)


@lru_cache(maxsize=1024)
def _waves(length: int, size: int) -> Tensor:
    """[sin | cos] of positions 0..length-1: (length, size) float32."""
    omega = 1.0 / 10000 ** (torch.arange(size // 2, dtype=torch.float32, device="cpu") / (size / 2))
    angles = torch.outer(torch.arange(length, dtype=torch.float32, device="cpu"), omega)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
