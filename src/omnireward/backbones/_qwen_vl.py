"""What Qwen2.5-VL and Qwen3-VL share: a vision tower and a language model, without a vocabulary head.

Both are transformers' own modules, held apart, because media are encoded once and rows are packed. The models keep no
state of a conversation: positions are computed with the tokens and travel in the row.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel

from omnireward.backbones import Prepared, Row
from omnireward.backbones._chat_tokenizer import ChatTokenizer
from omnireward.backbones._chatml import END_OF_TURN, TURN, Writer, in_order
from omnireward.backbones._decoder import DecoderBackbone
from omnireward.backbones._qwen_config import CONFIG_FILE, build
from omnireward.backbones._qwen_pictures import Pictures, see, spacing
from omnireward.backbones._qwen_positions import Grid, grid_positions
from omnireward.backbones._qwen_preprocessing import IMAGE_FILE, VIDEO_FILE, Pixels, VisionPreprocessing
from omnireward.backbones._qwen_tokenizer import TOKENIZER_FILE, tokenizer_json
from omnireward.backbones._qwen_weights import IGNORED, Names, fill, published, read_weights
from omnireward.backbones._tiny_tokenizer import train_tokenizer
from omnireward.backbones._weights import WeightFiles, dumps, write_folder
from omnireward.checkpoint_json import read_json
from omnireward.errors import CheckpointError, MediaError
from omnireward.media import Decoder
from omnireward.types import Media, Turn

Decode = Callable[[Media], NDArray[Any]]
SEEN, END_OF_SEEN = "<|vision_start|>", "<|vision_end|>"
PICTURE, VIDEO = "<|image_pad|>", "<|video_pad|>"
SPECIAL_TOKENS = (TURN, END_OF_TURN, SEEN, END_OF_SEEN, PICTURE, VIDEO)
# Fields of config.json that name tokens. The published files have them all; where one is missing, it is not compared.
TOKEN_FIELDS: Mapping[str, str] = {
    "vision_start_token_id": SEEN,
    "vision_end_token_id": END_OF_SEEN,
    "image_token_id": PICTURE,
    "video_token_id": VIDEO,
}


class VisionWriter(Writer):
    """Writes a picture as placeholders between two special tokens, and a mesh as one picture after another.

    Attributes:
        grids: how each stretch of placeholders is laid out.
    """

    SEEN, END_OF_SEEN, PICTURE, VIDEO = SEEN, END_OF_SEEN, PICTURE, VIDEO  # a model may name them otherwise

    def __init__(self, tokenizer: ChatTokenizer, media: Iterator[Prepared], merge: int) -> None:
        super().__init__(tokenizer)
        self._media, self._merge = media, merge
        self.grids: list[Grid] = []

    def medium(self, part: Media) -> None:  # noqa: ARG002 - what is prepared says more
        """Write the next medium."""
        medium = next(self._media)
        seconds = spacing(medium.pattern)
        if seconds is not None:
            self.video(medium, seconds)
            return
        for size in medium.sizes:
            self.grid(self.PICTURE, size, (0,))

    @abstractmethod
    def video(self, medium: Prepared, seconds: float) -> None:
        """Write a video; `seconds` from one frame to the next."""

    def grid(self, placeholder: str, size: tuple[int, int], times: Sequence[float]) -> None:
        """Write the placeholders of slices that stand together; `size` in patches."""
        height, width = size[0] // self._merge, size[1] // self._merge
        self.span(self.SEEN, placeholder, len(times) * height * width, self.END_OF_SEEN)
        self.grids.append(Grid(self.spans[-1][0], times, height, width))

    def row(self) -> Row:
        """All that was written."""
        positions = grid_positions(len(self.ids), self.grids)
        return Row(torch.tensor(self.ids, dtype=torch.long), tuple(self.spans), positions)


class QwenVL(DecoderBackbone):
    """The model with its tokenizer and preprocessing. A family says which classes it is made of.

    Args:
        config: the content of config.json, checked here.
        tokenizer: of the checkpoint.
        preprocessing: how media are made small.
        decode: turns a medium into an array; the project's own decoder when None.

    Attributes:
        decode: replace it to decode elsewhere or with other limits.
    """

    MODEL_TYPE: ClassVar[str]
    CONFIG: ClassVar[type[PretrainedConfig]]
    TOWER: ClassVar[type[PreTrainedModel]]
    LANGUAGE: ClassVar[type[PreTrainedModel]]
    LAYOUTS: ClassVar[Sequence[Names]]  # of weights in a file, the published one first
    DEFAULT_SYSTEM: ClassVar[str]  # what the system says where nothing else is said; empty: no turn
    VIDEO_PIXELS: ClassVar[Pixels | None] = None  # see `VisionPreprocessing.load`
    SPECIAL_TOKENS: ClassVar[Sequence[str]] = SPECIAL_TOKENS
    IGNORED: ClassVar[tuple[str, ...]] = IGNORED
    TOKEN_FIELDS: ClassVar[Mapping[str, str]] = TOKEN_FIELDS

    def __init__(
        self,
        config: Mapping[str, Any],
        tokenizer: ChatTokenizer,
        preprocessing: VisionPreprocessing,
        decode: Decode | None = None,
    ) -> None:
        super().__init__()
        self.check(config)
        _check_fit(config, preprocessing, tokenizer, self.TOKEN_FIELDS)
        built: Any = build(self.CONFIG, config)
        if tokenizer.vocab_size > built.text_config.vocab_size:
            raise CheckpointError(
                f"tokenizer.json has ids up to {tokenizer.vocab_size - 1}, but config.json's vocab_size is "
                f"{built.text_config.vocab_size}."
            )
        self._config, self.preprocessing, self._tokenizer = dict(config), preprocessing, tokenizer
        self.decode = decode or Decoder(preprocessing.decoding())
        self.hidden_size = built.text_config.hidden_size
        self._pictures = self.pictures(preprocessing)
        self.visual = self.TOWER(built.vision_config)
        self.model = self.LANGUAGE(built.text_config)

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> Mapping[str, Any]:
        """What of the content of config.json is this model's. Raises CheckpointError."""
        return config

    @staticmethod
    @abstractmethod
    def check(config: Mapping[str, Any]) -> None:
        """Check the content of config.json before a class reads it. Raises CheckpointError."""

    @abstractmethod
    def writer(self, media: Iterator[Prepared]) -> VisionWriter:
        """What writes a conversation."""

    @staticmethod
    def pictures(preprocessing: VisionPreprocessing) -> Pictures:
        """What cuts decoded media."""
        return Pictures(preprocessing)

    @property
    def tokenizer(self) -> ChatTokenizer:
        """The checkpoint's."""
        return self._tokenizer

    @property
    def decoder(self) -> PreTrainedModel:
        """The language model, without a head."""
        return self.model

    def prepare(self, media: Media) -> Prepared:
        """Decode a medium and cut it for its tower. Raises MediaError.

        A decoder that is not the project's own tells no times: then a video's frames are taken to be half a second
        apart, as are those of a video that is given as pictures. A container may lie about its length.
        """
        if media.kind == "audio":
            raise MediaError(f"{self.MODEL_TYPE} hears nothing; it reads images, videos and meshes.")
        decoded = self.decode(media)
        seconds = None
        if media.kind == "video" and isinstance(self.decode, Decoder):
            seconds = self.decode.seconds(media)
            seconds = None if seconds is None else min(seconds, float(self.decode.limits.video_seconds))
        return self._pictures(media.kind, decoded, seconds)

    def close(self) -> None:
        """End the decoder's processes, half-way through a medium too. They start again with the next medium."""
        if isinstance(self.decode, Decoder):
            self.decode.close()

    def encode_media(self, prepared: Sequence[Prepared]) -> list[Tensor]:
        """Embeddings of each medium: (sum of its tokens, width). No result depends on its neighbours.

        Raises:
            MediaError: a medium whose inputs were dropped.
        """
        if any(medium.inputs is None for medium in prepared):
            raise MediaError("a prepared medium holds no inputs; only its embeddings were kept. Prepare it again.")
        slices = [each for medium in prepared for each in medium.inputs or ()]
        sizes = [size for medium in prepared for size in medium.sizes]
        seen = iter(see(self.visual, slices, sizes, self.preprocessing))
        return [torch.cat([next(seen) for _ in medium.sizes]) for medium in prepared]

    def tokenize(self, conversation: Sequence[Turn], prepared: Sequence[Prepared]) -> Row:
        """Token ids of a conversation; `prepared` holds its media in reading order. Text never becomes a special token.

        Raises PromptError for roles out of order, or media that don't fit the conversation.
        """
        writer = self.writer(iter(prepared))
        writer.turns(in_order(conversation, prepared, self.DEFAULT_SYSTEM))
        return writer.row()

    def settings(self) -> str | None:
        """What decides `prepare` and `encode_media` besides a medium and the parameters; None for another's decoder.

        Limits count: a medium that they refuse is refused, whatever an earlier run has kept of it.
        """
        if type(self.decode) is not Decoder:  # one that inherits may decode otherwise
            return None
        tower = sorted(self._config["vision_config"].items())
        return repr((self.MODEL_TYPE, self.preprocessing, self.decode.options, self.decode.limits, tower))

    def save(self, folder: Path, more: Mapping[str, Tensor] | None = None) -> None:
        """Write config, weights and tokenizer in the published layout. Each file is replaced when it is complete."""
        image, video = self.preprocessing.to_json()
        texts = {
            CONFIG_FILE: dumps(self._config),
            IMAGE_FILE: dumps(image),
            VIDEO_FILE: dumps(video),
            TOKENIZER_FILE: self._tokenizer.json,
        }
        write_folder(folder, self.written(self.state_dict()) | dict(more or {}), texts)

    @classmethod
    def written(cls, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A state dict by its names in a file."""
        return {published(name, cls.LAYOUTS[0]): tensor for name, tensor in weights.items()}

    @classmethod
    def read(cls, files: WeightFiles, wanted: Mapping[str, Tensor], dtype: torch.dtype | None) -> dict[str, Tensor]:
        """The state dict that a model wants, from files. Raises CheckpointError."""
        return read_weights(files, wanted, cls.LAYOUTS, dtype)

    @classmethod
    def load(cls, folder: Path, *, dtype: torch.dtype | None = None, decode: Decode | None = None) -> Self:
        """Read a checkpoint folder in the published layout, or as newer transformers write it.

        Args:
            folder: with config.json, preprocessor_config.json, tokenizer.json or its parts, and safetensors weights.
            dtype: of the parameters; as stored when None.
            decode: turns a medium into an array; the project's own decoder when None.

        Raises:
            CheckpointError: a file missing or broken, a token missing, or weights missing, left over or of another
                shape.
        """
        config = cls.of(read_json(folder / CONFIG_FILE))
        tokenizer = ChatTokenizer(tokenizer_json(folder), cls.SPECIAL_TOKENS)
        preprocessing = VisionPreprocessing.load(folder, cls.VIDEO_PIXELS)
        with torch.device("meta"):
            model = cls(config, tokenizer, preprocessing, decode)
        fill(model, cls.read(WeightFiles(folder, cls.IGNORED), model.state_dict(), dtype))
        return model

    @classmethod
    def made(
        cls, texts: Iterable[str], seed: int, config: Mapping[str, Any], preprocessing: VisionPreprocessing
    ) -> Self:
        """The same class with random weights from a seed and a tokenizer trained on the texts."""
        tokenizer = ChatTokenizer(train_tokenizer(texts, cls.SPECIAL_TOKENS), cls.SPECIAL_TOKENS)
        ids = {name: tokenizer.special(token) for name, token in cls.TOKEN_FIELDS.items()}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(with_vocabulary(config, tokenizer) | ids, tokenizer, preprocessing)


def with_vocabulary(config: Mapping[str, Any], tokenizer: ChatTokenizer) -> dict[str, Any]:
    """The same config for a tokenizer of another size, whose end of a turn ends a text."""
    fields = {"vocab_size": tokenizer.vocab_size, "eos_token_id": tokenizer.special(END_OF_TURN), "bos_token_id": None}
    if "text_config" in config:
        return dict(config) | {"text_config": dict(config["text_config"]) | fields}
    return dict(config) | fields


def _check_fit(
    config: Mapping[str, Any],
    preprocessing: VisionPreprocessing,
    tokenizer: ChatTokenizer,
    fields: Mapping[str, str],
) -> None:
    """Check that three files speak of one model."""
    vision = config["vision_config"]
    pairs = {
        "patch_size": "patch_size",
        "temporal_patch_size": "temporal_patch_size",
        "spatial_merge_size": "merge_size",
    }
    for name, ours in pairs.items():
        given = getattr(preprocessing, ours)
        stated = vision.get(name) or 2  # as in transformers' classes
        if stated != given:
            raise CheckpointError(f"vision_config has {name} {stated}, but {IMAGE_FILE} has {ours} {given}.")
    for name, token in fields.items():
        if config.get(name) not in (None, tokenizer.special(token)):
            raise CheckpointError(
                f"config.json has {name} {config[name]!r}; {token} is {tokenizer.special(token)} in tokenizer.json: "
                "are they of one model?"
            )
