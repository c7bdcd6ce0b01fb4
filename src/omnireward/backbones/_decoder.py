"""What families share: hidden states of rows from a decoder-only language model, padded or packed.

A family brings its decoder, its towers and its chat format. Here, embeddings of media take the places of their
placeholders, positions with several axes follow the tokens into both ways of computing, and what deeper layers add to
the states at media (DeepStack) is handed on.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor, nn

from omnireward.backbones import Backbone, Row, pad
from omnireward.errors import PromptError
from omnireward.packed_stack import all_states, last_states
from omnireward.packing import Plan


class SpeakingTokenizer(Protocol):
    """What is needed of a tokenizer besides writing rows."""

    @property
    def vocab_size(self) -> int:
        """Ids run from 0 to below this; embeddings may be more."""
        ...

    @property
    def control(self) -> Mapping[str, int]:
        """Special tokens and their ids: what text never becomes, and what no answer may hold."""
        ...

    def words(self, ids: Sequence[int]) -> str:
        """The text that ids spell. Special tokens spell nothing."""
        ...


class DecoderBackbone(Backbone):
    """A backbone whose language model is a stack of layers named as in transformers' Qwen2Model."""

    @property
    @abstractmethod
    def decoder(self) -> nn.Module:
        """The language model, without a head: `embed_tokens`, `layers`, `norm`, `rotary_emb`."""

    @property
    @abstractmethod
    def tokenizer(self) -> SpeakingTokenizer:
        """What knows special tokens, and turns ids into words again."""

    @property
    def device(self) -> torch.device:
        """Where the language model is."""
        weight: Tensor = cast(Any, self.decoder).norm.weight
        return weight.device

    def forward(self, rows: Sequence[Row], media: Sequence[Sequence[Tensor]], *, padding_side: str = "right") -> Tensor:
        """Hidden state at the last real token of each row: (rows, hidden). `media[i]`: embeddings of row i's media."""
        hidden = self.hidden_states(rows, media, padding_side=padding_side)
        if padding_side == "left":
            return hidden[:, -1]
        last = torch.tensor([len(row.ids) - 1 for row in rows], device=hidden.device)
        return hidden[torch.arange(len(rows), device=hidden.device), last]

    def hidden_states(
        self, rows: Sequence[Row], media: Sequence[Sequence[Tensor]], *, padding_side: str = "right"
    ) -> Tensor:
        """States of all tokens after the final norm: (rows, longest, hidden); meaningless on padding.

        Raises:
            PromptError: a row's media have more or fewer embeddings than its placeholders.
        """
        given = self.padded(rows, media, padding_side)
        states: Tensor = self.decoder(use_cache=False, **given).last_hidden_state
        return states

    def padded(self, rows: Sequence[Row], media: Sequence[Sequence[Tensor]], padding_side: str) -> dict[str, Any]:
        """What the decoder is given for rows in one padded pass. Raises as `hidden_states`."""
        _check_counts(rows, media)
        ids, mask = pad(rows, padding_side)
        embeds = self.embedded(ids)
        given: dict[str, Any] = {}
        where = _places(rows, mask)
        values = [each for embeddings in media for each in embeddings]
        if values:
            embeds = embeds.index_put(
                tuple(axis.to(self.device) for axis in where), _shallow(values, self.hidden_size).to(embeds)
            )
            given |= self._deeper(where, mask, values)
        positions = _positions(rows, mask)
        if positions is not None:
            given["position_ids"] = positions.to(self.device)
        # Causal attention never looks right, so padding there needs no mask, and none is faster.
        if padding_side == "left":
            mask = mask.to(self.device)
            given["attention_mask"] = mask
            given.setdefault("position_ids", (mask.cumsum(dim=1) - 1).clamp(min=0))
        return given | {"inputs_embeds": embeds}

    def packed(self, rows: Sequence[Row], media: Sequence[Sequence[Tensor]], plan: Plan) -> Tensor:
        """States at the last tokens, (rows, hidden), of rows that share what they have in common."""
        embeds, rotary, deep = self._in_sequence(rows, media, plan)
        return last_states(self.decoder, embeds, rotary, plan, deep)

    def packed_states(
        self, rows: Sequence[Row], media: Sequence[Sequence[Tensor]], plan: Plan, before_last: bool = False
    ) -> Tensor:
        """States of all tokens of a packed batch, (T, hidden); `plan.paths` says where each row's are.

        With `before_last`, those that go into the last layer, normed like the others.
        """
        embeds, rotary, deep = self._in_sequence(rows, media, plan)
        return all_states(self.decoder, embeds, rotary, plan, deep, before_last)

    def _in_sequence(
        self, rows: Sequence[Row], media: Sequence[Sequence[Tensor]], plan: Plan
    ) -> tuple[Tensor, tuple[Tensor, Tensor], list[tuple[Tensor, Tensor]]]:
        """The tokens of a packed batch, the cosines and sines of their positions, and what deeper layers add."""
        _check_counts(rows, media)
        embeds = self.embedded(plan.taken(torch.cat([row.ids for row in rows])))
        where, which = plan.filled([row.spans for row in rows])
        values = [each for embeddings in media for each in embeddings]
        deep: list[tuple[Tensor, Tensor]] = []
        if len(where):
            embeds = embeds.index_put(
                (where.to(self.device),), _shallow(values, self.hidden_size).to(embeds)[which.to(self.device)]
            )
            deep = _taken(_deep(values, self.hidden_size), where, which)
        positions = plan.columns.unsqueeze(0)
        if any(row.positions is not None for row in rows):
            positions = plan.taken(torch.cat([_axes(row) for row in rows], dim=1).T).T.unsqueeze(1)
        cos, sin = cast(Any, self.decoder).rotary_emb(embeds, positions.to(self.device))
        return embeds, (cos.squeeze(0), sin.squeeze(0)), deep

    def embedded(self, ids: Tensor) -> Tensor:
        """Embeddings of tokens: (..., hidden)."""
        return cast(Tensor, cast(Any, self.decoder).embed_tokens(ids.to(self.device)))

    def _deeper(self, where: tuple[Tensor, Tensor], mask: Tensor, values: Sequence[Tensor]) -> dict[str, Any]:
        """What a padded call is told of DeepStack: the places, in reading order, and what each layer adds there."""
        deep = _deep(values, self.hidden_size)
        if not deep:
            return {}
        # Media without anything for deeper layers, such as sounds, are not among the places.
        places = torch.zeros_like(mask)
        places[tuple(axis[deep[0][1]] for axis in where)] = True
        return {
            "visual_pos_masks": places.to(self.device),
            "deepstack_visual_embeds": [added.to(self.device) for added, _ in deep],
        }


def _shallow(values: Sequence[Tensor], hidden: int) -> Tensor:
    """The columns that go where placeholders stand: (all tokens, hidden)."""
    return torch.cat([each[:, :hidden] for each in values])


def _deep(values: Sequence[Tensor], hidden: int) -> list[tuple[Tensor, Tensor]]:
    """For each of the decoder's first layers, what it adds, (n, hidden), and to which of all embeddings, (n,) int64."""
    layers = max((each.shape[1] // hidden - 1 for each in values), default=0)
    if not layers:
        return []
    having = [each for each in values if each.shape[1] > hidden]
    ends = torch.tensor([len(each) for each in values]).cumsum(0).tolist()
    which = torch.cat(
        [torch.arange(end - len(each), end) for each, end in zip(values, ends, strict=True) if each.shape[1] > hidden]
    )
    return [
        (torch.cat([each[:, n * hidden : (n + 1) * hidden] for each in having]), which) for n in range(1, layers + 1)
    ]


def _taken(deep: Sequence[tuple[Tensor, Tensor]], where: Tensor, which: Tensor) -> list[tuple[Tensor, Tensor]]:
    """The same for the places of a packed batch: places, (n,) int64, and what is added there, (n, hidden)."""
    found = []
    for added, of in deep:
        number = torch.full((int(max(which.max(), of.max())) + 1,), -1)
        number[of] = torch.arange(len(of))
        wanted = number[which]
        found.append((where[wanted >= 0], added[wanted[wanted >= 0].to(added.device)]))
    return found


def _places(rows: Sequence[Row], mask: Tensor) -> tuple[Tensor, Tensor]:
    """Where in the padded batch embeddings go: rows and columns, each (n,) int64."""
    at: list[int] = []
    columns: list[int] = []
    for i, row in enumerate(rows):
        places = [place for start, stop in row.spans for place in range(start, stop)]
        shift = int(mask[i].int().argmax())  # tokens of padding on the left
        at += [i] * len(places)
        columns += [shift + place for place in places]
    return torch.tensor(at, dtype=torch.long), torch.tensor(columns, dtype=torch.long)


def _positions(rows: Sequence[Row], mask: Tensor) -> Tensor | None:
    """(axes, rows, longest) where positions have several axes; 0 on padding."""
    if all(row.positions is None for row in rows):
        return None
    axes = [_axes(row) for row in rows]
    positions = torch.zeros(axes[0].shape[0], *mask.shape, dtype=axes[0].dtype)
    for i, each in enumerate(axes):
        positions[:, i, mask[i]] = each
    return positions


def _axes(row: Row) -> Tensor:
    if row.positions is None:
        raise PromptError("some rows of a batch have positions of several axes, others have none.")
    return row.positions


def _check_counts(rows: Sequence[Row], media: Sequence[Sequence[Tensor]]) -> None:
    """Raises PromptError where a row's media have more or fewer embeddings than it has placeholders."""
    for i, (row, embeddings) in enumerate(zip(rows, media, strict=True)):
        places = sum(stop - start for start, stop in row.spans)
        given = sum(len(each) for each in embeddings)
        if given != places:
            raise PromptError(f"row {i} has {places} placeholders, but its media have {given} embeddings.")
