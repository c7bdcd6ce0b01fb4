"""A backbone and what it keeps of media: what a reward model and a judge that writes have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from omnireward import plugins
from omnireward.backbones import Backbone, BackboneFamily, Prepared, Row, freeze
from omnireward.encoded import Encoded
from omnireward.errors import PromptError, UnknownNameError, UnreadableMediaError
from omnireward.features import Features
from omnireward.on_base import OnBase
from omnireward.types import Media, Turn

# Positions that the published backbone was made for. Attention takes time that grows with the square: a text of a few
# megabytes would hold up all others for hours.
MOST_TOKENS = 32_768


class ConversationModel(nn.Module):
    """A backbone that reads conversations, and a linear head.

    Attributes:
        backbone: with its tokenizer and preprocessing.
        family: the plug-in name of the backbone's family.
        head: what reads hidden states; a subclass makes it.
        max_tokens: of a conversation; longer ones are refused, not cut.
        packing: compute what rows share once; switch it off to look for a fault in it.
        features: what is kept of media already seen, on disk too, and what decides it.
        base: OWNER/REPO@COMMIT of the weights on the Hub that it came from; empty: from a folder.
        on_base: how it differs from its base, where that alone is saved: adapters, and what else was trained.
    """

    HEAD_IS_NEW: ClassVar[bool]  # it learns whatever else does, since nothing was learned in it before
    head: nn.Linear

    def __init__(self, backbone: Backbone, family: str) -> None:
        super().__init__()
        self.backbone = backbone
        self.family = family
        self.base = ""
        self.on_base: OnBase | None = None
        self.max_tokens = MOST_TOKENS
        self.packing = True
        self.features = Features(backbone, tuple(prefix for tower in self._family.towers.values() for prefix in tower))

    @property
    def _family(self) -> BackboneFamily:
        return cast(BackboneFamily, plugins.load("backbones", self.family))

    @property
    def towers(self) -> tuple[str, ...]:
        """The names of the towers that can be frozen."""
        return tuple(self._family.towers)

    def freeze(self, towers: Iterable[str]) -> int:
        """Freeze towers by name; returns how many numbers were frozen.

        Raises:
            UnknownNameError: the backbone's family has no such tower.
        """
        known, towers = self._family.towers, tuple(towers)
        for tower in towers:
            if tower not in known:
                raise UnknownNameError(f"unknown tower {tower!r}. {plugins.suggest(tower, sorted(known))}")
        return freeze(self.backbone, (prefix for tower in towers for prefix in known[tower]))

    def encode_turns(self, turns: Sequence[Turn]) -> Encoded:
        """A conversation as it is. Raises MediaError, PromptError.

        Decodes media that the cache does not hold, and has frozen towers encode them at once, so that whoever encodes
        ahead fills the cache. Threads may call this at the same time.
        """
        return self.encoded(turns, self.backbone.tokenize)

    def encoded(self, turns: Sequence[Turn], write: Callable[[Sequence[Turn], Sequence[Prepared]], Row]) -> Encoded:
        """Turns as `write` makes a row of them and of their prepared media. Otherwise as `encode_turns`."""
        media = [part for turn in turns for part in turn.content if isinstance(part, Media)]
        found = self.features.of(media, self._prepared)
        prepared = tuple(entry.prepared for _, entry in found)
        row = write(turns, prepared)
        if len(row.ids) > self.max_tokens:
            raise PromptError(
                f"a response with its prompt is {len(row.ids):,} tokens long; at most {self.max_tokens:,} are read."
            )
        kept = {digest: entry.embeddings for digest, entry in found if entry.embeddings is not None}
        return Encoded(row, prepared, tuple(digest for digest, _ in found), kept)

    def _prepared(self, medium: Media) -> Prepared:
        if medium.kind not in self._family.kinds:
            known = ", ".join(("text", *self._family.kinds))
            raise UnreadableMediaError(f"the backbone {self.family!r} reads no {medium.kind}; it reads {known}.")
        with torch.autocast("cpu", enabled=False):  # spectra of sounds are taken in fp32 wherever they are asked for
            prepared = self.backbone.prepare(medium)
        tokens = sum(prepared.tokens)
        if tokens > self.max_tokens:  # before the towers spend their time on it
            raise PromptError(f"a medium alone is {tokens:,} tokens long; at most {self.max_tokens:,} are read.")
        return prepared

    def tower_parameters(self) -> list[nn.Parameter]:
        """Parameters of all towers."""
        prefixes = tuple(prefix for tower in self._family.towers.values() for prefix in tower)
        return [weight for name, weight in self.backbone.named_parameters() if name.startswith(prefixes)]

    def unused(self) -> float | Tensor:
        """0, by way of the towers that learn: one that a batch does not call has gradients of 0, not none.

        Processes that add up their gradients would else wait for ever for those that another does not have. It is so
        with one process too, or an optimizer would treat such a step otherwise there.
        """
        learning = [weight for weight in self.tower_parameters() if weight.requires_grad]
        return sum((weight.flatten()[:1].sum() * 0.0 for weight in learning), 0.0)

    def save_backbone(self, folder: Path) -> None:
        """Write what adapters are put on: a checkpoint of the backbone, without a new head."""
        self.backbone.save(folder)

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what a loader needs; a crash leaves the old files, or the new, or what no loader takes."""

    def media_of(self, encoded: Sequence[Encoded]) -> list[list[Tensor]]:
        """Embeddings of each row's media, in reading order; each distinct medium of the batch is encoded once."""
        wanted = {d: p for one in encoded for d, p in zip(one.digests, one.media, strict=True)}
        known = {digest: embeddings for one in encoded for digest, embeddings in one.kept.items()}
        found = self.features.embeddings_of(wanted, known)
        here = {digest: embeddings.to(self.head.weight.device) for digest, embeddings in found.items()}
        return [[here[digest] for digest in one.digests] for one in encoded]
