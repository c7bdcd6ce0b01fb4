"""Omni-modal LLMs: one file for each model family, each defining `BACKBONE`, a `BackboneFamily`.

A backbone turns conversations into the hidden state of their last real token. No vocabulary logits are computed.
The work is cut where it can be reused:

    media ── prepare ──▶ Prepared ── encode_media ──▶ embeddings (frozen towers: once for each medium)
    conversation + Prepared ── tokenize ──▶ Row;  rows + embeddings ── packed ──▶ (rows, hidden)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from omnireward.packing import Plan
from omnireward.types import Layout, Media, MediaKind, Turn


@dataclass(frozen=True, slots=True)
class Prepared:
    """One medium, decoded and cut into what a tower reads.

    Attributes:
        tower: ``vision`` or ``audio``.
        inputs: what the tower reads; None once only the embeddings are kept.
        sizes: one entry for each input: patches (height, width) for vision; (frames, tokens) for audio.
        tokens: how many embeddings each input becomes.
        pattern: how the placeholders are laid out in the text; private to the family.
    """

    tower: str
    inputs: tuple[Tensor, ...] | None
    sizes: tuple[tuple[int, int], ...]
    tokens: tuple[int, ...]
    pattern: str


@dataclass(frozen=True, slots=True)
class Row:
    """One conversation as token ids.

    Attributes:
        ids: (length,) int64.
        spans: the half-open token ranges that embeddings fill, in order, over all media.
        positions: (axes, length) int64 where positions have several axes (time, height, width), float32 where they are
            fractions; None: 0, 1, 2, ... A token's position depends on what stands before it only, so rows that begin
            alike have the same there.
    """

    ids: Tensor
    spans: tuple[tuple[int, int], ...]
    positions: Tensor | None = None


class Backbone(nn.Module, ABC):
    """One loaded model with its tokenizer and preprocessing."""

    hidden_size: int

    @abstractmethod
    def prepare(self, media: Media) -> Prepared:
        """Decode a medium and cut it for its tower. Raises MediaError."""

    @abstractmethod
    def close(self) -> None:
        """End what decodes, half-way through a medium too. It starts again with the next medium."""

    @abstractmethod
    def encode_media(self, prepared: Sequence[Prepared]) -> list[Tensor]:
        """Embeddings of each medium: (sum of its tokens, width). No result depends on its neighbours.

        The first `hidden_size` columns go where the placeholders stand. Some families give more, a multiple of that:
        what the decoder's first layers add to the states at these places (DeepStack, arXiv 2406.04334).
        """

    @abstractmethod
    def tokenize(self, conversation: Sequence[Turn], prepared: Sequence[Prepared]) -> Row:
        """Token ids of a conversation; `prepared` holds its media in reading order. Text stays text."""

    @abstractmethod
    def forward(self, rows: Sequence[Row], media: Sequence[Sequence[Tensor]], *, padding_side: str = "right") -> Tensor:
        """Hidden state at the last real token of each row: (rows, hidden). `media[i]`: embeddings of row i's media."""

    @abstractmethod
    def packed(self, rows: Sequence[Row], media: Sequence[Sequence[Tensor]], plan: Plan) -> Tensor:
        """What `forward` gives, (rows, hidden), computed over a packed batch of the same rows (see `packing`)."""

    def settings(self) -> str | None:
        """What decides `prepare` and `encode_media` besides a medium and the parameters; None: not to be told.

        Features are kept on disk under this name. None keeps them out of there: a decoder may be anything.
        """
        return None

    @abstractmethod
    def save(self, folder: Path, more: Mapping[str, Tensor] | None = None) -> None:
        """Write config, weights and tokenizer in the family's published layout.

        Args:
            folder: to write.
            more: weights that are written among them, by their names in a file: a vocabulary head, or none where it
                is the embeddings. None: what is written has no head.
        """


@dataclass(frozen=True, slots=True)
class BackboneFamily:
    """How to get a backbone of one family.

    Attributes:
        summary: one line for `omnireward list`.
        model_types: values of `model_type` in config.json that this family answers for.
        layout: where a media response is put by default.
        kinds: the kinds of media that it reads; others are refused.
        towers: freezing by name: tower name -> parameter name prefixes.
        projectors: of the parameters in towers, the prefixes of those that join a tower to the language model.
        load: from a folder in the published layout. Raises CheckpointError on missing or left-over weights.
        tiny: the same class with a small config, random weights from a seed, and a tokenizer trained on the texts.
    """

    summary: str
    model_types: tuple[str, ...]
    layout: Layout
    towers: Mapping[str, tuple[str, ...]]
    load: Callable[[Path], Backbone]
    tiny: Callable[[Iterable[str], int], Backbone]
    kinds: tuple[MediaKind, ...] = ("image", "video", "audio", "mesh")
    projectors: tuple[str, ...] = ()


def freeze(backbone: nn.Module, prefixes: Iterable[str]) -> int:
    """Stop gradients for parameters whose names start with any prefix; returns how many numbers were frozen."""
    wanted = tuple(prefixes)
    frozen = 0
    for name, parameter in backbone.named_parameters():
        if name.startswith(wanted):
            parameter.requires_grad_(False)
            frozen += parameter.numel()
    return frozen


def pad(rows: Sequence[Row], side: str = "right", value: int = 0) -> tuple[Tensor, Tensor]:
    """Stack rows: ids (rows, longest) int64 and mask (rows, longest) bool, True on real tokens."""
    longest = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), longest), value, dtype=torch.long)
    mask = torch.zeros((len(rows), longest), dtype=torch.bool)
    for i, row in enumerate(rows):
        where = slice(0, len(row.ids)) if side == "right" else slice(longest - len(row.ids), longest)
        ids[i, where] = row.ids
        mask[i, where] = True
    return ids, mask
