"""Decoding media from strangers: in child processes that may die, with limits on their memory and time.

Image, video and mesh libraries are much C code with a history of crashes on crafted files. Here a crash, a hang or a
memory bomb costs one medium and a restart, not the run. POSIX only (resource limits, poll).
"""

from __future__ import annotations

import os
import weakref
from types import TracebackType

from omnireward.errors import MediaError, RecipeError
from omnireward.media.children import Children, processors
from omnireward.media.dispatch import Array
from omnireward.media.length import Stated
from omnireward.media.limits import DecodeOptions, Limits
from omnireward.media.mesh import require_extra
from omnireward.media.pieces import check_pieces
from omnireward.types import Media

_DEFAULT_OPTIONS, _DEFAULT_LIMITS = DecodeOptions(), Limits()


class Decoder:
    """`decode`, in persistent child processes. Call it with a medium; close it, or use it in a ``with`` block.

    The first child starts with the first medium, another when a thread asks while the others are busy, and again after
    one died. Threads that ask at once are answered at once, each by a child of its own, and a medium that ends its
    child costs the other threads nothing. After a fork, and when it is sent to another process, a decoder starts
    children of its own there.

    Args:
        options: what decoded media consist of.
        limits: how large media may be, and what each child may use.
        at_once: how many media are decoded at once, at most; by default one for each usable processor, up to 8.

    Raises:
        RecipeError: `at_once` is below 1.
    """

    def __init__(
        self,
        options: DecodeOptions = _DEFAULT_OPTIONS,
        limits: Limits = _DEFAULT_LIMITS,
        at_once: int | None = None,
    ) -> None:
        if at_once is not None and at_once < 1:
            raise RecipeError(f"a decoder decodes at least 1 medium at once, not {at_once}.")
        self.options, self.limits, self.at_once = options, limits, at_once
        self._children = Children(options, limits, at_once or processors())
        self._finalizer = weakref.finalize(self, self._children.close)
        _decoders.add(self)

    def __call__(self, media: Media) -> Array:
        """Decode a medium: the arrays and errors of `decode`.

        Raises:
            DecoderCrashError: the child died, used more memory or time than allowed, or the decoder was closed, on
                this medium. The next medium gets a new child.
        """
        check_pieces(media, self.limits)
        if media.kind == "mesh" and not isinstance(media.source, tuple):
            require_extra()
        with self._children.one() as child:
            answer = child.ask(media)
        if isinstance(answer, MediaError):
            raise answer
        return answer

    def seconds(self, media: Media) -> float | None:
        """How long a video or a sound says that it is; None for other media and where it does not say.

        Nothing is decoded, and a container may lie: for sorting results only. Raises as a call does.
        """
        if media.kind not in ("video", "audio") or isinstance(media.source, tuple):
            return None
        check_pieces(media, self.limits)
        with self._children.one() as child:
            answer = child.seconds(media)
        if isinstance(answer, MediaError):
            raise answer
        return answer

    def stated(self, media: Media) -> Stated:
        """What the header says of size and length; of a mesh nothing. Nothing is decoded. Raises as a call does."""
        check_pieces(media, self.limits)
        with self._children.one() as child:
            answer = child.stated(media)
        if isinstance(answer, MediaError):
            raise answer
        return answer

    def close(self) -> None:
        """End the children, those that are decoding too. A closed decoder can be used again; twice is harmless."""
        self._children.close()

    def __enter__(self) -> Decoder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[type[Decoder], tuple[DecodeOptions, Limits, int | None]]:
        # Data loaders that spawn send their decoder along.
        return type(self), (self.options, self.limits, self.at_once)


_decoders: weakref.WeakSet[Decoder] = weakref.WeakSet()


def _after_fork() -> None:
    for decoder in list(_decoders):
        decoder._children.forget()


os.register_at_fork(after_in_child=_after_fork)
