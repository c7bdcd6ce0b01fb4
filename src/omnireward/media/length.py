"""What a medium's header says of its size and length: for sorting and counting, never for limits, which measure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from omnireward.media import container as containers
from omnireward.media.image import opened as opened_image
from omnireward.media.limits import Limits
from omnireward.types import Media

_MICROSECONDS = 1e6  # FFmpeg's unit of a container's duration


@dataclass(frozen=True, slots=True)
class Stated:
    """What a header says; None where it does not say or there is no such thing. Width and height in pixels."""

    width: int | None = None
    height: int | None = None
    seconds: float | None = None


def stated_seconds(media: Media) -> float | None:
    """Seconds of a video or a sound; None for other media, for pictures in order, and where the container is silent.

    Raises:
        UnreadableMediaError: not a readable container.
    """
    if media.kind not in ("video", "audio") or isinstance(media.source, tuple):
        return None
    return stated(media, Limits()).seconds


def stated(media: Media, limits: Limits) -> Stated:
    """Size of a picture or a video, seconds of a video or a sound. Of several pictures, the size of the first.

    Raises:
        UnreadableMediaError: not a readable picture or container.
        MediaLimitError: a picture with more pixels than `limits` allow.
    """
    piece = media.pieces()[0]
    if media.kind == "image" or isinstance(media.source, tuple):
        with opened_image(piece, limits.image_pixels) as image:
            return Stated(image.width, image.height)
    if media.kind == "mesh":
        return Stated()
    formats = containers.VIDEO_FORMATS if media.kind == "video" else containers.AUDIO_FORMATS
    with containers.opened(piece, formats) as container:
        duration = container.duration
        pictures = container.streams.video if media.kind == "video" else ()
        width, height = (pictures[0].width, pictures[0].height) if pictures else (0, 0)
    seconds = 0.0 if duration is None else duration / _MICROSECONDS
    return Stated(width or None, height or None, seconds if math.isfinite(seconds) and seconds > 0 else None)
