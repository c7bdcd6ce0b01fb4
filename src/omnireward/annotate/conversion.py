"""A child process that makes one medium playable: `python -m omnireward.annotate.conversion '{"kind": …}'`.

Browsers play MP4 with H.264, WebM, and a few kinds of sound, and model-viewer takes a GLB that needs nothing beside
itself. What is such a file already is looked at and left as it is; the rest is written anew: video as MP4, sound as
WAV, meshes as GLB. The media are strangers': limits are set first, and whoever started this gets one line of JSON, or
nothing where a library crashed. The process ends when its standard input does.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from omnireward.errors import MediaLimitError, MissingExtraError, UnreadableMediaError
from omnireward.media import container as containers
from omnireward.media.image import over_white
from omnireward.media.limits import Limits
from omnireward.media.mesh import load, require_extra
from omnireward.mesh_files import named

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

Said = dict[str, Any]
MOST_WRITTEN = 2**30  # bytes of a converted medium
_CLOCK = 90_000  # ticks a second, as MPEG counts
_SOUND_RATE = 48_000  # Hz
_LONGEST = 500  # characters of a message
# (demuxer, codecs): what browsers play of each. Sound of a video must be one of _WITH_VIDEO.
_VIDEOS = {"mp4": ("h264", "av1", "vp9"), "webm": ("vp8", "vp9", "av1")}
_WITH_VIDEO = {"mp4": ("aac", "mp3", "opus", "flac"), "webm": ("opus", "vorbis")}
_PIXELS = ("yuv420p", "yuvj420p", "yuva420p")
_SOUNDS = {
    "wav": ("audio/wav", ("pcm_s16le", "pcm_u8", "pcm_s24le", "pcm_f32le")),
    "mp3": ("audio/mpeg", ("mp3", "mp3float")),
    "flac": ("audio/flac", ("flac",)),
    "ogg": ("audio/ogg", ("opus", "vorbis", "flac")),
    "mp4": ("audio/mp4", ("aac", "mp3", "mp3float", "flac", "opus")),
    "webm": ("audio/webm", ("opus", "vorbis")),
}


def main(settings: str) -> None:
    """Do one conversion, and say what came of it: `type` and `converted`, or `error`."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    given = json.loads(settings)
    limits = Limits(**given["limits"])
    answer = os.dup(1)
    os.dup2(2, 1)  # whatever a library prints is no answer
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_WRITTEN, MOST_WRITTEN))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 5))
    if sys.platform == "linux":  # macOS has the constant but refuses to set it
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
    acts: dict[str, Callable[[Path, Path, Limits], Said]] = {"video": video, "audio": audio, "mesh": mesh}
    try:
        said = acts[given["kind"]](Path(given["source"]), Path(given["target"]), limits)
    except (MediaLimitError, UnreadableMediaError, MissingExtraError) as error:
        said = {"error": str(error)[:_LONGEST]}
    os.write(answer, json.dumps(said).encode())


def _end_with_parent() -> None:
    """Whoever started this holds the other end of its input, and writes nothing to it."""
    os.read(0, 1)
    os._exit(1)


def video(source: Path, target: Path, limits: Limits) -> Said:
    """A video, as it is or as MP4. Raises MediaLimitError, UnreadableMediaError."""
    with containers.opened(source, containers.VIDEO_FORMATS) as container:
        stream = _moving(container, source, limits)
        kind = _demuxer(container, source)
        sounds = [sound.codec_context.name for sound in container.streams.audio]
        plays = (
            stream.codec_context.name in _VIDEOS.get(kind, ())
            and stream.codec_context.pix_fmt in _PIXELS
            and all(sound in _WITH_VIDEO[kind] for sound in sounds)
        )
        if plays:
            _check_start(container, stream, source)
            return {"type": f"video/{kind}", "converted": False}
    with containers.opened(source, containers.VIDEO_FORMATS) as container:
        _to_mp4(container, source, target, limits)
    return {"type": "video/mp4", "converted": True}


def audio(source: Path, target: Path, limits: Limits) -> Said:
    """A sound, as it is or as WAV. Raises MediaLimitError, UnreadableMediaError."""
    with containers.opened(source, containers.AUDIO_FORMATS) as container:
        if not container.streams.audio:
            raise UnreadableMediaError(f"{source.name}: has no sound.")
        stream = container.streams.audio[0]
        codec = containers.codec_of(stream, source).name
        mime, codecs = _SOUNDS.get(_demuxer(container, source), ("", ()))
        _check_seconds(container, source, limits.audio_seconds)
        if codec in codecs and not container.streams.video:
            _check_start(container, stream, source)
            return {"type": mime, "converted": False}
    with containers.opened(source, containers.AUDIO_FORMATS) as container:
        _to_wav(container, source, target, limits)
    return {"type": "audio/wav", "converted": True}


def mesh(source: Path, target: Path, limits: Limits) -> Said:
    """A mesh, as it is where it is one self-contained GLB, or as such.

    Raises:
        MediaLimitError, UnreadableMediaError, MissingExtraError: as `media.mesh`.
    """
    with source.open("rb") as file:
        plain = file.read(4) == b"glTF" and not named(source)
    require_extra()
    scene = load(source, limits)
    if plain:
        return {"type": "model/gltf-binary", "converted": False}
    if not scene.geometry:
        raise UnreadableMediaError(f"{source.name}: holds no geometry.")
    target.write_bytes(scene.export(file_type="glb"))
    return {"type": "model/gltf-binary", "converted": True}


def _to_mp4(container: InputContainer, source: Path, target: Path, limits: Limits) -> None:
    stream = _moving(container, source, limits)
    sounds = [sound for sound in container.streams.audio[:1] if sound.codec_context is not None]
    width, height = 0, 0
    count, last = 0, -1
    with av.open(str(target), "w", format="mp4", options={"movflags": "+faststart"}) as out:
        picture_out = out.add_stream("libx264", rate=25, options={"preset": "veryfast", "crf": "20"})
        picture_out.pix_fmt = "yuv420p"
        picture_out.codec_context.thread_count = 1
        picture_out.codec_context.time_base = Fraction(1, _CLOCK)
        sound_out = out.add_stream("aac", rate=_SOUND_RATE) if sounds else None
        resampler = av.AudioResampler(format="fltp", layout="stereo", rate=_SOUND_RATE)
        for packet in container.demux([stream, *sounds]):
            for frame in packet.decode():
                if isinstance(frame, av.AudioFrame):
                    assert sound_out is not None
                    for part in resampler.resample(frame):
                        out.mux(sound_out.encode(part))
                    continue
                assert isinstance(frame, av.VideoFrame)
                if not width:
                    upright = _upright(frame, limits, source)
                    width, height = max(2, upright.width & ~1), max(2, upright.height & ~1)
                    picture_out.width, picture_out.height = width, height
                count += 1
                time = count / 25 if frame.time is None else frame.time
                if count > limits.video_frames or time > limits.video_seconds:
                    raise MediaLimitError(f"{source.name}: longer than Limits.video_frames or Limits.video_seconds.")
                picture = _upright(frame, limits, source).reformat(width, height, "yuv420p")
                picture.pict_type = 0  # what was a key frame need not be one
                last = max(last + 1, round(time * _CLOCK))
                picture.pts, picture.time_base = last, Fraction(1, _CLOCK)
                out.mux(picture_out.encode(picture))
        if not count:
            raise UnreadableMediaError(f"{source.name}: holds no frame.")
        out.mux(picture_out.encode(None))
        if sound_out is not None:
            for part in resampler.resample(None):
                out.mux(sound_out.encode(part))
            out.mux(sound_out.encode(None))


def _to_wav(container: InputContainer, source: Path, target: Path, limits: Limits) -> None:
    stream = container.streams.audio[0]
    stream.codec_context.thread_count = 1
    layout = "mono" if stream.codec_context.channels == 1 else "stereo"
    rate = stream.codec_context.sample_rate or _SOUND_RATE
    resampler = av.AudioResampler(format="s16", layout=layout, rate=rate)
    elapsed = 0.0
    with av.open(str(target), "w", format="wav") as out:
        sound = out.add_stream("pcm_s16le", rate=rate, layout=layout)
        for frame in container.decode(stream):
            elapsed += frame.samples / frame.sample_rate
            if elapsed > limits.audio_seconds:
                raise MediaLimitError(f"{source.name}: longer than {limits.audio_seconds:,} s (Limits.audio_seconds).")
            for part in resampler.resample(frame):
                out.mux(sound.encode(part))
        if not elapsed:
            raise UnreadableMediaError(f"{source.name}: holds no samples.")
        for part in resampler.resample(None):
            out.mux(sound.encode(part))
        out.mux(sound.encode(None))


def _moving(container: InputContainer, source: Path, limits: Limits) -> VideoStream:
    moving = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
    if not moving:
        raise UnreadableMediaError(f"{source.name}: has no moving pictures.")
    context = moving[0].codec_context
    containers.codec_of(moving[0], source).thread_count = 1
    _check_pixels(context.width, context.height, source, limits)
    _check_seconds(container, source, limits.video_seconds)
    return moving[0]


def _upright(frame: VideoFrame, limits: Limits, source: Path) -> VideoFrame:
    """A frame turned as its container says, and over white where it is transparent."""
    _check_pixels(frame.width, frame.height, source, limits)
    alpha = any(component.is_alpha for component in frame.format.components)
    turns = frame.rotation // 90 if frame.rotation % 90 == 0 else 0
    if not alpha and not turns % 4:
        return frame
    pixels = (
        over_white(np.asarray(frame.to_ndarray(format="rgba"), np.uint8)) if alpha else frame.to_ndarray(format="rgb24")
    )
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(np.rot90(pixels, turns), np.uint8), format="rgb24")


def _check_start(container: InputContainer, stream: Stream, source: Path) -> None:
    """That something comes out of it: a header alone promises nothing."""
    if next(container.decode(stream), None) is None:
        raise UnreadableMediaError(f"{source.name}: holds nothing to play.")


def _check_pixels(width: int, height: int, source: Path, limits: Limits) -> None:
    if width * height > limits.video_pixels:
        raise MediaLimitError(f"{source.name}: frames of {width} x {height} pixels (Limits.video_pixels).")


def _check_seconds(container: InputContainer, source: Path, most: int) -> None:
    if (container.duration or 0) / av.time_base > most:
        raise MediaLimitError(f"{source.name}: longer than {most:,} s.")


def _demuxer(container: InputContainer, source: Path) -> str:
    """One name for each kind of file. FFmpeg's name for Matroska is also that for WebM, which says so itself."""
    name = container.format.name
    if "matroska" in name:
        with source.open("rb") as file:
            return "webm" if b"webm" in file.read(64) else "matroska"
    return "mp4" if "mp4" in name else name


if __name__ == "__main__":
    main(sys.argv[1])
