"""Opening a video or sound file with FFmpeg so that it can name nothing outside itself.

Playlists and concat scripts are "formats" that name other files. Two fences: only plain containers are on the list,
and FFmpeg reads an open file, never a name, so it has no protocol to open another with.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import av
from av.audio.stream import AudioStream
from av.codec.context import CodecContext
from av.container import InputContainer
from av.video.stream import VideoStream

from omnireward.errors import UnreadableMediaError
from omnireward.media.pieces import Piece, describe, open_piece

# FFmpeg's demuxer names. "mov" also reads mp4 and m4a, "matroska" also webm.
VIDEO_FORMATS = ("mov", "mp4", "matroska", "webm", "avi", "gif")
AUDIO_FORMATS = ("wav", "flac", "mp3", "ogg", "aac", "mov", "mp4", "matroska", "webm", "avi")


@contextmanager
def opened(piece: Piece, formats: tuple[str, ...]) -> Iterator[InputContainer]:
    """An open container in one of these formats. FFmpeg's errors inside the block become `UnreadableMediaError`."""
    whitelist = {"format_whitelist": ",".join(formats)}
    try:
        with open_piece(piece) as file, av.open(file, "r", options=whitelist, metadata_errors="ignore") as container:
            yield container
    except av.FFmpegError as error:
        if isinstance(error, MemoryError):
            raise  # the process ran into its limit; the decoder's parent says so
        raise UnreadableMediaError(
            f"{describe(piece)}: cannot be decoded ({error.strerror}). Containers may be {', '.join(formats)}."
        ) from error


def codec_of(stream: VideoStream | AudioStream, piece: Piece) -> CodecContext:
    """The decoder of a stream. PyAV has none, and says so in no type, where the codec's tag is unknown."""
    context: CodecContext | None = stream.codec_context
    if context is None:
        raise UnreadableMediaError(f"{describe(piece)}: uses an unknown codec.")
    return context
