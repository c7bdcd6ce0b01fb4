from __future__ import annotations

import io
import struct
from collections.abc import Callable

import av
import numpy as np
import numpy.typing as npt
import pytest

from omnireward.errors import MediaLimitError, UnreadableMediaError
from omnireward.media import DecodeOptions, Limits, decode, encode
from omnireward.types import Media

RATE = 16_000


def tone(rate: int, seconds: float = 1.0, hertz: float = 440.0) -> npt.NDArray[np.float32]:
    moments = np.arange(int(rate * seconds)) / rate
    return (0.5 * np.sin(2 * np.pi * hertz * moments)).astype(np.float32)


def compressed(samples: npt.NDArray[np.float32], rate: int, container: str, codec: str, layout: str = "mono") -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        planar = av.AudioFrame.from_ndarray(np.atleast_2d(samples), format="fltp", layout=layout)
        planar.sample_rate = rate
        resampler = av.AudioResampler(
            format=stream.codec_context.format,
            layout=layout,
            rate=rate,
            frame_size=stream.codec_context.frame_size or 1024,
        )
        for frame in [*resampler.resample(planar), *resampler.resample(None)]:
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return buffer.getvalue()


def loudest_frequency(samples: npt.NDArray[np.float32]) -> float:
    middle = samples[len(samples) // 4 : -len(samples) // 4]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    return float(np.argmax(spectrum) * RATE / len(middle))


def test_wav_at_our_rate_is_exact() -> None:
    samples = tone(RATE)
    decoded = decode(Media("audio", encode.wav(samples, RATE)))
    assert decoded.dtype == np.float32
    np.testing.assert_allclose(decoded, samples, atol=0.5 / 32768 + 1e-7)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_any_rate_keeps_pitch_length_and_loudness(rate: int) -> None:
    decoded = decode(Media("audio", encode.wav(tone(rate), rate)))
    assert abs(len(decoded) - RATE) <= 40  # the resampler's last ms are flushed
    assert abs(loudest_frequency(decoded) - 440) < 3
    assert np.abs(decoded).max() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(
    ("container", "codec", "rate"),
    [
        ("flac", "flac", 44_100),
        ("mp3", "libmp3lame", 44_100),
        ("ogg", "libopus", 48_000),
        ("ogg", "libvorbis", 44_100),
        ("ipod", "aac", 44_100),
        ("webm", "libopus", 48_000),
    ],
)
def test_formats(container: str, codec: str, rate: int) -> None:
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec} encoder to make the file with")
    decoded = decode(Media("audio", compressed(tone(rate), rate, container, codec)))
    assert abs(len(decoded) - RATE) < 1_500  # encoders pad by a frame or two
    assert abs(loudest_frequency(decoded) - 440) < 3
    assert np.abs(decoded).max() <= 1


def test_stereo_is_averaged() -> None:
    left = tone(RATE)
    decoded = decode(Media("audio", encode.wav(np.stack([left, np.zeros_like(left)], axis=1), RATE)))
    np.testing.assert_allclose(decoded, left / 2, atol=1e-4)


def test_equal_channels_do_not_clip() -> None:
    loud = 2 * tone(RATE) * np.float32(0.99)
    decoded = decode(Media("audio", encode.wav(np.stack([loud, loud], axis=1), RATE)))
    np.testing.assert_allclose(decoded, loud, atol=1e-4)


def test_surround() -> None:
    six = np.zeros((RATE, 6), np.float32)
    six[:, 2] = tone(RATE)  # the centre, where voices are
    assert abs(loudest_frequency(decode(Media("audio", encode.wav(six, RATE)))) - 440) < 3


def test_sound_track_of_a_video(make_video: Callable[..., bytes]) -> None:
    data = make_video(np.zeros((10, 64, 64, 3), np.uint8), [9_000 * i for i in range(10)], tone=True)
    decoded = decode(Media("audio", data))
    assert abs(len(decoded) - RATE) < 1_500
    assert abs(loudest_frequency(decoded) - 440) < 3


def test_other_rates_can_be_asked_for() -> None:
    decoded = decode(Media("audio", encode.wav(tone(RATE), RATE)), DecodeOptions(sample_rate=24_000))
    assert abs(len(decoded) - 24_000) <= 40


def test_values_beyond_one_are_clipped() -> None:
    decoded = decode(Media("audio", float_wav(np.array([0.5, 3.0, -7.0] * 100, np.float32))))
    assert decoded.min() == -1
    assert decoded.max() == 1


def test_samples_that_are_not_numbers() -> None:
    with pytest.raises(UnreadableMediaError, match="not numbers"):
        decode(Media("audio", float_wav(np.array([0.0, np.nan] * 100, np.float32))))


def test_empty_wav() -> None:
    with pytest.raises(UnreadableMediaError):
        decode(Media("audio", encode.wav(np.empty(0, np.float32), RATE)))


def test_a_small_file_of_long_silence_is_stopped() -> None:
    data = compressed(np.zeros(30 * 48_000, np.float32), 48_000, "ogg", "libopus")
    assert len(data) < 20_000
    with pytest.raises(MediaLimitError, match="longer than 10 s"):
        decode(Media("audio", data), limits=Limits(audio_seconds=10))


def test_a_video_without_sound(make_video: Callable[..., bytes]) -> None:
    with pytest.raises(UnreadableMediaError, match="has no sound"):
        decode(Media("audio", make_video(np.zeros((3, 64, 64, 3), np.uint8), [0, 3_000, 6_000])))


def test_noise_is_no_sound_file() -> None:
    with pytest.raises(UnreadableMediaError):
        decode(Media("audio", np.random.default_rng(0).bytes(5_000)))


def float_wav(samples: npt.NDArray[np.float32]) -> bytes:
    """32-bit float WAV (format 3), mono at our rate."""
    data = samples.astype("<f4").tobytes()
    head = struct.pack("<4sIHHIIHH", b"fmt ", 16, 3, 1, RATE, RATE * 4, 4, 32)
    body = b"WAVE" + head + b"data" + struct.pack("<I", len(data)) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body
