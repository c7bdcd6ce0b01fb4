"""Sound in Qwen's omni models: log-mel frames, 100 a second, and their embeddings.

Unusual: a sound is never padded to a fixed length and never cut. The published processors pad each sound to the longest
of its call, or to 300 s, and Qwen2.5-Omni's drops what comes after that without a word. Both encoders work window by
window, so a sound of any length that the decoder admits is encoded whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from reprlib import repr as short
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import WhisperFeatureExtractor

from omnireward.backbones import Prepared
from omnireward.errors import CheckpointError, UnreadableMediaError

RATE = 16_000  # Hz
HOP = 160  # samples from one frame to the next
WINDOW = 400  # samples
FRAMES_AT_ONCE = 16 * 3000  # that one pass of a tower holds: eight minutes
# What preprocessor_config.json says of sound; another front end would give other numbers without a warning.
_FRONT_END = {"sampling_rate": RATE, "hop_length": HOP, "n_fft": WINDOW}


class Mel:
    """Takes the log-mel spectrogram of a whole sound.

    Args:
        bins: of the spectrogram.
        silent_end: whether silence follows the sound, as where it is padded (Qwen2.5-Omni), or its end is mirrored and
            a begun frame is left out (Qwen3-Omni, a sound by itself).
    """

    def __init__(self, bins: int, *, silent_end: bool) -> None:
        make: Any = WhisperFeatureExtractor
        self._extract = make(feature_size=bins, sampling_rate=RATE, hop_length=HOP, n_fft=WINDOW)
        self._silent_end = silent_end

    def __call__(self, sound: NDArray[np.float32]) -> Tensor:
        """Log-mel frames, (bins, frames) float32, of a sound (samples,) float32 at 16 kHz, mono.

        Raises:
            UnreadableMediaError: too short for a spectrogram.
        """
        if len(sound) <= WINDOW // 2:
            raise too_short(len(sound))
        length, frames = len(sound), len(sound) // HOP
        if self._silent_end:
            # A window reaches half its length past the sound, and the extractor mirrors half a window at its end. The
            # loudest window sets the floor of all others, so every window that touches the sound must be there.
            length, frames = -(-(len(sound) + 2 * WINDOW) // HOP) * HOP, -(-len(sound) // HOP)
        with torch.autocast("cpu", enabled=False):  # the extractor multiplies matrices, and fails with bfloat16
            features = self._extract(sound, sampling_rate=RATE, padding="max_length", max_length=length)
        return torch.from_numpy(np.asarray(features["input_features"][0], dtype=np.float32)[:, :frames].copy())


def prepared_sound(mel: Tensor, tokens: int, samples: int) -> Prepared:
    """A sound as its tower reads it. Raises UnreadableMediaError where it would become no embedding at all."""
    if not tokens:
        raise too_short(samples)
    return Prepared("audio", (mel,), ((mel.shape[1], tokens),), (tokens,), "")


def too_short(samples: int) -> UnreadableMediaError:
    """The error for a sound that cannot be heard."""
    return UnreadableMediaError(f"a sound of {samples} samples at {RATE} Hz is too short; it needs about 30 ms.")


def check_front_end(data: Mapping[str, Any], bins: int) -> None:
    """Refuse a preprocessor_config.json that describes another spectrogram. Raises CheckpointError."""
    for name, wanted in (_FRONT_END | {"feature_size": bins}).items():
        if data.get(name, wanted) != wanted:
            raise CheckpointError(f"preprocessor_config.json: {name} is {short(data[name])}; here it must be {wanted}.")


def hear(tower: nn.Module, sounds: Sequence[Prepared], whole: int) -> list[Tensor]:
    """Embeddings of each sound: (tokens, width). None depends on another.

    Args:
        tower: one of transformers' encoders, which take sounds end to end.
        sounds: with their inputs.
        whole: frames of a whole window. The encoders fill up the last window of a sound to the longest window of the
            call, and not all of them mask what they fill in. So shorter sounds go together only with their like.
    """
    device = next(tower.parameters()).device
    found: dict[int, Tensor] = {}
    frames = [sound.sizes[0][0] for sound in sounds]
    for batch in _together(frames, whole):
        mels = torch.cat([mel for i in batch for mel in sounds[i].inputs or ()], dim=1).to(device)
        lengths = torch.tensor([frames[i] for i in batch], device=device)
        states: Tensor = tower(input_features=mels, feature_lens=lengths).last_hidden_state
        found |= zip(batch, torch.split(states, [sounds[i].tokens[0] for i in batch]), strict=True)
    return [found[i] for i in range(len(sounds))]


def _together(frames: Sequence[int], whole: int) -> Iterator[list[int]]:
    """Indices of sounds that one pass takes: of a whole window or more, or all of one length."""
    batch: list[int] = []
    for i in sorted(range(len(frames)), key=frames.__getitem__):
        fits = not batch or min(frames[i], whole) == min(frames[batch[0]], whole)
        if batch and not (fits and sum(frames[j] for j in batch) + frames[i] <= FRAMES_AT_ONCE):
            yield batch
            batch = []
        batch.append(i)
    if batch:
        yield batch


class Unread(nn.Module):
    """A published weight that nothing reads: kept and written back, but no parameter, for it would never learn.

    Qwen2.5-Omni's `audio_bos_eos_token` is one. Distributed training waits for parameters without gradients.
    """

    weight: Tensor

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("weight", weight.detach())
