"""Arrays become PNG, WAV or MP4 bytes: for made-up media and for reports. The same array gives the same bytes."""

from __future__ import annotations

import io
import wave
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
from PIL import Image

# H.264 plays in every browser; MPEG-4 part 2 is in every FFmpeg.
_ENCODERS = {
    "libx264": {"preset": "veryfast", "crf": "18", "x264-params": "threads=1:lookahead-threads=1:bframes=0"},
    "mpeg4": {"qmin": "2", "qmax": "4"},
}
_JPEG_QUALITY = 90
_STRIP = 16  # rows


def png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Encode (height, width, 3) or (height, width) uint8 as PNG, without loss."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def compressed(pixels: npt.NDArray[np.uint8]) -> tuple[str, bytes]:
    """A picture (height, width, 3) as ``png`` or ``jpeg``, whichever is smaller, and the bytes."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)  # 0: coloured text stays legible
    kind, data = "jpeg", buffer.getvalue()
    if _may_be_smaller(pixels, len(data)) and len(exact := png(pixels)) <= len(data):
        kind, data = "png", exact
    return kind, data


def _may_be_smaller(pixels: npt.NDArray[np.uint8], size: int) -> bool:
    """Whether PNG can come near a size. A photograph takes 20 times as long as PNG than as JPEG: strips of it tell."""
    height = len(pixels)
    if height <= 4 * _STRIP:
        return True
    starts = np.linspace(0, height - _STRIP, 4, dtype=int)
    strips = np.concatenate([pixels[start : start + _STRIP] for start in starts])
    return len(png(strips)) * height / len(strips) < 1.5 * size


def wav(samples: npt.NDArray[np.float32], sample_rate: int) -> bytes:
    """Encode (samples,) or (samples, channels) float in [-1, 1] as 16-bit WAV; values outside are clipped.

    Args:
        samples: one value for each moment, or one for each channel.
        sample_rate: Hz.
    """
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    values = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2")  # FFmpeg reads 16 bits as n / 32768
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(channels)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(values.tobytes())
    return buffer.getvalue()


def mp4(frames: npt.NDArray[np.uint8], fps: int) -> bytes:
    """Encode (frames, height, width, 3) uint8 RGB as MP4, without sound; nearly without visible loss.

    Raises:
        ValueError: no frame, or an odd height or width, which 4:2:0 colour cannot express.
    """
    count, height, width, _ = frames.shape
    if count == 0 or height % 2 or width % 2:
        raise ValueError(f"mp4 needs at least one frame of even height and width; got {frames.shape}.")
    encoder = next(name for name in _ENCODERS if name in av.codecs_available)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream(encoder, rate=fps, options=_ENCODERS[encoder])
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1  # slices of threads would change the bytes
        stream.codec_context.time_base = Fraction(1, fps)
        for picture in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return buffer.getvalue()
