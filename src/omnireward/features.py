"""What a model keeps of media: what frozen towers gave, or, while towers learn, what they read. Each is made once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from omnireward.backbones import Backbone, Prepared
from omnireward.errors import UnreadableMediaError
from omnireward.feature_cache import FeatureCache
from omnireward.feature_shards import Entry
from omnireward.feature_space import embeddings_space, inputs_space, stamp, tower_tensors
from omnireward.feature_store import FeatureStore, Space
from omnireward.media.pieces import describe
from omnireward.types import Media

Prepare = Callable[[Media], Prepared]


class Features:
    """Of one backbone. Threads may ask at once.

    Args:
        backbone: prepares and encodes.
        towers: the prefixes of their parameters' names.

    Attributes:
        embeddings: by frozen towers; filled only while they are frozen.
        inputs: what towers read, while they learn.
        dtype: what frozen towers compute in, wherever they are called from; None: as their parameters are stored.
        store: where both are kept on disk. A model from a checkpoint has one; the towers of one that is made from
            nothing will never be met again.
    """

    def __init__(self, backbone: Backbone, towers: tuple[str, ...]) -> None:
        self._backbone, self._towers = backbone, towers
        self.embeddings, self.inputs = FeatureCache(), FeatureCache()
        self.dtype: torch.dtype | None = None
        self.store: FeatureStore | None = None

    @property
    def frozen(self) -> bool:
        """Whether no tower's parameter has a gradient, so that embeddings of media can be kept."""
        return not any(tensor.requires_grad for tensor in tower_tensors(self._backbone, self._towers))

    def of(self, media: Sequence[Media], prepare: Prepare) -> list[tuple[str, Entry]]:
        """The digest of each, and what is kept of it or made now: embeddings by frozen towers, inputs of others.

        Raises MediaError, and what `prepare` raises.
        """
        digests = [_digest(medium) for medium in media]
        frozen = bool(media) and self._settled()
        found: dict[str, Entry] = {}
        for digest, medium in zip(digests, media, strict=True):
            if digest not in found:
                found[digest] = self._found(digest, partial(_unchanged, medium, digest, prepare), frozen, _name(medium))
        return [(digest, found[digest]) for digest in digests]

    def embeddings_of(self, media: Mapping[str, Prepared], known: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Embeddings by digest: those of frozen towers as they are known or kept, those of others with gradients."""
        if not media:
            return {}
        if not self._settled():
            return dict(zip(media, self._backbone.encode_media(list(media.values())), strict=True))
        return {digest: known[digest] if digest in known else self._kept(digest, one) for digest, one in media.items()}

    def _kept(self, digest: str, prepared: Prepared) -> Tensor:
        return cast(Tensor, self._encoded(digest, lambda: prepared).embeddings)

    def _found(self, digest: str, prepare: Callable[[], Prepared], frozen: bool, name: tuple[str, ...]) -> Entry:
        if frozen:
            return self._encoded(digest, prepare, name)
        return self.inputs.obtain(digest, lambda: Entry(prepare()), lambda: self._made_so()[0], name)

    def _encoded(self, digest: str, prepare: Callable[[], Prepared], name: tuple[str, ...] | None = None) -> Entry:
        """Embeddings by frozen towers. Not kept where weights or precision change meanwhile."""
        return self.embeddings.obtain(digest, lambda: self._alone(prepare()), lambda: self._made_so()[1], name)

    def _alone(self, prepared: Prepared) -> Entry:
        """The same bits in whatever company, thread and precision they are asked for."""
        device = next(self._backbone.parameters()).device.type
        own = torch.autocast(device, dtype=self.dtype, enabled=self.dtype is not None)
        with torch.inference_mode(mode=False), torch.no_grad(), own:
            return Entry(prepared, self._backbone.encode_media([prepared])[0])

    def _settled(self) -> bool:
        """Whether the towers are frozen. Tells the caches what they are now: after a change, the caches are empty."""
        inputs, embeddings = self._made_so()
        frozen, backbone = inputs[0], self._backbone
        named = partial(inputs_space, backbone), partial(embeddings_space, backbone, self._towers, self.dtype)
        self.inputs.fit(inputs, lambda: None if frozen else self._space(named[0]))  # else they are read once
        self.embeddings.fit(embeddings, lambda: self._space(named[1]) if frozen else None)
        return frozen

    def _made_so(self) -> tuple[tuple[bool, str | None, FeatureStore | None], tuple[object, ...]]:
        """All that decides what the caches hold, now: inputs of towers, and embeddings."""
        tensors = tuple(tower_tensors(self._backbone, self._towers))
        frozen = not any(tensor.requires_grad for tensor in tensors)
        inputs = (frozen, self._backbone.settings(), self.store)
        return inputs, (*inputs, self.dtype, stamp(tensors)) if frozen else inputs

    def _space(self, name_of: Callable[[], str | None]) -> Space | None:
        """A space of the store, if there is one and the space can be named."""
        if self.store is None:
            return None
        name = name_of()
        return None if name is None else self.store.space(name)


def _unchanged(medium: Media, digest: str, prepare: Prepare) -> Prepared:
    """A medium decoded and cut. A file that changes meanwhile is refused: it would be kept under a wrong name."""
    prepared = prepare(medium)
    files = [piece for piece in medium.pieces() if isinstance(piece, Path)]
    if files and _digest(medium) != digest:
        raise UnreadableMediaError(f"a media file changed while it was read: {files[0]}.")
    return prepared


def _name(medium: Media) -> tuple[str, ...]:
    """What errors call it."""
    return tuple(describe(piece) for piece in medium.pieces())


def _digest(medium: Media) -> str:
    try:
        return medium.digest()
    except OSError as error:
        raise UnreadableMediaError(f"a media file cannot be read: {error}") from error
