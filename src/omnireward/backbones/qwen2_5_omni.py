"""Qwen2.5-Omni's thinker (arXiv 2503.20215) on transformers' modules: text, images, video and sound.

Read are the published folder, of a model that also speaks, and a thinker by itself; written is the latter. A sound is
heard to its end, two seconds at a time (see `_qwen_audio`). The sound track of a video is not heard.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from transformers import PretrainedConfig, PreTrainedModel, Qwen2_5OmniThinkerConfig
from transformers.models.qwen2_5_omni.modeling_qwen2_5_omni import (
    Qwen2_5OmniAudioEncoder,
    Qwen2_5OmniThinkerTextModel,
    Qwen2_5OmniVisionEncoder,
)

from omnireward.backbones import BackboneFamily
from omnireward.backbones._chatml import END_OF_TURN, TURN
from omnireward.backbones._qwen_audio import Unread
from omnireward.backbones._qwen_audio_config import check_thinker
from omnireward.backbones._qwen_audio_text import OmniWriter
from omnireward.backbones._qwen_audio_thinker import Thinker, tiny_preprocessing
from omnireward.backbones._qwen_config import check_heads, check_windows
from omnireward.backbones._qwen_preprocessing import CLIP_MEAN, CLIP_STD
from omnireward.backbones._qwen_tiny import TEXT_2_5, VISION_2_5

WHOLE_MODEL = "qwen2_5_omni"
MODEL_TYPE = f"{WHOLE_MODEL}_thinker"


class _Writer(OmniWriter):
    SEEN, END_OF_SEEN, PICTURE, VIDEO = "<|vision_bos|>", "<|vision_eos|>", "<|IMAGE|>", "<|VIDEO|>"
    HEARD, SOUND, END_OF_HEARD = "<|audio_bos|>", "<|AUDIO|>", "<|audio_eos|>"
    FRACTIONS = False


class Qwen25Omni(Thinker):
    """The model with its tokenizer and preprocessing."""

    MODEL_TYPE = MODEL_TYPE
    WHOLE_MODEL = WHOLE_MODEL
    ARCHITECTURE = "Qwen2_5OmniThinkerForConditionalGeneration"
    CONFIG = Qwen2_5OmniThinkerConfig
    TOWER = Qwen2_5OmniVisionEncoder
    AUDIO = Qwen2_5OmniAudioEncoder
    LANGUAGE = Qwen2_5OmniThinkerTextModel
    WRITER = _Writer
    PER_SECOND = 25
    SILENT_END = True
    DEFAULT_SYSTEM = "You are a helpful assistant."  # the template's; it is longer only where the model shall speak
    TOKEN_FIELDS: ClassVar[Mapping[str, str]] = {
        "vision_start_token_id": _Writer.SEEN,
        "vision_end_token_id": _Writer.END_OF_SEEN,
        "image_token_index": _Writer.PICTURE,
        "video_token_index": _Writer.VIDEO,
        "audio_start_token_id": _Writer.HEARD,
        "audio_end_token_id": _Writer.END_OF_HEARD,
        "audio_token_index": _Writer.SOUND,
    }
    SPECIAL_TOKENS = (TURN, END_OF_TURN, *TOKEN_FIELDS.values())

    @classmethod
    def ear(cls, config: PretrainedConfig) -> PreTrainedModel:
        """The audio tower, whose weight that nothing reads cannot be trained."""
        tower = super().ear(config)
        unread = tower.get_submodule("audio_bos_eos_token")
        tower.audio_bos_eos_token = Unread(unread.get_parameter("weight"))
        return tower

    @staticmethod
    def check(config: Mapping[str, Any]) -> None:
        """Check the content of config.json before a class reads it. Raises CheckpointError."""
        check_thinker(config)
        check_heads(config["text_config"], "text_config")
        check_windows(config["vision_config"])

    @staticmethod
    def sound_tokens(frames: int) -> int:
        """Embeddings that mel frames become: halved by a convolution, then averaged in pairs.

        >>> [Qwen25Omni.sound_tokens(frames) for frames in (2, 3, 100, 101, 3000)]
        [0, 1, 25, 25, 750]
        """
        return max(0, ((frames - 1) // 2 + 1 - 2) // 2 + 1)


def tiny(texts: Iterable[str], seed: int) -> Qwen25Omni:
    """The same class with a small config, random weights from a seed, and a tokenizer trained on the texts.

    A picture is at most 9 embeddings, a video 2 slices of 4; a second of sound is 25.
    """
    scaling = {"mrope_section": [4, 6, 6], "rope_type": "default"}
    audio = {
        "d_model": 64,
        "encoder_attention_heads": 4,
        "encoder_ffn_dim": 128,
        "encoder_layers": 2,
        "initializer_range": 0.05,
        "max_source_positions": 1500,
        "model_type": "qwen2_5_omni_audio_encoder",
        "n_window": 100,
        "num_mel_bins": 32,
        "output_dim": 128,
    }
    config = {
        "architectures": [Qwen25Omni.ARCHITECTURE],
        "audio_config": audio,
        "model_type": MODEL_TYPE,
        "position_id_per_seconds": 25,
        "text_config": TEXT_2_5 | {"model_type": "qwen2_5_omni_text", "rope_scaling": scaling},
        "tie_word_embeddings": False,
        "vision_config": VISION_2_5 | {"model_type": "qwen2_5_omni_vision_encoder"},
    }
    return Qwen25Omni.made(texts, seed, config, tiny_preprocessing(14, CLIP_MEAN, CLIP_STD, bins=32))


BACKBONE = BackboneFamily(
    summary="Qwen2.5-Omni (thinker): text, images, video, audio and meshes",
    model_types=(MODEL_TYPE, WHOLE_MODEL),
    layout="natural",
    towers={"vision": ("visual.",), "audio": ("audio_tower.",)},
    projectors=("visual.merger.", "audio_tower.proj."),
    load=Qwen25Omni.load,
    tiny=tiny,
)
