"""Qwen2.5-VL (arXiv 2502.13923), the backbone of the paper's generative judge (R1), on transformers' modules.

A video is one stretch of placeholders. The time between its slices stands in the tokens' positions alone, so it must be
the true one: see `_qwen_vl` for where it comes from.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from transformers import Qwen2_5_VLConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
    Qwen2_5_VisionTransformerPretrainedModel,
    Qwen2_5_VLTextModel,
)

from omnireward.backbones import BackboneFamily, Prepared
from omnireward.backbones._chat_tokenizer import ChatTokenizer
from omnireward.backbones._qwen_config import check_heads, check_text, check_vision, check_windows, section
from omnireward.backbones._qwen_positions import slice_times
from omnireward.backbones._qwen_preprocessing import CLIP_MEAN, CLIP_STD, Pixels, VisionPreprocessing
from omnireward.backbones._qwen_tiny import TEXT_2_5, VISION_2_5
from omnireward.backbones._qwen_vl import VIDEO, QwenVL, VisionWriter

MODEL_TYPE = "qwen2_5_vl"


class Qwen25VL(QwenVL):
    """The model with its tokenizer and preprocessing."""

    MODEL_TYPE = MODEL_TYPE
    CONFIG = Qwen2_5_VLConfig
    TOWER = Qwen2_5_VisionTransformerPretrainedModel
    LANGUAGE = Qwen2_5_VLTextModel
    LAYOUTS = (
        (),  # published: as here
        (("model.visual.", "visual."), ("model.language_model.", "model.")),
        (("visual.", "visual."), ("language_model.", "model.")),
    )
    DEFAULT_SYSTEM = "You are a helpful assistant."

    @staticmethod
    def check(config: Mapping[str, Any]) -> None:
        """Check the content of config.json before a class reads it. Raises CheckpointError."""
        # The published file is flat: the language model's fields stand at the top level.
        text, where = (
            (section(config, "text_config"), "text_config") if "text_config" in config else (config, "config.json")
        )
        check_text(text, where)
        check_heads(text, where)
        vision = section(config, "vision_config")
        check_vision(vision, "vision_config", text["hidden_size"])
        check_windows(vision)

    def writer(self, media: Iterator[Prepared]) -> VisionWriter:
        """What writes a conversation."""
        tower: Any = self.visual.config
        per_frame = self.preprocessing.temporal_patch_size * tower.tokens_per_second
        return _Writer(self._tokenizer, media, self.preprocessing.merge_size, per_frame)


class _Writer(VisionWriter):
    """Writes a video as one stretch.

    Args:
        per_second: positions on the axis of time from one slice to the next, if frames are a second apart.
    """

    def __init__(self, tokenizer: ChatTokenizer, media: Iterator[Prepared], merge: int, per_second: float) -> None:
        super().__init__(tokenizer, media, merge)
        self._per_second = per_second

    def video(self, medium: Prepared, seconds: float) -> None:
        """Write a video; `seconds` from one frame to the next."""
        self.grid(VIDEO, medium.sizes[0], slice_times(len(medium.sizes), seconds, self._per_second))


def tiny(texts: Iterable[str], seed: int) -> Qwen25VL:
    """The same class with a small config, random weights from a seed, and a tokenizer trained on the texts.

    A picture is at most 9 embeddings, a video 2 slices of 4, and windows are of 2 x 2 embeddings.
    """
    config = TEXT_2_5 | {
        "architectures": ["Qwen2_5_VLForConditionalGeneration"],
        "model_type": MODEL_TYPE,
        "rope_scaling": {"type": "mrope", "mrope_section": [4, 6, 6]},
        "tie_word_embeddings": False,
        "vision_config": VISION_2_5 | {"model_type": MODEL_TYPE, "tokens_per_second": 2},
    }
    square = 28 * 28
    small = VisionPreprocessing(
        image=Pixels(4 * square, 9 * square),
        video=Pixels(square, 4 * square),
        mean=CLIP_MEAN,
        std=CLIP_STD,
        patch_size=14,
        frames=4,
        views=3,
        view_size=56,
    )
    return Qwen25VL.made(texts, seed, config, small)


BACKBONE = BackboneFamily(
    summary="Qwen2.5-VL: text, images, video and meshes; the backbone of the paper's generative judge (R1)",
    model_types=(MODEL_TYPE,),
    layout="natural",
    towers={"vision": ("visual.",)},
    projectors=("visual.merger.",),
    load=Qwen25VL.load,
    tiny=tiny,
    kinds=("image", "video", "mesh"),
)
