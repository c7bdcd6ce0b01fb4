"""A reward model: an omni-modal backbone and a linear head on its last real token (paper section 4).

The head is fp32 and is saved beside the backbone as `value_head.safetensors` with the keys `v_head.summary.weight` and
`v_head.summary.bias`, as the published weights are. A head that is missing, or weights that are left over, are errors:
a reward from a random head looks like any other number. No vocabulary logits are computed.

A checkpoint records the layout it was trained with (see `prompts`) and refuses another.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
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
    tokenizer_digest,
    weight_digests,
)
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
from omnireward.types import Comparison, Layout, Part, Side, Turn
from omnireward.value_head import HEAD, OLD_HEAD, expects_head, read_head, write_head

RECORD = "omnireward.json"
# Of the checkpoint that a folder held before: another head, another tokenizer, another base.
STALE = ("*.safetensors*", OLD_HEAD, ADAPTERS, "config.json", *READING)
TOKENS_PER_PASS = 16_384  # of a pass without gradients, what rows share counted once
SIDES: tuple[Side, ...] = ("a", "b")


def holds_model(folder: Path) -> bool:
    """Whether a reward model was written there to the end: the record comes first, and the head last."""
    return (folder / RECORD).is_file() and (folder / HEAD).is_file()


class RewardModel(ConversationModel):
    """A backbone, a head, and the layout that conversations are laid out in.

    Attributes:
        layout: where a media response is put.
    """

    HEAD_IS_NEW = True

    def __init__(self, backbone: Backbone, family: str, layout: Layout, head_dropout: float = 0.0) -> None:
        super().__init__(backbone, family)
        self.layout: Layout = layout
        self.dropout = nn.Dropout(head_dropout)
        self.head = nn.Linear(backbone.hidden_size, 1, dtype=torch.float32)
        nn.init.normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def encode(self, comparison: Comparison, side: Side) -> Encoded:
        """One response under its prompt and criterion. Decodes media. Raises MediaError, PromptError."""
        return self.encode_turns(conversation(comparison, side, self.layout))

    def hidden(self, encoded: Sequence[Encoded], padding_side: str | None = None) -> Tensor:
        """Hidden state at the last real token: (rows, hidden).

        Packed, so that what rows share is computed once. In one padded pass where a padding side is given, or
        `packing` is off.
        """
        rows, media = [one.row for one in encoded], self.media_of(encoded)
        if padding_side or not self.packing:
            return cast(Tensor, self.backbone(rows, media, padding_side=padding_side or "right"))
        return self.backbone.packed(rows, media, plan(keys_of(encoded)))

    def forward(self, encoded: Sequence[Encoded], padding_side: str | None = None) -> Tensor:
        """Rewards: (rows,) float32."""
        hidden = self.hidden(encoded, padding_side).to(torch.float32)
        with torch.autocast(hidden.device.type, enabled=False):
            rewards = cast(Tensor, self.head(self.dropout(hidden))).squeeze(-1)
        return rewards + self.unused() if self.training else rewards

    @torch.no_grad()
    def score(self, encoded: Sequence[Encoded]) -> Tensor:
        """Rewards of rows, for whoever trains nothing: (rows,) float32, on the CPU.

        Rows of one prompt should stand together. Many rows are spread over passes by their tokens. Equal rows are
        computed once: two rows of a batch can differ in the last bits, and a margin of 1e-8 has a winner where 0 has
        none.
        """
        self.eval()
        keys = keys_of(encoded)
        number: dict[bytes, int] = {}  # of each distinct row
        which = [number.setdefault(key.tobytes(), len(number)) for key in keys]
        first = [which.index(i) for i in range(len(number))]
        passes = cut([keys[i] for i in first], TOKENS_PER_PASS)
        found = [self([encoded[first[i]] for i in rows]).cpu() for rows in passes]
        return torch.cat([torch.empty(0), *found])[which]

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
    def load(cls, folder: Path | str, layout: Layout | None = None, head_dropout: float = 0.0) -> RewardModel:
        """Read a checkpoint, ours or one in the published layout. Its towers are frozen, so that features are kept.

        To train them on, thaw them: `model.requires_grad_(True)`.

        Args:
            folder: holds config.json, weights, tokenizer.json and a head (see `value_head`), or adapters, a head and
                the record of their base (see `on_base`); or OWNER/REPO@REVISION.
            layout: insist on a layout; None takes the recorded one, or the family's where none is recorded.
            head_dropout: for training on.

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
        recorded = recorded_layout(folder / RECORD, known)
        if layout is not None and layout != recorded:
            raise CheckpointError(
                f"{folder} was trained with the {recorded!r} layout and cannot be used with {layout!r}: "
                f"its rewards would be of no meaning. Leave the layout out, or train a model with {layout!r}."
            )
        model = cls(backbone, family, recorded, head_dropout)
        model.head.load_state_dict(read_head(folder, backbone.hidden_size))
        check_weights(folder, folder / RECORD)
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
