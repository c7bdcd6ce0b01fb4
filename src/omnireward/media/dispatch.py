"""One function that decodes any medium, in this process."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from omnireward.errors import UnreadableMediaError
from omnireward.media.audio import decode_audio
from omnireward.media.image import Pixels, decode_image, resize
from omnireward.media.limits import DecodeOptions, Limits
from omnireward.media.mesh import decode_mesh
from omnireward.media.pieces import check_pieces, describe_media
from omnireward.media.sampling import nearest
from omnireward.media.video import decode_video
from omnireward.types import Media

Array = npt.NDArray[Any]

_DEFAULT_OPTIONS, _DEFAULT_LIMITS = DecodeOptions(), Limits()


def decode(media: Media, options: DecodeOptions = _DEFAULT_OPTIONS, limits: Limits = _DEFAULT_LIMITS) -> Array:
    """Decode a medium in this process. For media from strangers use `Decoder`, which does the same in a child process.

    Returns:
        * image: (height, width, 3) uint8 RGB, alpha over white, upright;
        * video: (frames, height, width, 3) uint8 RGB, evenly over time. Given as pictures, the same rule picks
          from them by position, and all take the first one's size;
        * audio: (samples,) float32 in [-1, 1], mono at `options.sample_rate`;
        * mesh: (views, view_size, view_size, 3) uint8 RGB, rendered. Given as views that are already pictures:
          those pictures, at most `options.views` of them, all at the first one's size.

    Raises:
        MediaLimitError: something is larger than `limits` allow.
        UnreadableMediaError: damaged, empty, or of an unsupported format.
        MissingExtraError: meshes need the extra ``mesh``.
    """
    check_pieces(media, limits)
    source = media.source
    match media.kind, source:
        case "video", tuple():
            chosen = nearest(range(len(source)), options.frames)
            return _sequence(media, chosen, limits)
        case "mesh", tuple():
            # Unlike time, angles don't ask for repetition: fewer views than asked stay as they are.
            chosen = nearest(range(len(source)), min(options.views, len(source)))
            return _given_views(media, chosen, limits)
        case _, tuple():
            raise UnreadableMediaError(
                f"{describe_media(media)}: only a video or a mesh can be given as several pictures."
            )
        case "image", _:
            return decode_image(source, limits.image_pixels)
        case "video", _:
            return decode_video(source, options.frames, limits)
        case "audio", _:
            return decode_audio(source, options.sample_rate, limits.audio_seconds)
        case _:
            return decode_mesh(source, options.views, options.view_size, limits)


def _sequence(media: Media, chosen: list[int], limits: Limits) -> Pixels:
    pieces = media.pieces()
    decoded = {i: decode_image(pieces[i], limits.image_pixels) for i in sorted(set(chosen))}
    height, width = decoded[chosen[0]].shape[:2]
    return np.stack([resize(decoded[i], height, width) for i in chosen])


def _given_views(media: Media, chosen: list[int], limits: Limits) -> Pixels:
    """Identical views are taken: a vase is a vase from all sides. Blank ones show nothing."""
    views = _sequence(media, chosen, limits)
    if (views == views[:, :1, :1]).all():
        raise UnreadableMediaError(f"{describe_media(media)}: all views are blank.")
    return views
