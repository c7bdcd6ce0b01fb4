"""Video: a few frames, evenly over time, each exactly the frame that a full decode would give.

Reading packets without decoding them is cheap and gives every frame's time, so variable frame rates, wrong headers
and missing durations need no guessing. Only the groups of pictures that hold a wanted frame are then decoded.
Where packets don't tell (AVI without timestamps, hidden frames), the whole stream is decoded in order instead.
Sound is kept apart: see audio.py.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from omnireward.errors import MediaLimitError, UnreadableMediaError
from omnireward.media import container as containers
from omnireward.media.image import over_white, resize
from omnireward.media.limits import Limits
from omnireward.media.pieces import Piece, describe
from omnireward.media.sampling import nearest

Pixels = npt.NDArray[np.uint8]

# Frames of these codecs say for sure whether another frame is predicted from them. HEVC's do not: what it calls
# non-reference is so only within a temporal layer.
_SKIPPABLE = ("h264", "mpeg4")


@dataclass(frozen=True, slots=True)
class _Timeline:
    """Increasing presentation times, in the stream's time base: of all frames; of those where decoding can start."""

    times: list[int]
    keys: list[int]


def decode_video(piece: Piece, frames: int, limits: Limits) -> Pixels:
    """Decode frames spread evenly over a video's time, the first and the last included (a single one: the middle).

    Args:
        piece: an encoded video.
        frames: how many; a video with fewer repeats the nearest.
        limits: `video_frames`, `video_seconds` and `video_pixels` are checked before decoding.

    Returns:
        (frames, height, width, 3) uint8 RGB, turned as the container says; pixels are taken as square.

    Raises:
        MediaLimitError: too many frames, too long, or too large.
        UnreadableMediaError: damaged, truncated, without a frame, or of another format.
    """
    with _opened(piece, limits) as (container, stream):
        timeline = _timeline(container, stream, piece, limits)
        found = None
        if timeline is not None:
            wanted = [timeline.times[i] for i in nearest(timeline.times, frames)]
            found = _by_seeking(container, stream, timeline, wanted, piece, limits)
    if found is not None:
        return _stack([found[time] for time in wanted])
    return _in_order(piece, frames, limits)


@contextmanager
def _opened(piece: Piece, limits: Limits) -> Iterator[tuple[InputContainer, VideoStream]]:
    """The container and its first moving pictures, on one thread: the caller has other media for the other cores."""
    with containers.opened(piece, containers.VIDEO_FORMATS) as container:
        moving = [s for s in container.streams.video if not s.disposition & Disposition.attached_pic]
        if not moving:
            raise UnreadableMediaError(f"{describe(piece)}: has no moving pictures.")
        stream = moving[0]
        context = containers.codec_of(stream, piece)
        context.thread_type, context.thread_count = "NONE", 1
        _check_pixels(stream.codec_context.width, stream.codec_context.height, piece, limits)
        yield container, stream


def _timeline(container: InputContainer, stream: VideoStream, piece: Piece, limits: Limits) -> _Timeline | None:
    """Read all packets, decode none. None if they don't give each frame a time of its own."""
    times: list[int] = []
    keys: list[int] = []
    for packet in container.demux(stream):
        if packet.is_corrupt:
            raise UnreadableMediaError(f"{describe(piece)}: truncated after {len(times)} frames.")
        if not packet.size or packet.is_discard:  # the end of the stream; cut away by the container's edit list
            continue
        if packet.pts is None:
            return None
        times.append(packet.pts)
        if packet.is_keyframe:
            keys.append(packet.pts)
        _check_frames(len(times), piece, limits)
    if not times or not keys or len(set(times)) < len(times):
        return None
    times.sort()  # packets come in decoding order
    if stream.time_base is not None:
        _check_seconds(float((times[-1] - times[0]) * stream.time_base), piece, limits)
    return _Timeline(times, sorted(keys))


def _by_seeking(
    container: InputContainer,
    stream: VideoStream,
    timeline: _Timeline,
    wanted: Sequence[int],
    piece: Piece,
    limits: Limits,
) -> dict[int, Pixels] | None:
    """The frames at these times, by time; None if one of them did not come out of the decoder."""
    found: dict[int, Pixels] = {}

    def group(time: int) -> int:
        return bisect_right(timeline.keys, time)  # frames before a key frame in time belong to the group before it

    for _, times in groupby(sorted(set(wanted)), key=group):
        targets = list(times)
        for frame in _decoded_group(container, stream, targets):
            if frame.pts in targets:
                found[frame.pts] = _pixels(frame, piece, limits)
        if not found.keys() >= set(targets):
            return None
    return found


def _decoded_group(container: InputContainer, stream: VideoStream, targets: list[int]) -> Iterator[VideoFrame]:
    """Decode from the key frame before the first target until the last target is out."""
    context = stream.codec_context
    # To the target itself: an index holds decoding times, and asking for the key's own time can land a group early.
    container.seek(targets[0], stream=stream)
    for packet in container.demux(stream):
        skip = context.name in _SKIPPABLE and packet.size and packet.pts not in targets
        context.skip_frame = "NONREF" if skip else "DEFAULT"
        for frame in packet.decode():
            yield frame
            if frame.pts is not None and frame.pts >= targets[-1]:
                return


def _in_order(piece: Piece, frames: int, limits: Limits) -> Pixels:
    """Decode everything twice: once to learn how many frames there are and when, once to keep the wanted ones."""
    times: list[int | None] = []
    with _opened(piece, limits) as (container, stream):
        for frame in container.decode(stream):
            _check_pixels(frame.width, frame.height, piece, limits)
            times.append(frame.pts)
            _check_frames(len(times), piece, limits)
        base = stream.time_base
    if not times:
        raise UnreadableMediaError(f"{describe(piece)}: holds no frame.")
    known = [time for time in times if time is not None]
    if len(known) == len(times) and all(a < b for a, b in pairwise(known)):
        if base is not None:
            _check_seconds(float((known[-1] - known[0]) * base), piece, limits)
    else:
        known = list(range(len(times)))  # without usable times, frames are evenly spaced
    wanted = nearest(known, frames)
    found: dict[int, Pixels] = {}
    with _opened(piece, limits) as (container, stream):
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                found[number] = _pixels(frame, piece, limits)
            if number == wanted[-1]:
                break
    return _stack([found[number] for number in wanted])


def _pixels(frame: VideoFrame, piece: Piece, limits: Limits) -> Pixels:
    """(height, width, 3) uint8, upright, transparent parts white."""
    _check_pixels(frame.width, frame.height, piece, limits)
    if any(component.is_alpha for component in frame.format.components):
        picture = over_white(np.asarray(frame.to_ndarray(format="rgba"), np.uint8))
    else:
        picture = np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    # The angle is counterclockwise, as rot90 turns. Telephones write quarter turns; nothing else can be shown exactly.
    return np.rot90(picture, frame.rotation // 90) if frame.rotation % 90 == 0 else picture


def _stack(pictures: list[Pixels]) -> Pixels:
    """One array; a stream that changes its size goes on at the size of the first picture."""
    height, width = pictures[0].shape[:2]
    return np.stack([resize(picture, height, width) for picture in pictures])


def _check_pixels(width: int, height: int, piece: Piece, limits: Limits) -> None:
    if width * height > limits.video_pixels:
        raise MediaLimitError(
            f"{describe(piece)}: frames of {width} x {height} pixels; "
            f"at most {limits.video_pixels:,} are decoded (Limits.video_pixels)."
        )


def _check_frames(count: int, piece: Piece, limits: Limits) -> None:
    if count > limits.video_frames:
        raise MediaLimitError(f"{describe(piece)}: more than {limits.video_frames:,} frames (Limits.video_frames).")


def _check_seconds(seconds: float, piece: Piece, limits: Limits) -> None:
    if seconds > limits.video_seconds:
        raise MediaLimitError(
            f"{describe(piece)}: {seconds:,.0f} s long; at most {limits.video_seconds:,} s (Limits.video_seconds)."
        )
