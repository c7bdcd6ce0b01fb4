"""The files or byte strings of a medium: named for messages, sized before anything is read, opened for reading."""

from __future__ import annotations

import io
import stat
from pathlib import Path
from typing import BinaryIO

from omnireward.errors import MediaLimitError, UnreadableMediaError
from omnireward.media.limits import Limits
from omnireward.types import Media

Piece = Path | bytes


def describe(piece: Piece) -> str:
    """What to call a piece in a message.

    >>> describe(Path("cat.png")), describe(b"12345")
    ('cat.png', '5 bytes in memory')
    """
    return f"{len(piece):,} bytes in memory" if isinstance(piece, bytes) else str(piece)


def describe_media(media: Media) -> str:
    """What to call a medium in a message.

    >>> describe_media(Media("image", Path("cat.png")))
    'image cat.png'
    """
    pieces = media.pieces()
    if not pieces:
        return f"{media.kind} without any piece"
    more = f" and {len(pieces) - 1} more" if len(pieces) > 1 else ""
    return f"{media.kind} {describe(pieces[0])}{more}"


def check_pieces(media: Media, limits: Limits) -> None:
    """Check that each piece is there, is an ordinary file, and that together they are not too large. Reads no content.

    Raises:
        UnreadableMediaError: a missing file, something that is not an ordinary file (a pipe or a device would
            block forever), an empty piece, or no piece at all.
        MediaLimitError: more bytes than `limits.bytes`, or more pictures than `limits.video_frames`.
    """
    pieces = media.pieces()
    if not pieces:
        raise UnreadableMediaError(f"a {media.kind} has no pictures; give at least one.")
    if len(pieces) > limits.video_frames:
        raise MediaLimitError(
            f"{describe_media(media)}: {len(pieces):,} pictures; at most {limits.video_frames:,} are decoded."
        )
    sizes = [_size(piece) for piece in pieces]
    if sum(sizes) > limits.bytes:
        raise MediaLimitError(
            f"{describe_media(media)}: {sum(sizes):,} bytes; at most {limits.bytes:,} are read (Limits.bytes)."
        )


def open_piece(piece: Piece) -> BinaryIO:
    """Open a piece for reading. The caller closes it."""
    return io.BytesIO(piece) if isinstance(piece, bytes) else piece.open("rb")


def read_piece(piece: Piece) -> bytes:
    """The encoded bytes of a piece."""
    return piece if isinstance(piece, bytes) else piece.read_bytes()


def _size(piece: Piece) -> int:
    if isinstance(piece, bytes):
        size = len(piece)
    else:
        try:
            status = piece.stat()
        except (OSError, ValueError) as error:  # ValueError: a NUL in the name
            raise UnreadableMediaError(f"{piece}: cannot be opened ({error}).") from error
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableMediaError(f"{piece}: not an ordinary file.")
        size = status.st_size
    if size == 0:
        raise UnreadableMediaError(f"{describe(piece)}: empty.")
    return size
