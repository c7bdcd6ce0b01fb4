"""A reward model: an omni-modal backbone and a linear head on its last real token (paper section 4).

The head is fp32 and is saved beside the backbone as `value_head.safetensors` with the keys `v_head.summary.weight` and
`v_head.summary.bias`, as the published weights are. A head that is missing, or weights that are left over, are errors:
a reward from a random head looks like any other number. No vocabulary logits are computed.

A checkpoint records the layout it was trained with (see `prompts`) and refuses another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from omnireward import __version__, plugins
from omnireward.atomic import published
from omnireward.backbones import Backbone, BackboneFamily
from omnireward.checkpoint import (
    READING,
    check_no_judge,
    check_tokenizer,
    check_weights,
    load_backbone,
    recorded_base,
    recorded_layout,
    recorded_weights,
    tokenizer_digest,
    weight_digests,
)
from omnireward.checkpoint_json import read_json
from omnireward.conversation_model import ConversationModel
from omnireward.encoded import Encoded, keys_of
from omnireward.errors import CheckpointError
from omnireward.feature_store import default_store
from omnireward.hub import find
from omnireward.lora import CONFIG as ADAPTERS
from omnireward.lora import merge
from omnireward.model_card import model_card
from omnireward.on_base import OnBase, is_on_base, load_on_base
from omnireward.packing import cut, plan
from omnireward.prompts import conversation
from omnireward.tie_head import TieHead, read_tie_head
from omnireward.types import Comparison, Layout, Part, Side, Text, Turn
from omnireward.uncertainty import FILE as UNCERTAINTY_FILE
from omnireward.uncertainty import Uncertainty, read_uncertainty
from omnireward.value_head import HEAD, OLD_HEAD, expects_head, read_head, write_head

RECORD = "omnireward.json"
TIES = "ties"  # of the record: the kind of the tie head
UNCERTAINTY = "uncertainty"  # of the record: the file that was fitted to this model
# Of the checkpoint that a folder held before: another head, another tokenizer, another base.
STALE = ("*.safetensors*", OLD_HEAD, ADAPTERS, "config.json", *READING)
TOKENS_PER_PASS = 16_384  # of a pass without gradients, what rows share counted once
SIDES: tuple[Side, ...] = ("a", "b")
KEPT_CRITERIA = 1_024  # their states: 15 MB for a hidden size of 3,584
NOTHING = Comparison((Turn("user", (Text("."),)),), (Text("."),), (Text("."),))


def holds_model(folder: Path) -> bool:
    """Whether a reward model was written there to the end: the record comes first, and the head last."""
    return (folder / RECORD).is_file() and (folder / HEAD).is_file()


class RewardModel(ConversationModel):
    """A backbone, a head, and the layout that conversations are laid out in.

    Attributes:
        layout: where a media response is put.
        ties: says what a tie is; None where nothing taught it.
        uncertainty: says how far a row lies from those of training; None where nothing was fitted.
    """

    HEAD_IS_NEW = True

    def __init__(self, backbone: Backbone, family: str, layout: Layout, head_dropout: float = 0.0) -> None:
        super().__init__(backbone, family)
        self.layout: Layout = layout
        self.dropout = nn.Dropout(head_dropout)
        self.head = nn.Linear(backbone.hidden_size, 1, dtype=torch.float32)
        self.ties: TieHead | None = None
        self.uncertainty: Uncertainty | None = None
        self._criteria: dict[str, Tensor] = {}  # states of those seen last; filled beside `uncertainty` alone
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def encode(self, comparison: Comparison, side: Side) -> Encoded:
        """One response under its prompt and criterion. Decodes media. Raises MediaError, PromptError."""
        encoded = self.encode_turns(conversation(comparison, side, self.layout))
        return replace(encoded, criterion=comparison.criterion)

    def hidden(self, encoded: Sequence[Encoded], padding_side: str | None = None) -> Tensor:
        """Hidden state at the last real token: (rows, hidden).

        Packed, so that what rows share is computed once. In one padded pass where a padding side is given, or
        `packing` is off.
        """
        rows, media = [one.row for one in encoded], self.media_of(encoded)
        if padding_side or not self.packing:
            return cast(Tensor, self.backbone(rows, media, padding_side=padding_side or "right"))
        return self.backbone.packed(rows, media, plan(keys_of(encoded)))

    def forward(self, encoded: Sequence[Encoded], padding_side: str | None = None, leeways: bool = False) -> Tensor:
        """Rewards: (rows,) float32; with their leeways (see `tie_head`): (rows, 2)."""
        found = self._read(self.hidden(encoded, padding_side).to(torch.float32), leeways)
        return found + self.unused() if self.training else found

    def _read(self, hidden: Tensor, leeways: bool) -> Tensor:
        """What the heads say of hidden states, (rows, hidden) float32."""
        with torch.autocast(hidden.device.type, enabled=False):
            hidden = self.dropout(hidden)
            found = cast(Tensor, self.head(hidden)).squeeze(-1)
            return torch.stack([found, self.ties(hidden)], -1) if leeways and self.ties is not None else found

    def score(self, encoded: Sequence[Encoded]) -> Tensor:
        """Rewards of rows, for whoever trains nothing: (rows,) float32, on the CPU. See `score_both`."""
        return self.score_both(encoded)[0]

    def score_both(self, encoded: Sequence[Encoded]) -> tuple[Tensor, Tensor | None]:
        """Rewards of rows and their leeways, which are None without a tie head: each (rows,) float32, on the CPU.

        Rows of one prompt should stand together. Many rows are spread over passes by their tokens. Equal rows are
        computed once: two rows of a batch can differ in the last bits, and a margin of 1e-8 has a winner where 0 has
        none.
        """
        wide = self.ties is not None
        scored = self._spread(encoded, lambda rows: self(rows, leeways=wide), 2 if wide else None)
        return (scored[:, 0], scored[:, 1]) if wide else (scored, None)

    def score_all(self, encoded: Sequence[Encoded]) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """As `score_both`, and the rows' distances (see `uncertainty`), which are None where nothing was fitted."""
        if self.uncertainty is None:
            return (*self.score_both(encoded), None)
        states, heads = self.states(encoded, heads=True), 1 if self.ties is None else 2
        criteria = self._criterion_states([one.criterion for one in encoded])
        distances = self.uncertainty.distances(states[:, heads:], criteria)
        return states[:, 0], None if heads == 1 else states[:, 1], distances

    def states(self, encoded: Sequence[Encoded], heads: bool = False, tokens: int | None = None) -> Tensor:
        """Hidden states of rows, for whoever trains nothing: (rows, hidden) float32, on the CPU.

        Args:
            encoded: the rows.
            heads: what `score_both` gives stands before them, in one or two columns more.
            tokens: of a pass, at most; `TOKENS_PER_PASS` where that is None.
        """

        def read(rows: Sequence[Encoded]) -> Tensor:
            hidden = self.hidden(rows).to(torch.float32)
            said = [self._read(hidden, leeways=True).view(len(rows), -1)] if heads else []
            return torch.cat([*said, hidden], -1)

        columns = (1 if self.ties is None else 2) if heads else 0
        return self._spread(encoded, read, columns + self.backbone.hidden_size, tokens)

    def states_of_criteria(self, criteria: Sequence[str], tokens: int | None = None) -> Tensor:
        """Hidden states of criteria alone, under a prompt and a response that say nothing: (criteria, hidden)."""
        turns = [conversation(replace(NOTHING, criterion=one), "a", self.layout) for one in criteria]
        # Not by `encode`: a criterion that is just short enough in its own row must not be too long here.
        return self.states([Encoded(self.backbone.tokenize(each, ()), (), ()) for each in turns], tokens=tokens)

    def _criterion_states(self, criteria: Sequence[str]) -> Tensor:
        """The same, of which those that came last are kept."""
        fresh = [one for one in dict.fromkeys(criteria) if one not in self._criteria]
        known = self._criteria | dict(zip(fresh, self.states_of_criteria(fresh), strict=True))
        self._criteria = dict(list(known.items())[-KEPT_CRITERIA:])
        return torch.stack([known[one] for one in criteria]) if criteria else torch.empty(0, self.backbone.hidden_size)

    @torch.no_grad()
    def _spread(
        self,
        encoded: Sequence[Encoded],
        read: Callable[[Sequence[Encoded]], Tensor],
        columns: int | None,
        tokens: int | None = None,
    ) -> Tensor:
        """What `read` gives of distinct rows, pass by pass, for all rows: (rows,) or (rows, columns), on the CPU."""
        self.eval()
        keys = keys_of(encoded)
        number: dict[bytes, int] = {}  # of each distinct row
        which = [number.setdefault(key.tobytes(), len(number)) for key in keys]
        first = [which.index(i) for i in range(len(number))]
        passes = cut([keys[i] for i in first], TOKENS_PER_PASS if tokens is None else tokens)
        found = [read([encoded[first[i]] for i in rows]).cpu() for rows in passes]
        return torch.cat([torch.empty(0) if columns is None else torch.empty(0, columns), *found])[which]

    def rewards(self, comparisons: Sequence[Comparison], batch_size: int = 16) -> Tensor:
        """Rewards of both responses: (comparisons, 2) float32. Raises MediaError, PromptError."""
        self.eval()
        scored = [torch.empty(0, 2)]
        for start in range(0, len(comparisons), batch_size):
            batch = comparisons[start : start + batch_size]
            scored.append(self.score([self.encode(c, side) for c in batch for side in SIDES]).view(-1, 2))
        return torch.cat(scored)

    def candidate_rewards(
        self, prompt: Sequence[Turn], responses: Sequence[Sequence[Part]], criterion: str = ""
    ) -> Tensor:
        """Rewards of any number of responses to one prompt: (responses,) float32, such as those of a best-of-N.

        Criterion, prompt and its media are computed once for all of them. Raises MediaError, PromptError.
        """
        self.eval()
        asked = [Comparison(tuple(prompt), tuple(one), (), criterion) for one in responses]
        return self.score([self.encode(one, "a") for one in asked])

    def save(self, folder: Path) -> None:
        """Write the published layout: backbone, `value_head.safetensors`, what a loader must know, and a model card.

        Of a model with adapters, these and what was trained beside them are written, not its base.

        A crash leaves the old files, or the new, or a folder with a record and no head, which every loader refuses.
        """
        with published(folder, first=RECORD, last=HEAD, stale=STALE) as fresh:
            record: dict[str, Any] = {"family": self.family, "layout": self.layout, "omnireward": __version__}
            if self.on_base:
                record |= self.on_base.save(self.backbone, fresh)
            else:
                self.backbone.save(fresh)
            write_head(self.head, fresh)
            if self.ties is not None:
                self.ties.write(fresh)
                record |= {TIES: self.ties.kind}
            if self.uncertainty is not None:
                self.uncertainty.write(fresh)
                record |= {UNCERTAINTY: UNCERTAINTY_FILE}
            record |= {"tokenizer": tokenizer_digest(fresh), "weights": weight_digests(fresh)}
            record |= {"base": self.base} if self.base else {}
            (fresh / RECORD).write_text(json.dumps(record, indent=2, sort_keys=True) + "\n")
            parameters = sum(p.numel() for p in self.parameters())
            (fresh / "README.md").write_text(model_card(self.family, self.layout, parameters, self.base))

    def merge(self) -> RewardModel:
        """Add adapters, if there are any, to the weights: it is a whole model then, and is saved as one. In place.

        Where weights are kept in bfloat16 the sum is rounded to it; weights of 4 bits become plain ones.
        """
        if self.on_base:
            merge(self.backbone)
            self.on_base = None
        return self

    @classmethod
    def load(
        cls, folder: Path | str, layout: Layout | None = None, head_dropout: float = 0.0, uncertainty: bool = True
    ) -> RewardModel:
        """Read a checkpoint, ours or one in the published layout. Its towers are frozen, so that features are kept.

        To train them on, thaw them: `model.requires_grad_(True)`.

        Args:
            folder: holds config.json, weights, tokenizer.json and a head (see `value_head`), or adapters, a head and
                the record of their base (see `on_base`); or OWNER/REPO@REVISION.
            layout: insist on a layout; None takes the recorded one, or the family's where none is recorded.
            head_dropout: for training on.
            uncertainty: read what was fitted, where the record names it; for whoever fits it anew it may be lost.

        Raises:
            CheckpointError: files, keys or the head are missing or left over, another layout is recorded, or a judge
                that writes is there.
        """
        place = find(folder)
        folder = place.folder
        check_no_judge(folder, folder / RECORD)
        check_tokenizer(folder, folder / RECORD)
        on_base: OnBase | None = None
        if is_on_base(folder, folder / RECORD):
            family, backbone, on_base = load_on_base(folder, folder / RECORD)
        else:
            family, backbone = load_backbone(folder)
        known = cast(BackboneFamily, plugins.load("backbones", family)).layout
        trained = recorded_layout(folder / RECORD, known)
        if layout is not None and layout != trained:
            raise CheckpointError(
                f"{folder} was trained with the {trained!r} layout and cannot be used with {layout!r}: "
                f"its rewards would be of no meaning. Leave the layout out, or train a model with {layout!r}."
            )
        model = cls(backbone, family, trained, head_dropout)
        model.head.load_state_dict(read_head(folder, backbone.hidden_size))
        model.ties = read_tie_head(folder, recorded(folder, TIES), backbone.hidden_size)
        check_weights(folder, folder / RECORD, apart_from=UNCERTAINTY_FILE)
        if uncertainty and recorded(folder, UNCERTAINTY) is not None:  # or a file there was left half-way
            digest = recorded_weights(folder / RECORD).get(UNCERTAINTY_FILE)
            model.uncertainty = read_uncertainty(folder, backbone.hidden_size, digest)
        model.base, model.on_base = place.pinned or recorded_base(folder / RECORD), on_base
        model.freeze(model.towers)
        model.features.store = default_store()
        return model

    @classmethod
    def load_or_new_head(
        cls, folder: Path | str, layout: Layout | None = None, head_dropout: float = 0.0
    ) -> RewardModel:
        """For training: a checkpoint with its head, or a chat model's folder, which gets a new head.

        Raises:
            CheckpointError: as `load`; a folder that records a reward model but lost its head is refused here too.
        """
        place = find(folder)
        if (place.folder / RECORD).exists() or expects_head(place.folder):
            return cls.load(folder, layout, head_dropout)
        family, backbone = load_backbone(place.folder)
        model = cls(backbone, family, layout or "natural", head_dropout)
        model.base = place.pinned
        model.features.store = default_store()
        return model


def recorded(folder: Path, key: str) -> object:
    """What a folder's record has under a key; None where there is neither. Raises CheckpointError."""
    return read_json(folder / RECORD).get(key) if (folder / RECORD).exists() else None
