"""config.json of a MiniCPM-o-2.6 checkpoint, and the preprocessing that was used with it.

Unusual: the published file is flat. The language model's fields stand at the top level, beside `vision_config` and
`audio_config`. Fields that nothing here reads (`auto_map`, speech output, ...) are kept and written back, never obeyed:
no code from a checkpoint is run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from reprlib import repr as short
from typing import Any, TypeVar

from torch import Tensor
from transformers import Qwen2Config, SiglipVisionConfig, WhisperConfig

from omnireward.backbones._minicpm_o_json import checked, require_multiple
from omnireward.checkpoint_json import read_json
from omnireward.errors import CheckpointError
from omnireward.media import DecodeOptions

MODEL_TYPE = "minicpmo"
CONFIG_FILE = "config.json"
PREPROCESSING_FILE = "preprocessor_config.json"
HEAD_DIM = 128  # of the resampler's attention; the published code fixes it
ENCODER_FRAMES = 50  # a second
PIECE_FRAMES = 30 * ENCODER_FRAMES  # longer sounds are cut
MOST_PATCHES = 16_384  # of one view; attention takes time that grows with the square (published: 1,024)

T = TypeVar("T")
N = TypeVar("N", int, Tensor)
# The towers are used without the classes that would choose this for them.
_ATTENTION = {"attn_implementation": "sdpa"}


@dataclass(frozen=True, slots=True)
class LanguageConfig:
    """The Qwen2 decoder."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    rope_theta: float
    max_position_embeddings: int = 32768
    rms_norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        require_multiple("hidden_size", self.hidden_size, "the resampler's head size", HEAD_DIM)
        # Rotary embeddings turn pairs of numbers, so a head has an even size.
        require_multiple("hidden_size", self.hidden_size, "2 x num_attention_heads", 2 * self.num_attention_heads)
        require_multiple(
            "num_attention_heads", self.num_attention_heads, "num_key_value_heads", self.num_key_value_heads
        )

    def build(self) -> Qwen2Config:
        """The same in transformers' words."""
        given = asdict(self)
        rope = {"rope_type": "default", "rope_theta": float(given.pop("rope_theta"))}
        return Qwen2Config.from_dict(given | {"rope_parameters": rope, "use_cache": False} | _ATTENTION)


@dataclass(frozen=True, slots=True)
class VisionConfig:
    """The SigLIP encoder. `image_size // patch_size` is the side of its position table."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    image_size: int = 980
    patch_size: int = 14
    layer_norm_eps: float = 1e-6
    hidden_act: str = "gelu_pytorch_tanh"

    def __post_init__(self) -> None:
        require_multiple("vision_config: hidden_size", self.hidden_size, "its heads", self.num_attention_heads)
        if self.image_size < self.patch_size:
            raise CheckpointError(f"image_size {self.image_size} is less than patch_size {self.patch_size}.")

    @property
    def side(self) -> int:
        """Rows (and columns) of the position table."""
        return self.image_size // self.patch_size

    def build(self, layers: int) -> SiglipVisionConfig:
        """The same in transformers' words, for an encoder of `layers` layers."""
        return SiglipVisionConfig.from_dict(asdict(self) | {"num_hidden_layers": layers} | _ATTENTION)


@dataclass(frozen=True, slots=True)
class AudioConfig:
    """The Whisper encoder."""

    d_model: int
    encoder_layers: int
    encoder_attention_heads: int
    encoder_ffn_dim: int
    num_mel_bins: int = 80
    max_source_positions: int = 1500

    def __post_init__(self) -> None:
        require_multiple("audio_config: d_model", self.d_model, "its heads", self.encoder_attention_heads)
        if self.encoder_ffn_dim // 4 != self.d_model:  # the published projector takes its input size from there
            raise CheckpointError(f"encoder_ffn_dim {self.encoder_ffn_dim} is not 4 times d_model {self.d_model}.")
        if self.max_source_positions < PIECE_FRAMES:
            raise CheckpointError(
                f"max_source_positions {self.max_source_positions} is less than {PIECE_FRAMES}, a piece of 30 s."
            )

    def build(self) -> WhisperConfig:
        """The same in transformers' words. Dropout is off: training and judging see the same encoder."""
        off = {"dropout": 0.0, "attention_dropout": 0.0, "activation_dropout": 0.0}
        return WhisperConfig.from_dict(asdict(self) | off | _ATTENTION)


@dataclass(frozen=True, slots=True)
class SliceConfig:
    """How an image is cut: at most `max_slice_nums` crops of about `scale_resolution` pixels square."""

    max_slice_nums: int = 9
    scale_resolution: int = 448


@dataclass(frozen=True, slots=True)
class MiniCPMOConfig:
    """The whole model.

    Attributes:
        query_num: embeddings for each view of an image.
        audio_pool_step: encoder frames (20 ms each) averaged into one embedding.
        audio_chunk_length: seconds; a frame attends to no later chunk.
        drop_vision_last_layer: the encoder stops one layer early. The weights decide, see `minicpm_o.load`.
        extra: fields that nothing here reads, written back as they were.
    """

    language: LanguageConfig
    vision: VisionConfig
    audio: AudioConfig
    slices: SliceConfig = SliceConfig()
    query_num: int = 64
    audio_pool_step: int = 2
    audio_chunk_length: float = 1.0
    drop_vision_last_layer: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.audio_chunk_length * ENCODER_FRAMES < self.audio_pool_step:
            raise CheckpointError(
                f"audio_chunk_length {self.audio_chunk_length} s holds no embedding: "
                f"audio_pool_step {self.audio_pool_step} takes {self.audio_pool_step / ENCODER_FRAMES} s."
            )
        patches = (self.slices.scale_resolution / self.vision.patch_size) ** 2
        if patches > MOST_PATCHES:
            raise CheckpointError(
                f"scale_resolution {self.slices.scale_resolution} with patch_size {self.vision.patch_size} makes views "
                f"of {patches:,.0f} patches; at most {MOST_PATCHES:,} are encoded."
            )

    @property
    def vision_layers(self) -> int:
        """Layers of the vision encoder that exist."""
        return self.vision.num_hidden_layers - int(self.drop_vision_last_layer)

    @property
    def tokens_per_chunk(self) -> int:
        """Embeddings of one full chunk of audio (100 mel frames a second, halved by the encoder, then pooled)."""
        return audio_tokens(int(self.audio_chunk_length * 100), self.audio_pool_step)

    def to_json(self) -> dict[str, Any]:
        """The published flat layout."""
        own = {
            "query_num": self.query_num,
            "audio_pool_step": self.audio_pool_step,
            "audio_chunk_length": self.audio_chunk_length,
            "drop_vision_last_layer": self.drop_vision_last_layer,
        }
        parts = {
            "vision_config": dict(self.extra.get("vision_config", {})) | asdict(self.vision),
            "audio_config": dict(self.extra.get("audio_config", {})) | asdict(self.audio),
            "slice_config": dict(self.extra.get("slice_config") or {})
            | asdict(self.slices)
            | {"patch_size": self.vision.patch_size},
        }
        return dict(self.extra) | {"model_type": MODEL_TYPE} | asdict(self.language) | own | parts

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> MiniCPMOConfig:
        """Read the published flat layout. Raises CheckpointError for another model, or a field that cannot be used."""
        if data.get("model_type") != MODEL_TYPE:
            raise CheckpointError(
                f"config.json has model_type {short(data.get('model_type'))}; this is {MODEL_TYPE!r}'s."
            )
        for unsupported in ("use_sliding_window", "rope_scaling", "tie_word_embeddings"):
            if data.get(unsupported):
                raise CheckpointError(
                    f"config.json sets {unsupported} to {short(data[unsupported])}; it must be off here."
                )
        slices = _section(data, "slice_config") if data.get("slice_config") else {}
        return cls(
            language=_read(LanguageConfig, data, "config.json"),
            vision=_read(VisionConfig, _section(data, "vision_config"), "vision_config"),
            audio=_read(AudioConfig, _section(data, "audio_config"), "audio_config"),
            slices=_read(SliceConfig, slices, "slice_config"),
            extra=dict(data),
            **checked(cls, data, "config.json"),
        )


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How media are made small before the towers see them. Defaults: as the published reward model was trained.

    Attributes:
        image_max_pixels: area above which an image is shrunk.
        frame_max_pixels: the same for a frame of a video or a view of a mesh.
        frame_max_slices: crops of a frame, at most.
        frames: frames taken from a video.
        views: rendered views of a mesh.
        view_size: width and height of a rendered view, pixels.
    """

    image_max_pixels: int = 768 * 768
    frame_max_pixels: int = 256 * 256
    frame_max_slices: int = 2
    frames: int = 4
    views: int = 4
    view_size: int = 256

    @classmethod
    def load(cls, folder: Path) -> Preprocessing:
        """From the `preprocessing` key of preprocessor_config.json; the published values where there is none."""
        path = folder / PREPROCESSING_FILE
        data = read_json(path) if path.exists() else {}
        return _read(cls, _section(data, "preprocessing") if "preprocessing" in data else {}, "preprocessing")

    def decoding(self) -> DecodeOptions:
        """How media are decoded."""
        return DecodeOptions(frames=self.frames, views=self.views, view_size=self.view_size)

    def to_json(self) -> dict[str, Any]:
        """What `load` reads."""
        return {"preprocessing": asdict(self)}


def audio_tokens(frames: int, pool_step: int) -> int:
    """Embeddings that `frames` mel frames become; 0 when they are too few.

    >>> [audio_tokens(n, 2) for n in (10, 100, 300, 3000)]
    [2, 25, 75, 750]
    """
    return max(0, (encoder_frames(frames) - pool_step) // pool_step + 1)


def encoder_frames(frames: N) -> N:
    """Frames (a number or a tensor of them) after the encoder's convolution of stride 2."""
    return (frames - 1) // 2 + 1


def _section(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = data.get(name)
    if not isinstance(section, Mapping):
        raise CheckpointError(f"{name} must be an object; it is {short(section)}.")
    return section


def _read(kind: type[T], data: Mapping[str, Any], where: str) -> T:
    """Fill a config dataclass from the fields of `data` that it declares."""
    return kind(**checked(kind, data, where))
