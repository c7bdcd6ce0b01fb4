"""What Qwen2.5-Omni and Qwen3-Omni share: a thinker, which is a Qwen-VL with an audio tower beside it.

The published models also speak. Nothing here does: talker, vocoder and vocabulary head are left out, and what is saved
is the thinker by itself. The sound track of a video is not heard.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, cast

from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

from omnireward.backbones import Prepared
from omnireward.backbones._chat_tokenizer import ChatTokenizer
from omnireward.backbones._qwen_audio import Mel, check_front_end, hear, prepared_sound
from omnireward.backbones._qwen_audio_config import IGNORED, LAYOUTS, check_thinker, thinker_of
from omnireward.backbones._qwen_audio_text import OmniWriter
from omnireward.backbones._qwen_config import build
from omnireward.backbones._qwen_preprocessing import Pixels, VisionPreprocessing
from omnireward.backbones._qwen_vl import Decode, QwenVL, VisionWriter
from omnireward.errors import MediaError
from omnireward.types import Media


class Thinker(QwenVL):
    """The model with its tokenizer and preprocessing. A family says which classes it is made of.

    Args:
        config: the thinker's section of config.json.
        tokenizer: of the checkpoint.
        preprocessing: how pictures are made small; what it says of sound is checked.
        decode: turns a medium into an array; the project's own decoder when None.
    """

    AUDIO: ClassVar[type[PreTrainedModel]]
    WRITER: ClassVar[type[OmniWriter]]
    PER_SECOND: ClassVar[int]  # positions for a second of video, where config.json says nothing
    SILENT_END: ClassVar[bool]  # see `Mel`
    WHOLE_MODEL: ClassVar[str]  # model_type of the published folder
    ARCHITECTURE: ClassVar[str]
    LAYOUTS = LAYOUTS
    IGNORED = IGNORED

    def __init__(
        self,
        config: Mapping[str, Any],
        tokenizer: ChatTokenizer,
        preprocessing: VisionPreprocessing,
        decode: Decode | None = None,
    ) -> None:
        super().__init__(config, tokenizer, preprocessing, decode)
        audio: Any = cast(Any, build(self.CONFIG, config)).audio_config
        check_front_end(preprocessing.image_extra, audio.num_mel_bins)
        self._mel = Mel(audio.num_mel_bins, silent_end=self.SILENT_END)
        self.audio_tower = self.ear(audio)

    @classmethod
    def ear(cls, config: PretrainedConfig) -> PreTrainedModel:
        """The audio tower."""
        return cls.AUDIO(config)

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """What of the content of config.json is this model's. Raises CheckpointError."""
        return thinker_of(config, cls.WHOLE_MODEL, cls.ARCHITECTURE)

    @staticmethod
    def check(config: Mapping[str, Any]) -> None:
        """Check the content of config.json before a class reads it. Raises CheckpointError."""
        check_thinker(config)

    @staticmethod
    @abstractmethod
    def sound_tokens(frames: int) -> int:
        """Embeddings that mel frames become, by the encoder's own formula; 0 when they are too few."""

    def prepare(self, media: Media) -> Prepared:
        """Decode a medium and cut it for its tower. Raises MediaError."""
        if media.kind != "audio":
            return super().prepare(media)
        sound = self.decode(media)
        mel = self._mel(sound)
        return prepared_sound(mel, self.sound_tokens(mel.shape[1]), len(sound))

    def encode_media(self, prepared: Sequence[Prepared]) -> list[Tensor]:
        """Embeddings of each medium: (sum of its tokens, width). No result depends on its neighbours.

        Raises:
            MediaError: a medium whose inputs were dropped.
        """
        if any(medium.inputs is None for medium in prepared):
            raise MediaError("a prepared medium holds no inputs; only its embeddings were kept. Prepare it again.")
        window = 2 * cast(int, self.audio_tower.config.n_window)
        heard = iter(hear(self.audio_tower, [each for each in prepared if each.tower == "audio"], window))
        seen = iter(super().encode_media([each for each in prepared if each.tower == "vision"]))
        return [next(heard if medium.tower == "audio" else seen) for medium in prepared]

    def writer(self, media: Iterator[Prepared]) -> VisionWriter:
        """What writes a conversation."""
        per_second = self._config.get("position_id_per_seconds") or self.PER_SECOND
        given = self.preprocessing
        return self.WRITER(self._tokenizer, media, given.merge_size, given.temporal_patch_size * per_second)

    def settings(self) -> str | None:
        """What decides `prepare` and `encode_media` besides a medium and the parameters; None for another's decoder."""
        known = super().settings()
        return known and repr((known, self.SILENT_END, sorted(self._config["audio_config"].items())))


def tiny_preprocessing(
    patch_size: int, mean: tuple[float, ...], std: tuple[float, ...], bins: int
) -> VisionPreprocessing:
    """Pictures of at most 9 embeddings, frames of 4, sounds of `bins` frequencies."""
    square = (2 * patch_size) ** 2
    return VisionPreprocessing(
        image=Pixels(4 * square, 9 * square),
        video=Pixels(square, 4 * square),
        mean=mean,
        std=std,
        patch_size=patch_size,
        frames=4,
        views=3,
        view_size=2 * 2 * patch_size,
        image_extra={"feature_extractor_type": "WhisperFeatureExtractor", "feature_size": bins},
    )
