"""Sound becomes log-mel frames, 100 a second, as Whisper hears it.

The published code pads each piece to 30 s of silence, takes the spectrogram and cuts it to the sound's true length.
Only the silence that the last windows touch can matter, so here a short sound stays short; the frames are the same.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import WhisperFeatureExtractor

RATE = 16_000  # Hz
PIECE_SECONDS = 30
_WINDOW = 400  # samples


class Mel:
    """Cuts a sound into pieces of at most 30 s and takes their spectrograms."""

    def __init__(self, bins: int) -> None:
        make: Any = WhisperFeatureExtractor
        self._extract = make(feature_size=bins, sampling_rate=RATE, chunk_length=PIECE_SECONDS)
        self._hop = int(self._extract.hop_length)
        self._most = PIECE_SECONDS * RATE

    def __call__(self, sound: NDArray[np.float32]) -> list[Tensor]:
        """Log-mel frames of each piece: (bins, frames) float32, one frame for each begun 10 ms.

        Args:
            sound: (samples,) float32 at 16 kHz, mono.
        """
        return [self._piece(sound[start : start + self._most]) for start in range(0, len(sound), self._most)]

    def _piece(self, sound: NDArray[np.float32]) -> Tensor:
        # A window reaches half its length past the sound, and the extractor mirrors half a window at its end. The
        # loudest window sets the floor of all others, so every window that touches the sound must be there, unmirrored.
        padded = min(-(-(len(sound) + 2 * _WINDOW) // self._hop) * self._hop, self._most)
        features = self._extract(sound, sampling_rate=RATE, padding="max_length", max_length=padded)["input_features"]
        return torch.from_numpy(np.asarray(features[0], dtype=np.float32)[:, : -(-len(sound) // self._hop)].copy())
