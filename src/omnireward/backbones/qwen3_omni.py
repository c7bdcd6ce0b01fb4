"""Qwen3-Omni's thinker (arXiv 2509.17765) on transformers' modules: a mixture of experts for all media.

Read are the published folder, of a model that also speaks, and a thinker by itself; written is the latter. As in
Qwen3-VL, the decoder's first layers add features of earlier layers of the vision tower (DeepStack); but a video is one
stretch of placeholders, and the time between its slices stands in the tokens' positions, which are fractions.

Traps: the loss that keeps experts equally busy is no part of a reward's loss, so nothing here computes it. And the
encoder of sound lets what fills up a short window be heard, so short sounds are encoded apart (see `_qwen_audio`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, Self, cast

import torch
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel, Qwen3OmniMoeThinkerConfig
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import (
    Qwen3OmniMoeAudioEncoder,
    Qwen3OmniMoeThinkerTextModel,
    Qwen3OmniMoeVisionEncoder,
)

from omnireward.backbones import BackboneFamily
from omnireward.backbones._chatml import END_OF_TURN, TURN
from omnireward.backbones._qwen_audio_config import check_thinker
from omnireward.backbones._qwen_audio_experts import fuse_experts, split_experts
from omnireward.backbones._qwen_audio_text import OmniWriter
from omnireward.backbones._qwen_audio_thinker import Thinker, tiny_preprocessing
from omnireward.backbones._qwen_config import check_stacked, layers, whole
from omnireward.backbones._qwen_tiny import TEXT_3, VISION_3
from omnireward.backbones._weights import WeightFiles
from omnireward.errors import CheckpointError

WHOLE_MODEL = "qwen3_omni_moe"
MODEL_TYPE = f"{WHOLE_MODEL}_thinker"
MOST_EXPERTS = 65_536  # of all layers; published: 128 in 48. Each has three weights, which are looked for by name
# Windows of sound that the first convolutions take at once: 0.4 GB of the published size in float32. Its file says 500.
WINDOWS_AT_ONCE = 64
HALF_WINDOW = 50  # frames; the encoder's own formula counts 13 embeddings for a window, which holds for no other


class _Writer(OmniWriter):
    HEARD, SOUND, END_OF_HEARD = "<|audio_start|>", "<|audio_pad|>", "<|audio_end|>"
    FRACTIONS = True


class Qwen3Omni(Thinker):
    """The model with its tokenizer and preprocessing."""

    MODEL_TYPE = MODEL_TYPE
    WHOLE_MODEL = WHOLE_MODEL
    ARCHITECTURE = "Qwen3OmniMoeThinkerForConditionalGeneration"
    CONFIG = Qwen3OmniMoeThinkerConfig
    TOWER = Qwen3OmniMoeVisionEncoder
    AUDIO = Qwen3OmniMoeAudioEncoder
    LANGUAGE = Qwen3OmniMoeThinkerTextModel
    WRITER = _Writer
    PER_SECOND = 13
    SILENT_END = False
    DEFAULT_SYSTEM = ""
    TOKEN_FIELDS: ClassVar[Mapping[str, str]] = {
        "vision_start_token_id": _Writer.SEEN,
        "vision_end_token_id": _Writer.END_OF_SEEN,
        "image_token_id": _Writer.PICTURE,
        "video_token_id": _Writer.VIDEO,
        "audio_start_token_id": _Writer.HEARD,
        "audio_end_token_id": _Writer.END_OF_HEARD,
        "audio_token_id": _Writer.SOUND,
    }
    SPECIAL_TOKENS = (TURN, END_OF_TURN, *TOKEN_FIELDS.values())

    @classmethod
    def ear(cls, config: PretrainedConfig) -> PreTrainedModel:
        """The audio tower, with a bound on what its first convolutions take at once."""
        tower = super().ear(config)
        cast(Any, tower).conv_chunksize = WINDOWS_AT_ONCE
        return tower

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Go to another device or type of numbers. Experts are multiplied all at once, but never so in float64."""
        cast(Any, super())._apply(fn, recurse)
        double = self.model.dtype == torch.float64
        self.model.set_experts_implementation("eager" if double else "grouped_mm")
        return self

    @staticmethod
    def check(config: Mapping[str, Any]) -> None:
        """Check the content of config.json before a class reads it. Raises CheckpointError."""
        check_thinker(config)
        text, audio = config["text_config"], config["audio_config"]
        check_stacked(config["vision_config"], text["num_hidden_layers"])
        _check_experts(text)
        heard = audio.get("n_window_infer") or 800
        if audio["n_window"] != HALF_WINDOW or heard < 2 * HALF_WINDOW:
            raise CheckpointError(
                f"audio_config: n_window must be {HALF_WINDOW} and n_window_infer at least {2 * HALF_WINDOW}; they are "
                f"{audio['n_window']} and {heard}."
            )

    @staticmethod
    def sound_tokens(frames: int) -> int:
        """Embeddings that mel frames become: halved three times, window by window.

        >>> [Qwen3Omni.sound_tokens(frames) for frames in (1, 90, 100, 101, 3000)]
        [1, 12, 13, 14, 390]
        """
        whole_windows, rest = divmod(frames, 2 * HALF_WINDOW)
        return whole_windows * 13 + -(-rest // 8)

    @classmethod
    def written(cls, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A state dict by its names in a file."""
        return super().written(split_experts(weights))

    @classmethod
    def read(cls, files: WeightFiles, wanted: Mapping[str, Tensor], dtype: torch.dtype | None) -> dict[str, Tensor]:
        """The state dict that a model wants, from files. Raises CheckpointError."""
        return fuse_experts(super().read(files, split_experts(wanted), dtype), wanted)


def _check_experts(text: Mapping[str, Any]) -> None:
    where = "text_config"
    experts = whole(text, "num_experts", 4_096, where)
    whole(text, "num_experts_per_tok", experts, where)
    if experts * text["num_hidden_layers"] > MOST_EXPERTS:
        raise CheckpointError(
            f"{where}: num_experts {experts} in {text['num_hidden_layers']} layers; at most {MOST_EXPERTS:,} are read."
        )
    whole(text, "moe_intermediate_size", 1_048_576, where)
    whole(text, "decoder_sparse_step", 512, where, 1)
    if text.get("mlp_only_layers") is not None:
        layers(text, "mlp_only_layers", where, text["num_hidden_layers"])


def tiny(texts: Iterable[str], seed: int) -> Qwen3Omni:
    """The same class with a small config, random weights from a seed, and a tokenizer trained on the texts.

    Four experts, two for a token. A picture is at most 9 embeddings, a video 2 slices of 4; a second of sound is 13.
    """
    text = TEXT_3 | {
        "decoder_sparse_step": 1,
        "model_type": "qwen3_omni_moe_text",
        "moe_intermediate_size": 64,
        "norm_topk_prob": True,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "rope_theta": 1_000_000.0,
    }
    audio = {
        "conv_chunksize": 500,
        "d_model": 64,
        "downsample_hidden_size": 8,
        "encoder_attention_heads": 4,
        "encoder_ffn_dim": 128,
        "encoder_layers": 2,
        "initializer_range": 0.2,  # or three convolutions leave nothing of a sound but its length
        "max_source_positions": 1500,
        "model_type": "qwen3_omni_moe_audio_encoder",
        "n_window": HALF_WINDOW,
        "n_window_infer": 800,
        "num_mel_bins": 32,
        "output_dim": 128,
    }
    config = {
        "architectures": [Qwen3Omni.ARCHITECTURE],
        "audio_config": audio,
        "model_type": MODEL_TYPE,
        "position_id_per_seconds": 13,
        "text_config": text,
        "tie_word_embeddings": False,
        "vision_config": VISION_3 | {"model_type": "qwen3_omni_moe_vision_encoder"},
    }
    half = (0.5, 0.5, 0.5)
    return Qwen3Omni.made(texts, seed, config, tiny_preprocessing(16, half, half, bins=32))


BACKBONE = BackboneFamily(
    summary="Qwen3-Omni (thinker), a mixture of experts: text, images, video, audio and meshes",
    model_types=(MODEL_TYPE, WHOLE_MODEL),
    layout="natural",
    towers={"vision": ("visual.",), "audio": ("audio_tower.",)},
    projectors=("visual.merger.", "visual.merger_list.", "audio_tower.proj1.", "audio_tower.proj2."),
    load=Qwen3Omni.load,
    tiny=tiny,
)
