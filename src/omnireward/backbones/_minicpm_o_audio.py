"""The audio tower: a Whisper encoder, a projector and pooling (MiniCPM-o-2.6, `apm` and `audio_projection_layer`).

Unusual, and different from the published code: there a clip that is padded beside a longer one comes out changed. Its
padding is masked by the length *before* the convolution that halves it, and that convolution reads the bias of the one
before it past the end. A reward must not depend on its batch-mates, so by default padding is hidden exactly, and a clip
comes out as if it were alone. `published = True` gives the published mask.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.whisper.modeling_whisper import WhisperEncoderLayer

from omnireward.backbones._minicpm_o_config import AudioConfig, encoder_frames

FRAMES_PER_SECOND = 50  # after the second convolution


class AudioTower(nn.Module):
    """Mel frames become encoder frames of 20 ms.

    Attributes:
        published: mask padding as the published code does, so that clips depend on their batch-mates.
            For comparing with it only.
    """

    def __init__(self, config: AudioConfig, chunk_seconds: float) -> None:
        super().__init__()
        self.published = False
        self.chunk = int(chunk_seconds * FRAMES_PER_SECOND)
        whisper = config.build()
        self.conv1 = nn.Conv1d(config.num_mel_bins, config.d_model, 3, padding=1)
        self.conv2 = nn.Conv1d(config.d_model, config.d_model, 3, stride=2, padding=1)
        self.embed_positions = nn.Embedding(config.max_source_positions, config.d_model)
        self.layers = nn.ModuleList([WhisperEncoderLayer(whisper) for _ in range(config.encoder_layers)])
        self.layer_norm = nn.LayerNorm(config.d_model)

    def forward(self, mels: Sequence[Tensor]) -> Tensor:
        """Encoder frames; those past a clip's own end are meaningless.

        Args:
            mels: for each clip (mel bins, frames) float32, 100 frames a second, at most 30 s.

        Returns:
            (clips, longest, d_model), 50 frames a second
        """
        lengths = torch.tensor([mel.shape[-1] for mel in mels], device=self.conv1.weight.device)
        batch = nn.utils.rnn.pad_sequence([mel.T for mel in mels], batch_first=True).transpose(1, 2)
        hidden = F.gelu(self.conv1(batch.to(self.conv1.weight)))
        if not self.published and len({mel.shape[-1] for mel in mels}) > 1:
            hidden = hidden * (torch.arange(hidden.shape[-1], device=hidden.device) < lengths[:, None])[:, None]
        hidden = F.gelu(self.conv2(hidden)).transpose(1, 2)
        hidden = hidden + self.embed_positions.weight[: hidden.shape[1]]
        mask = self._mask(lengths, hidden.shape[1])
        for layer in self.layers:
            hidden = layer(hidden, mask)
        out: Tensor = self.layer_norm(hidden)
        return out

    def _mask(self, lengths: Tensor, longest: int) -> Tensor | None:
        """Bool (clips, 1, longest, longest): True where query sees key; None where every frame sees every frame."""
        visible = lengths if self.published else encoder_frames(lengths)
        frame = torch.arange(longest, device=lengths.device)
        if longest <= self.chunk and bool((visible >= longest).all()):
            return None
        chunks = frame < (frame // self.chunk + 1)[:, None] * self.chunk
        # Every chunk sees all chunks before it, so no query, padded or not, is left without a key.
        return chunks & (frame < visible[:, None, None, None])


class AudioProjector(nn.Module):
    """Encoder frames become embeddings in the language model's space."""

    def __init__(self, config: AudioConfig, hidden: int, pool_step: int) -> None:
        super().__init__()
        self.pool_step = pool_step
        self.linear1 = nn.Linear(config.encoder_ffn_dim // 4, hidden)
        self.linear2 = nn.Linear(hidden, hidden)

    def forward(self, frames: Tensor) -> Tensor:
        """(clips, frames, d_model) -> (clips, frames // pool_step, hidden)."""
        projected = self.linear2(F.relu(self.linear1(frames)))
        return F.avg_pool1d(projected.transpose(1, 2), self.pool_step).transpose(1, 2)
