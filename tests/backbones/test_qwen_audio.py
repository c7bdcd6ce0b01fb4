"""Sound in Qwen's omni models, against transformers' own processors and encoders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import WhisperFeatureExtractor
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import Qwen2_5OmniAudioEncoder
from transformers.models.qwen2_5_omni.processing_qwen2_5_omni import (
    _get_feat_extract_output_lengths as published_tokens_2_5,
)
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import Qwen3OmniMoeAudioEncoder
from transformers.models.qwen3_omni_moe.processing_qwen3_omni_moe import (
    _get_feat_extract_output_lengths as published_tokens_3,
)

from omnireward.backbones import Prepared
from omnireward.backbones._qwen_audio import RATE, Mel, check_front_end, hear, prepared_sound
from omnireward.errors import CheckpointError, UnreadableMediaError

BINS = 16
SMALL = {
    "num_mel_bins": BINS,
    "d_model": 16,
    "encoder_layers": 2,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 32,
    "output_dim": 8,
}
# Samples: odd ones, whole windows of either model (2 s; 1 s), one frame more and less.
LENGTHS = [801, 4_000, 15_999, 16_000, 16_161, 31_840, 32_000, 32_001, 48_123, 80_000]


@dataclass(frozen=True)
class Family:
    """How one of the two models hears."""

    mel: Mel
    tower: nn.Module
    whole: int
    processing: dict[str, Any]
    tokens: Any


def _family(name: str) -> Family:
    torch.manual_seed(0)
    if name == "2.5":
        # as in Qwen2_5OmniProcessor: padded to the length in preprocessor_config.json, here 6 s
        tower = _tower(Qwen2_5OmniAudioEncoder, n_window=100)
        return Family(
            Mel(BINS, silent_end=True), tower, 200, {"padding": "max_length", "chunk": 6}, published_tokens_2_5
        )
    more = {"n_window": 50, "n_window_infer": 200, "downsample_hidden_size": 8}
    tower = _tower(Qwen3OmniMoeAudioEncoder, **more)
    processing = {"padding": True, "truncation": False, "chunk": 6}
    return Family(Mel(BINS, silent_end=False), tower, 100, processing, published_tokens_3)


def _tower(encoder: Any, **more: int) -> nn.Module:
    """Biases too are random: transformers starts them at 0, and then what a window is filled up with stays 0."""
    tower: nn.Module = encoder(encoder.config_class(**SMALL, **more))
    for parameter in tower.parameters():
        nn.init.normal_(parameter, std=0.2)
    return tower.requires_grad_(False)


@pytest.fixture(scope="module", params=["2.5", "3"])
def family(request: pytest.FixtureRequest) -> Family:
    return _family(str(request.param))


def _sound(samples: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(samples)
    tone = 0.3 * np.sin(np.arange(samples) * rng.uniform(0.02, 0.4))
    return np.asarray(tone + rng.normal(0, 0.05, samples), np.float32)


def _prepared(family: Family, samples: int) -> Prepared:
    mel = family.mel(_sound(samples))
    return prepared_sound(mel, int(family.tokens(torch.tensor(mel.shape[1]))), samples)


def _published(family: Family, samples: int) -> Tensor:
    """Frames of one sound by itself as the processor makes them, cut by its mask: (bins, frames)."""
    given = dict(family.processing)
    make: Any = WhisperFeatureExtractor
    extract = make(feature_size=BINS, sampling_rate=RATE, chunk_length=given.pop("chunk"))
    made = extract([_sound(samples)], sampling_rate=RATE, return_attention_mask=True, return_tensors="pt", **given)
    cut: Tensor = made["input_features"][0][:, made["attention_mask"][0].bool()]
    return cut


@pytest.mark.parametrize("samples", LENGTHS)
def test_frames_are_those_of_the_published_processor(family: Family, samples: int) -> None:
    torch.testing.assert_close(family.mel(_sound(samples)), _published(family, samples), rtol=0, atol=1e-5)


@pytest.mark.parametrize("samples", LENGTHS)
def test_embeddings_are_those_of_the_published_encoder_and_as_many_as_its_formula_says(
    family: Family, samples: int
) -> None:
    frames = _published(family, samples)
    states = family.tower(input_features=frames, feature_lens=torch.tensor([frames.shape[1]])).last_hidden_state
    prepared = _prepared(family, samples)
    torch.testing.assert_close(hear(family.tower, [prepared], family.whole)[0], states, rtol=0, atol=1e-5)
    assert len(states) == prepared.tokens[0] == family.tokens(torch.tensor(frames.shape[1]))


def test_a_sound_is_encoded_as_if_alone(family: Family) -> None:
    sounds = [_prepared(family, samples) for samples in [*LENGTHS, 801]]
    together = hear(family.tower, sounds, family.whole)
    for sound, states in zip(sounds, together, strict=True):
        torch.testing.assert_close(hear(family.tower, [sound], family.whole)[0], states, rtol=0, atol=1e-5)


def test_in_one_call_the_published_encoder_lets_a_longer_sound_change_a_shorter_one() -> None:
    """Why `hear` takes short sounds apart: Qwen3-Omni's convolutions see what their windows are filled up with."""
    family = _family("3")
    short, long = (_published(family, samples) for samples in (4_000, 48_000))
    alone = family.tower(input_features=short, feature_lens=torch.tensor([short.shape[1]])).last_hidden_state
    lengths = torch.tensor([short.shape[1], long.shape[1]])
    both = family.tower(input_features=torch.cat([short, long], 1), feature_lens=lengths).last_hidden_state
    assert (both[: len(alone)] - alone).abs().max() > 1e-3


def test_frames_are_of_full_precision_whatever_is_around_them(family: Family) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        found = family.mel(_sound(4_000))
    assert torch.equal(found, family.mel(_sound(4_000)))


def test_a_sound_longer_than_any_piece_is_heard_to_its_end() -> None:
    """320 s: the published front end of Qwen2.5-Omni stops after 300 s without a word."""
    family = _family("2.5")
    sound = np.zeros(320 * RATE, np.float32)
    sound[-RATE:] = _sound(RATE)
    frames = family.mel(sound)
    assert frames.shape == (BINS, 32_000)
    assert frames[:, -90:].std() > 10 * frames[:, :31_000].std()


@pytest.mark.parametrize("samples", [0, 1, 159, 200])
def test_a_sound_too_short_for_a_spectrogram_is_refused(family: Family, samples: int) -> None:
    with pytest.raises(UnreadableMediaError, match="too short"):
        family.mel(np.zeros(samples, np.float32))


def test_a_sound_too_short_for_an_embedding_is_refused() -> None:
    """By hand: 320 samples are two frames, one after the stride, no pair to average."""
    with pytest.raises(UnreadableMediaError, match="320 samples"):
        _prepared(_family("2.5"), 320)
    assert _prepared(_family("2.5"), 321).tokens == (1,)


@pytest.mark.parametrize("change", [{"feature_size": 80}, {"hop_length": 320}, {"sampling_rate": "16000"}])
def test_another_front_end_is_refused(change: dict[str, object]) -> None:
    check_front_end({"feature_size": 128, "hop_length": 160}, 128)
    with pytest.raises(CheckpointError, match=next(iter(change))):
        check_front_end(change, 128)
