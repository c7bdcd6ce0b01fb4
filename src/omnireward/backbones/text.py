"""Causal language models of text alone, as Skywork's and many other reward models are: for T2T.

It takes transformers' own headless classes and the checkpoint's own chat template. Token ids are those of
`tokenizer.apply_chat_template(tokenize=True)` for texts that spell no special tokens. A criterion is the system turn,
or begins the first user turn where the template has none. Unusual: packing is tried on a few tokens first, because
these models differ in what no name tells; where it does not give the padded pass's states, rows are padded.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from reprlib import repr as short
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import Tensor, nn
from transformers import AutoModel, PretrainedConfig

from omnireward.backbones import Backbone, BackboneFamily, Prepared, Row
from omnireward.backbones._chatml import in_order
from omnireward.backbones._decoder import DecoderBackbone
from omnireward.backbones._text_config import CONFIG, checked, read
from omnireward.backbones._text_packing import packs
from omnireward.backbones._text_template import SETTINGS, TEXTS, TOKENIZER, pinned, template_of
from omnireward.backbones._text_tiny import tiny_config, tiny_files
from omnireward.backbones._text_tokenizer import InertTokenizer
from omnireward.backbones._weights import BIAS, WeightFiles, dumps, write_folder
from omnireward.checkpoint_json import read_text
from omnireward.errors import CheckpointError, MediaError, PromptError
from omnireward.packing import Plan
from omnireward.types import Media, Text, Turn

# Those that were tried; each is an architecture of transformers with a sequence-classification class beside it.
MODEL_TYPES = ("gemma", "gemma2", "gemma3_text", "llama", "mistral", "olmo2", "phi3", "qwen2", "qwen3")
PREFIX = "model."  # of the names of weights on disk, as beside a head
PADDED_TOKENS = 16_384  # of a padded pass
# Settings of a head, which are wrong once the head lies in a file of its own, and of code that is never run.
_DROPPED = {"id2label", "label2id", "num_labels", "problem_type", "value_head_prefix", BIAS, "auto_map"}
_DROPPED |= {"normalize_reward", "mean", "std"}
# A config is believed when it is read, so a wrong one raises errors of the model's code too.
_MISREAD = (
    *(StrictDataclassError, OSError, ImportError),
    *(RuntimeError, ValueError, LookupError, TypeError, AttributeError, AssertionError, ArithmeticError),
)


class TextModel(DecoderBackbone):
    """A causal language model without its vocabulary head, with its tokenizer and chat template.

    Args:
        decoder: of transformers.
        files: the checkpoint's files about text, by name.

    Attributes:
        template: the chat template.
    """

    def __init__(self, decoder: nn.Module, files: Mapping[str, str]) -> None:
        super().__init__()
        self.model = decoder
        self.config: PretrainedConfig = decoder.config  # type: ignore[assignment] # a model of transformers has one
        self.hidden_size = int(self.config.hidden_size)
        self._files = dict(files)
        self._tokenizer = InertTokenizer(files[TOKENIZER])
        self.template = template_of(files)
        self._packs: bool | None = None
        if self._tokenizer.vocab_size > self.config.vocab_size:
            raise CheckpointError(
                f"{TOKENIZER} has ids up to {self._tokenizer.vocab_size - 1}, but config.json's vocab_size is "
                f"{self.config.vocab_size}; is it this model's tokenizer?"
            )

    @property
    def tokenizer(self) -> InertTokenizer:
        """The checkpoint's."""
        return self._tokenizer

    @property
    def decoder(self) -> nn.Module:
        """The language model, without a head."""
        return self.model

    def prepare(self, media: Media) -> Prepared:
        """There is nothing that reads media. Raises MediaError."""
        raise MediaError(f"a {self.config.model_type} model reads text only, and this is {media.kind}.")

    def close(self) -> None:
        """Nothing decodes."""

    def encode_media(self, prepared: Sequence[Prepared]) -> list[Tensor]:
        """Of no media. Raises MediaError for others."""
        if prepared:
            raise MediaError(f"a {self.config.model_type} model reads text only.")
        return []

    def tokenize(self, conversation: Sequence[Turn], prepared: Sequence[Prepared]) -> Row:
        """Token ids of a conversation, as its chat template writes it. Raises PromptError."""
        if prepared or any(isinstance(part, Media) for turn in conversation for part in turn.content):
            raise PromptError(f"a {self.config.model_type} model reads text only; this conversation has media.")
        ids = self._tokenizer.ids(self.template.pieces(in_order(conversation, (), "")))
        if len(ids) > (most := self.config.max_position_embeddings):
            raise PromptError(f"a response with its prompt is {len(ids):,} tokens long; this model reads {most:,}.")
        return Row(torch.tensor(ids, dtype=torch.long), ())

    def packed(self, rows: Sequence[Row], media: Sequence[Sequence[Tensor]], plan: Plan) -> Tensor:
        """States at the last tokens, (rows, hidden); in padded passes where packing does not fit the architecture."""
        if self._packing(rows):
            return super().packed(rows, media, plan)
        return torch.stack([states[-1] for states in self._apart(rows, media)])

    def packed_states(
        self, rows: Sequence[Row], media: Sequence[Sequence[Tensor]], plan: Plan, before_last: bool = False
    ) -> Tensor:
        """States of all tokens of a packed batch, (T, hidden); in padded passes where packing does not fit.

        Raises:
            PromptError: states before the last layer, where packing does not fit.
        """
        if self._packing(rows):
            return super().packed_states(rows, media, plan, before_last)
        if before_last:
            raise PromptError("states before the last layer are known of packed rows only.")
        return plan.taken(torch.cat(self._apart(rows, media)))

    def _packing(self, rows: Sequence[Row]) -> bool:
        if self._packs is None:
            self._packs = packs(self, super().packed)
        window = getattr(self.config, "sliding_window", None) or sys.maxsize
        return self._packs and max(len(row.ids) for row in rows) <= window

    def _apart(self, rows: Sequence[Row], media: Sequence[Sequence[Tensor]]) -> list[Tensor]:
        """States of each row's tokens, (length, hidden), from padded passes."""
        found: dict[int, Tensor] = {}
        for some in _passes([len(row.ids) for row in rows]):
            states = self.hidden_states([rows[i] for i in some], [media[i] for i in some])
            found |= {i: state[: len(rows[i].ids)] for i, state in zip(some, states, strict=True)}
        return [found[i] for i in range(len(rows))]

    def save(self, folder: Path, more: Mapping[str, Tensor] | None = None) -> None:
        """Write config, weights and the files about text, as they were, in the layout of transformers."""
        named = type(self.model).__name__
        whole = named if more is None else named.removesuffix("Model") + "ForCausalLM"
        self._write(folder, {"architectures": [whole]}, more or {})

    def save_classifier(self, folder: Path, score: Tensor, bias: float) -> None:
        """Write a sequence-classification checkpoint of one label. Its head has no bias: a note in its config has it.

        Args:
            folder: to write.
            score: (1, hidden) float32, the weight of the head.
            bias: of the head.

        Raises:
            CheckpointError: every row ends with the token that the tokenizer pads with.
        """
        padding = self.template.special.get("pad_token")
        # transformers reads the last token that is not padding.
        if padding is not None and self._tokenizer.special.get(padding) == self.ending:
            raise CheckpointError(
                f"{SETTINGS} pads with {padding}, with which every row of this model ends, and a classifier of "
                "transformers reads the last token that is not padding. Name another pad_token there first."
            )
        named = type(self.model).__name__.removesuffix("Model") + "ForSequenceClassification"
        labels = {"id2label": {"0": "reward"}, "label2id": {"reward": 0}, "architectures": [named], BIAS: bias}
        number = None if padding is None else self._tokenizer.special.get(padding)
        self._write(folder, labels | ({} if number is None else {"pad_token_id": number}), {"score.weight": score})

    @property
    def ending(self) -> int:
        """The id of the last token of a row, where its reward is read."""
        return int(self.tokenize((Turn("user", (Text("?"),)), Turn("assistant", (Text("!"),))), ()).ids[-1])

    @property
    def chat_template(self) -> str:
        """The chat template with its clock stopped."""
        return pinned(self.template.source)

    @property
    def takes_system(self) -> bool:
        """Whether a criterion is a turn of its own."""
        return self.template.takes_system

    def messages(self, conversation: Sequence[Turn]) -> list[dict[str, str]]:
        """A conversation as `apply_chat_template` takes it."""
        roles, texts = self.template.said(conversation)
        return [{"role": role, "content": text} for role, text in zip(roles, texts, strict=True)]

    def _write(self, folder: Path, changed: Mapping[str, Any], more: Mapping[str, Tensor]) -> None:
        kept = {key: value for key, value in self.config.to_diff_dict().items() if key not in _DROPPED}
        config = kept | dict(changed)
        weights = {PREFIX + name: tensor for name, tensor in self.model.state_dict().items()}
        write_folder(folder, weights | dict(more), {CONFIG: dumps(dict(sorted(config.items()))), **self._files})


def _passes(lengths: Sequence[int]) -> list[list[int]]:
    """Rows in order of length, cut so that a pass times its longest row stays within PADDED_TOKENS."""
    passes: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if passes and (len(passes[-1]) + 1) * lengths[i] <= PADDED_TOKENS:
            passes[-1].append(i)
        else:
            passes.append([i])
    return passes


def load(folder: Path) -> Backbone:
    """Read a folder of transformers: of a chat model, or with a head of one label.

    Raises:
        CheckpointError: a file missing or broken, no chat template, weights missing, left over or of another shape,
            quantised weights, attention that is not causal, or a head that reads another token than the last.
    """
    told = checked(folder)
    files = {name: read_text(folder / name) for name in TEXTS if name == TOKENIZER or (folder / name).exists()}
    try:
        config = read(folder)
        with torch.device("meta"):
            decoder = _empty(config)
        model = TextModel(decoder, files)
    except _MISREAD as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(
            f"{folder}/{CONFIG} cannot be used: {type(error).__name__}: {short(str(error))}"
        ) from error
    weights = WeightFiles(folder, ("lm_head.",))
    # Frequencies, which older checkpoints store, are computed.
    weights.keys -= {key for key in weights.keys if key.endswith(".rotary_emb.inv_freq")}
    prefix = PREFIX if not weights.keys or any(key.startswith(PREFIX) for key in weights.keys) else ""
    tensors = weights.read({prefix + name: tensor for name, tensor in decoder.state_dict().items()}, None)
    decoder.load_state_dict({name.removeprefix(prefix): tensor for name, tensor in tensors.items()}, assign=True)
    _fill(decoder, config)
    classified = "value_head_prefix" not in told and any(key.startswith("score.") for key in weights.heads)
    if classified and config.pad_token_id == model.ending:
        raise CheckpointError(
            f"{folder / CONFIG} pads with the id {model.ending}, with which every row ends, so transformers reads the "
            "reward of this head before that token, and here it would be read at it. If the head was trained to read "
            "the last token, take pad_token_id out of that file."
        )
    return model


def _empty(config: Any) -> Any:
    return AutoModel.from_config(config, trust_remote_code=False)  # type: ignore[no-untyped-call]


def _fill(decoder: Any, config: Any) -> None:
    """Compute what is computed and never stored, and is still on the meta device."""
    decoder.rotary_emb = type(decoder.rotary_emb)(config)
    scaled = getattr(decoder.embed_tokens, "scalar_embed_scale", None)
    if scaled is not None:  # Gemma 3
        decoder.embed_tokens.embed_scale = torch.tensor(scaled)
    left = [name for name, buffer in decoder.named_buffers() if buffer.is_meta]
    if left:
        raise CheckpointError(f"a {config.model_type} model keeps {', '.join(left)}, which is not known here.")


def tiny(texts: Iterable[str], seed: int) -> Backbone:
    """A small Qwen2 with random weights from a seed, and a tokenizer trained on the texts."""
    files = tiny_files(texts)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return TextModel(_empty(tiny_config(InertTokenizer(files[TOKENIZER]).vocab_size)), files)


BACKBONE = BackboneFamily(
    summary="causal language models of text alone: Llama, Qwen, Gemma, Mistral, Phi, OLMo",
    model_types=MODEL_TYPES,
    layout="natural",
    kinds=(),
    towers={},
    load=load,
    tiny=tiny,
)
