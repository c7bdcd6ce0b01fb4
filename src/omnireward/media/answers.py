"""Reading the child's answers without trusting them: a crafted file may have taken the child over."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from omnireward.errors import MediaError, MediaLimitError, UnreadableMediaError
from omnireward.media.length import Stated
from omnireward.media.limits import DecodeOptions, Limits
from omnireward.types import Media

_ERRORS: dict[str, type[MediaError]] = {
    "MediaLimitError": MediaLimitError,
    "UnreadableMediaError": UnreadableMediaError,
}


LONGEST_MESSAGE = 2000  # characters; messages name paths


class ImplausibleAnswerError(ValueError):
    """An answer that an honest child would not give. Never leaves this room."""


def error_from(header: Any) -> MediaError | None:
    """The error that an answer carries, if it carries one."""
    match header:
        case {"error": str(name), "message": str(message)} if name in _ERRORS:
            return _ERRORS[name](message[:LONGEST_MESSAGE].encode("utf-8", "replace").decode())
    return None


def seconds_from(header: Any) -> float | None:
    """The length that an answer tells.

    Raises:
        ImplausibleAnswerError: no length, or one that no medium has.
    """
    match header:
        case {"seconds": None}:
            return None
        case {"seconds": float(seconds)} if 0 < seconds < float("inf"):
            return seconds
    raise ImplausibleAnswerError(str(header)[:200])


def stated_from(header: Any) -> Stated:
    """What an answer tells of a medium's header.

    Raises:
        ImplausibleAnswerError: something else, or a size or length that no medium has.
    """
    match header:
        case {"stated": {"width": width, "height": height, "seconds": seconds}}:
            plausible = all(size is None or (type(size) is int and 0 < size < 2**31) for size in (width, height))
            if plausible and (seconds is None or (type(seconds) is float and 0 < seconds < float("inf"))):
                return Stated(width, height, seconds)
    raise ImplausibleAnswerError(str(header)[:200])


def empty_array_for(header: Any, media: Media, options: DecodeOptions, limits: Limits) -> npt.NDArray[Any]:
    """An array of the announced shape, once that is known to be one that this request could have.

    Raises:
        ImplausibleAnswerError: a wrong type, number of axes or size.
    """
    match header:
        case {"shape": [*shape], "dtype": str(dtype)} if all(type(n) is int and n > 0 for n in shape):
            if dtype == ("float32" if media.kind == "audio" else "uint8") and _possible(shape, media, options, limits):
                return np.empty(shape, np.dtype(dtype))
    raise ImplausibleAnswerError(str(header)[:200])


def _possible(shape: list[int], media: Media, options: DecodeOptions, limits: Limits) -> bool:
    if media.kind == "audio":
        return len(shape) == 1 and shape[0] <= (limits.audio_seconds + 1) * options.sample_rate
    if len(shape) < 3 or shape[-1] != 3:
        return False
    *count, height, width = shape[:-1]
    if media.kind == "image":
        return not count and height * width <= limits.image_pixels
    if len(count) != 1:
        return False
    if media.kind == "video":
        largest = limits.image_pixels if isinstance(media.source, tuple) else limits.video_pixels
        return count == [options.frames] and height * width <= largest
    if isinstance(media.source, tuple):
        return count[0] <= options.views and height * width <= limits.image_pixels
    return shape == [options.views, options.view_size, options.view_size, 3]
