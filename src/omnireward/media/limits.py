"""How much of a medium is wanted, and how large it may be.

A small file can stand for gigabytes (ten silent minutes of Opus are 0.2 MB), so every limit is on what decoding would
make, and is checked before or while decoding, never after.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from omnireward.errors import RecipeError


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """What a decoded medium consists of.

    Attributes:
        frames: pictures taken from a video, evenly over its time, first and last included.
        views: pictures of a mesh, evenly around it; from six on, the last two are from above and below.
        view_size: width and height of a view, in pixels.
        sample_rate: of sound, in Hz.

    Raises:
        RecipeError: a value below 1.
    """

    frames: int = 4
    views: int = 4
    view_size: int = 256
    sample_rate: int = 16_000

    def __post_init__(self) -> None:
        _require_positive(self)


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest medium that is decoded, and what the decoding process may use for one medium.

    The defaults admit an hour of 60 fps video, half an hour of sound, a 32-megapixel photograph and meshes of two
    million faces; none of them lets one medium take more than 4 GiB or two minutes.

    Attributes:
        bytes: encoded size of a medium, all its files together.
        image_pixels: width x height of an image, a given frame or a given view. Pillow's own limit of 89 million
            holds besides.
        video_frames: frames in a video's stream, or pictures in a sequence.
        video_seconds: from the first to the last frame.
        video_pixels: width x height of one video frame (default: a little over 4K UHD).
        audio_seconds: of decoded sound.
        vertices: of a mesh, each instance in its scene counted.
        faces: triangles of a mesh, each instance in its scene counted.
        texture_pixels: width x height of one texture.
        memory_bytes: address space of the decoding process (RLIMIT_AS).
        cpu_seconds: processor time of the decoding process for one medium (RLIMIT_CPU; whole seconds).
        wall_seconds: elapsed time for one medium.

    Raises:
        RecipeError: a value below 1.
    """

    bytes: int = 256 * 2**20
    image_pixels: int = 32_000_000
    video_frames: int = 216_000
    video_seconds: int = 3_600
    video_pixels: int = 9_000_000
    audio_seconds: int = 1_800
    vertices: int = 2_000_000
    faces: int = 2_000_000
    texture_pixels: int = 8_192 * 8_192
    memory_bytes: int = 4 * 2**30
    cpu_seconds: int = 60
    wall_seconds: float = 120.0

    def __post_init__(self) -> None:
        _require_positive(self)


def _require_positive(settings: DecodeOptions | Limits) -> None:
    for field in fields(settings):
        value = getattr(settings, field.name)
        # A wall of half a second is sensible; every other setting is a count.
        if value <= 0 or (field.name != "wall_seconds" and value != int(value)):
            kind = type(settings).__name__
            raise RecipeError(f"{kind}.{field.name} must be a whole number of at least 1; it is {value!r}.")
