"""Qwen3-VL (arXiv 2511.21631), on transformers' modules.

Unlike Qwen2.5-VL, each slice of a video stands behind the time that it is of, written as text, and its positions know
no time. And the vision tower gives more than embeddings: features of earlier layers, which the decoder's first layers
add to the states at their places (DeepStack).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from transformers import Qwen3VLConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextModel, Qwen3VLVisionModel
from transformers.models.qwen3_vl.video_processing_qwen3_vl import smart_resize

from omnireward.backbones import BackboneFamily, Prepared
from omnireward.backbones._chat_tokenizer import ChatTokenizer
from omnireward.backbones._qwen_config import check_stacked, check_text, check_vision, section
from omnireward.backbones._qwen_pictures import Pictures, frame_count
from omnireward.backbones._qwen_preprocessing import Pixels, VisionPreprocessing
from omnireward.backbones._qwen_tiny import TEXT_3, VISION_3
from omnireward.backbones._qwen_vl import VIDEO, QwenVL, VisionWriter

MODEL_TYPE = "qwen3_vl"
FRAME_TOKENS = 768  # at most, whatever the bound of all frames together: as in the models' own utilities
LEAST_ABOVE = 1.05  # a frame may always have this much more than the lower bound of all frames, as there


class Qwen3VL(QwenVL):
    """The model with its tokenizer and preprocessing."""

    MODEL_TYPE = MODEL_TYPE
    CONFIG = Qwen3VLConfig
    TOWER = Qwen3VLVisionModel
    LANGUAGE = Qwen3VLTextModel
    LAYOUTS = (
        (("model.visual.", "visual."), ("model.language_model.", "model.")),  # published
        (("visual.", "visual."), ("language_model.", "model.")),
        (),
    )
    DEFAULT_SYSTEM = ""
    VIDEO_PIXELS = Pixels(4_096, 25_165_824)  # of all frames together, as published

    @staticmethod
    def check(config: Mapping[str, Any]) -> None:
        """Check the content of config.json before a class reads it. Raises CheckpointError."""
        text, vision = section(config, "text_config"), section(config, "vision_config")
        check_text(text, "text_config")
        check_vision(vision, "vision_config", text["hidden_size"])
        check_stacked(vision, text["num_hidden_layers"])

    @staticmethod
    def pictures(preprocessing: VisionPreprocessing) -> Pictures:
        """What cuts decoded media: the frames of a video have one bound together, and each its own."""
        factor, bounds, slice_frames = preprocessing.factor, preprocessing.video, preprocessing.temporal_patch_size

        def frame_size(frames: int, height: int, width: int) -> tuple[int, int]:
            frames = max(frames, slice_frames)
            share = min(FRAME_TOKENS * factor**2, bounds.most // frames)
            most = max(share, int(bounds.least * LEAST_ABOVE)) * frames
            found: tuple[int, int] = smart_resize(frames, height, width, slice_frames, factor, bounds.least, most)
            return found

        return Pictures(preprocessing, frame_size)

    def writer(self, media: Iterator[Prepared]) -> VisionWriter:
        """What writes a conversation."""
        return _Writer(self._tokenizer, media, self.preprocessing.merge_size, self.preprocessing.temporal_patch_size)


class _Writer(VisionWriter):
    """Writes each slice of a video behind its time."""

    def __init__(self, tokenizer: ChatTokenizer, media: Iterator[Prepared], merge: int, frames: int) -> None:
        super().__init__(tokenizer, media, merge)
        self._frames = frames

    def video(self, medium: Prepared, seconds: float) -> None:
        """Write a video; `seconds` from one frame to the next."""
        last = frame_count(medium.pattern) - 1  # stands again and again in a slice that it does not fill
        for number, size in enumerate(medium.sizes):
            first = number * self._frames
            middle = (first + min(first + self._frames - 1, last)) / 2
            self.text(f"<{middle * seconds:.1f} seconds>")
            self.grid(VIDEO, size, (0,))


def tiny(texts: Iterable[str], seed: int) -> Qwen3VL:
    """The same class with a small config, random weights from a seed, and a tokenizer trained on the texts.

    A picture is at most 9 embeddings, a video 2 slices of 4, and features of two earlier layers are added.
    """
    config = {
        "architectures": ["Qwen3VLForConditionalGeneration"],
        "model_type": MODEL_TYPE,
        "text_config": TEXT_3 | {"model_type": "qwen3_vl_text", "rope_theta": 5_000_000.0},
        "tie_word_embeddings": False,
        "vision_config": VISION_3 | {"model_type": MODEL_TYPE},
    }
    square = 32 * 32
    small = VisionPreprocessing(
        image=Pixels(4 * square, 9 * square),
        video=Pixels(4 * square, 16 * square),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        patch_size=16,
        frames=4,
        views=3,
        view_size=64,
    )
    return Qwen3VL.made(texts, seed, config, small)


BACKBONE = BackboneFamily(
    summary="Qwen3-VL: text, images, video with written times, and meshes",
    model_types=(MODEL_TYPE,),
    layout="natural",
    towers={"vision": ("visual.",)},
    projectors=("visual.merger.", "visual.deepstack_merger_list."),
    load=Qwen3VL.load,
    tiny=tiny,
    kinds=("image", "video", "mesh"),
)
