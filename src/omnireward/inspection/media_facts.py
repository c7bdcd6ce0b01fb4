"""What is known of one medium: whether it is there, whether it can be read, its size and length, its hashes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from omnireward.errors import MediaError, MissingExtraError
from omnireward.fingerprints.media import decoded_hashes
from omnireward.media import Decoder
from omnireward.media.pieces import describe_media
from omnireward.types import Media, MediaKind

State = Literal["found", "missing", "unreadable"]


@dataclass(frozen=True, slots=True)
class MediumFacts:
    """Bytes of all its files or pieces; pixels; seconds; None where not known.

    `problem` of one that was found says what could not be done with it here.
    """

    kind: MediaKind
    state: State
    name: str
    problem: str = ""
    size: int = 0
    width: int | None = None
    height: int | None = None
    seconds: float | None = None
    hashes: tuple[int, ...] = ()


def examine(media: Media, decoder: Decoder, decode: bool) -> MediumFacts:
    """Look at a medium: at its header, or at all of it.

    Args:
        media: a medium whose files need not exist.
        decoder: media are untrusted.
        decode: whether to decode it, which finds what is broken behind the header, and to hash it.
    """
    name = describe_media(media)
    if missing(media):
        return MediumFacts(media.kind, "missing", name, "there is no such file")
    try:
        size = sum(len(piece) if isinstance(piece, bytes) else piece.stat().st_size for piece in media.pieces())
        stated = decoder.stated(media)
        found = MediumFacts(media.kind, "found", name, "", size, stated.width, stated.height, stated.seconds)
        return _decoded(media, found, decoder) if decode else found
    except (MediaError, OSError) as error:
        return MediumFacts(media.kind, "unreadable", name, str(error)[:500])


def _decoded(media: Media, found: MediumFacts, decoder: Decoder) -> MediumFacts:
    """With hashes, and the size and length that it really has."""
    try:
        decoded = decoder(media)
        found = replace(found, hashes=decoded_hashes(media, decoded, decoder.options.sample_rate))
    except MissingExtraError as error:  # the medium is not to blame
        return replace(found, problem=str(error))
    if media.kind == "audio":
        return replace(found, seconds=len(decoded) / decoder.options.sample_rate)
    if media.kind == "mesh":
        return found
    return replace(found, height=decoded.shape[-3], width=decoded.shape[-2])


def missing(media: Media) -> bool:
    """Whether one of its files is not there."""
    return any(isinstance(piece, Path) and _absent(piece) for piece in media.pieces())


def _absent(path: Path) -> bool:
    try:
        return not path.exists()
    except (OSError, ValueError):  # a name that is too long, or holds a NUL
        return True
