"""MiniCPM-o-2.6, the paper's own backbone (paper section 4.2), written natively on transformers' modules.

It loads the published weights by their published names and runs no code from a checkpoint. Unusual: there is no
language model head at all, and a sound is encoded as if it were alone (see `_minicpm_o_audio`).

Freezing the audio tower here freezes the audio projector too. The published training froze names with vpm, apm,
resampler and tts only, so on paper its audio projector was trainable, but no sound was in its data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from transformers import Qwen2Model
from transformers.models.qwen2.modeling_qwen2 import Qwen2RotaryEmbedding

from omnireward.backbones import BackboneFamily, Prepared, Row
from omnireward.backbones._chat_tokenizer import ChatTokenizer
from omnireward.backbones._decoder import DecoderBackbone
from omnireward.backbones._minicpm_o_audio import AudioProjector, AudioTower
from omnireward.backbones._minicpm_o_config import (
    CONFIG_FILE,
    MODEL_TYPE,
    PREPROCESSING_FILE,
    MiniCPMOConfig,
    Preprocessing,
)
from omnireward.backbones._minicpm_o_prepare import Preparer
from omnireward.backbones._minicpm_o_resampler import Resampler
from omnireward.backbones._minicpm_o_text import SPECIAL_TOKENS, row_of
from omnireward.backbones._minicpm_o_tiny import tiny_config, tiny_preprocessing
from omnireward.backbones._minicpm_o_vision import VisionTower, normalise
from omnireward.backbones._tiny_tokenizer import train_tokenizer
from omnireward.backbones._weights import WeightFiles, dumps, has_layer, write_folder
from omnireward.checkpoint_json import read_json, read_text
from omnireward.errors import CheckpointError, MediaError
from omnireward.media import Decoder
from omnireward.types import Media, Turn

Decode = Callable[[Media], NDArray[Any]]
TOKENIZER_FILE = "tokenizer.json"
IGNORED = ("llm.lm_head.weight", "tts.")  # vocabulary logits and speech output, which a reward does not need
# Padded lengths that one pass of a tower holds: 16 views of 448 x 448 pixels, 16 pieces of 30 s.
VISION_BUDGET = 16 * 1024
AUDIO_BUDGET = 16 * 3000


class MiniCPMO(DecoderBackbone):
    """The model with its tokenizer and preprocessing.

    Attributes:
        config: as in config.json.
        preprocessing: how media are made small.
        decode: turns a medium into an array; replace it to decode elsewhere or with other limits.
        apm: the audio tower; set `apm.published` to mask as the published code does.
    """

    def __init__(
        self,
        config: MiniCPMOConfig,
        tokenizer: ChatTokenizer,
        preprocessing: Preprocessing,
        decode: Decode | None = None,
    ) -> None:
        super().__init__()
        if tokenizer.vocab_size > config.language.vocab_size:
            raise CheckpointError(
                f"tokenizer.json has ids up to {tokenizer.vocab_size - 1}, but config.json's vocab_size is "
                f"{config.language.vocab_size}."
            )
        self.config, self.preprocessing, self._tokenizer = config, preprocessing, tokenizer
        self.decode = decode or Decoder(preprocessing.decoding())
        self.hidden_size = config.language.hidden_size
        self._prepare = Preparer(config, preprocessing)
        self.llm = nn.ModuleDict({"model": Qwen2Model(config.language.build())})
        self.vpm = VisionTower(config.vision, config.vision_layers)
        self.resampler = Resampler(config.query_num, self.hidden_size, config.vision.hidden_size)
        self.apm = AudioTower(config.audio, config.audio_chunk_length)
        self.audio_projection_layer = AudioProjector(config.audio, self.hidden_size, config.audio_pool_step)

    @property
    def tokenizer(self) -> ChatTokenizer:
        """The checkpoint's."""
        return self._tokenizer

    @property
    def decoder(self) -> Qwen2Model:
        """The language model, without a head."""
        return cast("Qwen2Model", self.llm["model"])

    def prepare(self, media: Media) -> Prepared:
        """Decode a medium and cut it for its tower. Raises MediaError."""
        return self._prepare(media.kind, self.decode(media))

    def close(self) -> None:
        """End the decoder's processes, half-way through a medium too. They start again with the next medium."""
        if isinstance(self.decode, Decoder):
            self.decode.close()

    def encode_media(self, prepared: Sequence[Prepared]) -> list[Tensor]:
        """Embeddings of each medium: (sum of its tokens, hidden). No result depends on its neighbours.

        Raises:
            MediaError: a medium whose inputs were dropped.
        """
        if any(medium.inputs is None for medium in prepared):
            raise MediaError("a prepared medium holds no inputs; only its embeddings were kept. Prepare it again.")
        seen = [medium for medium in prepared if medium.tower == "vision"]
        heard = [medium for medium in prepared if medium.tower == "audio"]
        views = iter(self._see(_inputs(seen), [size for medium in seen for size in medium.sizes]))
        sounds = iter(self._hear(_inputs(heard), [count for medium in heard for count in medium.tokens]))
        return [
            torch.cat([next(views if medium.tower == "vision" else sounds) for _ in medium.sizes])
            for medium in prepared
        ]

    def tokenize(self, conversation: Sequence[Turn], prepared: Sequence[Prepared]) -> Row:
        """Token ids of a conversation; `prepared` holds its media in reading order. Text never becomes a special token.

        The last token is the newline after the last turn, where the published model reads its score.
        Raises PromptError for roles out of order, or media that don't fit the conversation.
        """
        return row_of(self._tokenizer, conversation, prepared, self.config.tokens_per_chunk)

    def settings(self) -> str | None:
        """What decides `prepare` and `encode_media` besides a medium and the parameters; None for another's decoder.

        Limits count: a medium that they refuse is refused, whatever an earlier run has kept of it.
        """
        if type(self.decode) is not Decoder:  # one that inherits may decode otherwise
            return None
        config = self.config
        parts = (config.vision, config.audio, config.slices, config.query_num, config.audio_pool_step)
        more = (config.audio_chunk_length, config.vision_layers, self.hidden_size, self.apm.published)
        return repr((MODEL_TYPE, self.preprocessing, self.decode.options, self.decode.limits, *parts, *more))

    def save(self, folder: Path, more: Mapping[str, Tensor] | None = None) -> None:
        """Write config, weights and tokenizer in the published layout. Each file is replaced when it is complete."""
        texts = {
            CONFIG_FILE: dumps(self.config.to_json()),
            PREPROCESSING_FILE: dumps(self.preprocessing.to_json()),
            TOKENIZER_FILE: self._tokenizer.json,
        }
        write_folder(folder, self.state_dict() | dict(more or {}), texts)

    def _see(self, strips: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> list[Tensor]:
        """Embeddings of views: for each (query_num, hidden)."""
        found: dict[int, Tensor] = {}
        for batch in _batches([height * width for height, width in sizes], VISION_BUDGET):
            shapes = [sizes[i] for i in batch]
            features, mask = self.vpm([normalise(strips[i].to(self.device)) for i in batch], shapes)
            found |= zip(batch, self.resampler(features, shapes, mask).unbind(), strict=True)
        return [found[i] for i in range(len(sizes))]

    def _hear(self, mels: Sequence[Tensor], tokens: Sequence[int]) -> list[Tensor]:
        """Embeddings of pieces of sound: for each (tokens, hidden)."""
        found: dict[int, Tensor] = {}
        together = [list(range(len(mels)))] if mels else []
        for batch in together if self.apm.published else _batches([mel.shape[-1] for mel in mels], AUDIO_BUDGET):
            embeddings = self.audio_projection_layer(self.apm([mels[i] for i in batch]))
            found |= {i: one[: tokens[i]] for i, one in zip(batch, embeddings.unbind(), strict=True)}
        return [found[i] for i in range(len(mels))]


def _inputs(media: Sequence[Prepared]) -> list[Tensor]:
    return [each for medium in media for each in medium.inputs or ()]


def _batches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices in order of length, cut so that a batch times its longest stays within the budget."""
    batches: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batches and (len(batches[-1]) + 1) * lengths[i] <= budget:
            batches[-1].append(i)
        else:
            batches.append([i])
    return batches


def load(folder: Path, *, dtype: torch.dtype | None = None, decode: Decode | None = None) -> MiniCPMO:
    """Read a checkpoint folder in the published layout.

    Args:
        folder: with config.json, tokenizer.json and safetensors weights.
        dtype: of the parameters; as stored when None.
        decode: turns a medium into an array; the project's own decoder when None.

    Raises:
        CheckpointError: a file missing or broken, a token missing, or weights missing, left over or of another shape.
    """
    config = MiniCPMOConfig.from_json(read_json(folder / CONFIG_FILE))
    tokenizer = ChatTokenizer(read_text(folder / TOKENIZER_FILE), SPECIAL_TOKENS)
    weights = WeightFiles(folder, IGNORED)
    # The released config.json and the class that it configures disagree about the default: the weights know.
    if weights.keys:  # opened for its shapes alone, a folder may have none
        last = config.vision.num_hidden_layers - 1
        config = replace(config, drop_vision_last_layer=not has_layer(weights.keys, "vpm.encoder.layers", last))
    with torch.device("meta"):
        model = MiniCPMO(config, tokenizer, Preprocessing.load(folder), decode)
    model.load_state_dict(weights.read(model.state_dict(), dtype), assign=True)
    # Its frequencies are computed, not stored, so they are still on the meta device.
    model.decoder.rotary_emb = Qwen2RotaryEmbedding(config.language.build())
    return model


def tiny(texts: Iterable[str], seed: int) -> MiniCPMO:
    """The same class with a small config, random weights from a seed, and a tokenizer trained on the texts."""
    tokenizer = ChatTokenizer(train_tokenizer(texts, SPECIAL_TOKENS), SPECIAL_TOKENS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return MiniCPMO(tiny_config(tokenizer.vocab_size), tokenizer, tiny_preprocessing())


BACKBONE = BackboneFamily(
    summary="MiniCPM-o-2.6: text, images, video, audio and meshes; the paper's own (BT)",
    model_types=(MODEL_TYPE,),
    layout="paper",
    towers={"vision": ("vpm.", "resampler."), "audio": ("apm.", "audio_projection_layer.")},
    projectors=("resampler.", "audio_projection_layer."),
    load=load,
    tiny=tiny,
)
