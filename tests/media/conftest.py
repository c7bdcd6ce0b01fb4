"""Videos, sounds and meshes made on the fly, each with a known content."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
import pytest

Frames = npt.NDArray[np.uint8]
MakeVideo = Callable[..., bytes]


@pytest.fixture(scope="session")
def noise_frames() -> Frames:
    """(48, 64, 80, 3): a square that moves over changing noise, so that no two frames are alike."""
    rng = np.random.default_rng(7)
    frames = rng.integers(0, 90, (48, 64, 80, 3), dtype=np.uint8)
    for i, frame in enumerate(frames):
        frame[20:40, i : i + 20] = (255, 5 * i, 255 - 5 * i)
    return frames


@pytest.fixture(scope="session")
def make_video() -> MakeVideo:
    """`make(frames, times, ...)`: a video whose frame i is shown at times[i] / 90000 s."""

    def make(
        frames: Frames,
        times: list[int],
        *,
        container: str = "mp4",
        codec: str = "libx264",
        options: dict[str, str] | None = None,
        pix_fmt: str = "yuv420p",
        tone: bool = False,
    ) -> bytes:
        buffer = io.BytesIO()
        with av.open(buffer, "w", format=container) as out:
            stream = out.add_stream(codec, rate=30, options=options or {})
            assert isinstance(stream, av.VideoStream)
            stream.height, stream.width, stream.pix_fmt = *frames.shape[1:3], pix_fmt
            stream.codec_context.time_base = Fraction(1, 90_000) if codec != "mpeg4" else Fraction(1, 30)
            sound = out.add_stream("aac", rate=44_100) if tone else None
            for picture, time in zip(frames, times, strict=True):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.time_base = Fraction(1, 90_000)
                frame.pts = time
                out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
            if sound is not None:
                wave = (0.5 * np.sin(2 * np.pi * 440 * np.arange(44_100) / 44_100)).astype(np.float32)
                heard = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
                heard.sample_rate = 44_100
                out.mux(sound.encode(heard))
                out.mux(sound.encode(None))
        return buffer.getvalue()

    return make
