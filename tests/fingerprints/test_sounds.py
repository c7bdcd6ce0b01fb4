"""Hashes of sounds: coded, quieter, late and different."""

from __future__ import annotations

import io
from collections.abc import Callable

import av
import numpy as np
import numpy.typing as npt
import pytest

from omnireward.fingerprints import NEAR, distance
from omnireward.fingerprints.sounds import WINDOW, WINDOWS, sound_hashes
from omnireward.media import decode
from omnireward.types import Media

RATE = 16_000
Samples = npt.NDArray[np.float32]


def babble(seed: int, seconds: float = 4.5) -> Samples:
    """Syllables of random pitch, colour, length and strength, with pauses, like speech."""
    rng = np.random.default_rng(seed)
    pieces: list[npt.NDArray[np.float64]] = []
    while sum(map(len, pieces)) < seconds * RATE:
        time = np.arange(int(rng.uniform(0.08, 0.4) * RATE)) / RATE
        pitch, centre = rng.uniform(90, 300), rng.uniform(300, 3_000)
        tones = np.arange(1, 30) * pitch
        strength = np.exp(-(((tones - centre) / 600) ** 2)) + 0.02
        piece = (strength[:, None] * np.sin(2 * np.pi * tones[:, None] * time)).sum(axis=0)
        pieces += [piece * np.hanning(len(time)) * rng.uniform(0.3, 1), np.zeros(int(rng.uniform(0, 0.1) * RATE))]
    whole = np.concatenate(pieces)[: int(seconds * RATE)]
    return np.asarray(0.5 * whole / np.abs(whole).max(), np.float32)


def coded(samples: Samples, form: str, codec: str) -> Samples:
    """Through a lossy codec at 32 kbit/s and back."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=form) as container:
        stream = container.add_stream(codec, rate=RATE)
        assert isinstance(stream, av.AudioStream)
        stream.bit_rate, stream.layout = 32_000, "mono"
        frame = av.AudioFrame.from_ndarray(samples[None], format="fltp", layout="mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    decoded: Samples = decode(Media("audio", buffer.getvalue()))
    return decoded


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda s: coded(s, "mp3", "libmp3lame"), id="mp3"),
        pytest.param(lambda s: coded(s, "mp4", "aac"), id="aac"),
        pytest.param(lambda s: (s * 0.2).astype(np.float32), id="quieter"),
        pytest.param(lambda s: np.concatenate([np.zeros(RATE // 3, np.float32), s]), id="later"),
        pytest.param(
            lambda s: (s + np.random.default_rng(0).normal(0, 0.002, len(s))).astype(np.float32), id="with-noise"
        ),
    ],
)
def test_a_copy_is_near(change: Callable[[Samples], Samples]) -> None:
    for seed in range(6):
        sound = babble(seed)
        (one,), (other,) = sound_hashes(sound, RATE), sound_hashes(change(sound), RATE)
        assert distance(one, other) <= NEAR["audio"]


def test_different_sounds_are_far() -> None:
    hashes = [sound_hashes(babble(seed), RATE)[0] for seed in range(20)]
    distances = [distance(a, b) for i, a in enumerate(hashes) for b in hashes[:i]]
    assert min(distances) > NEAR["audio"]
    assert 28 < np.mean(distances) < 36


@pytest.mark.parametrize(
    ("seconds", "count"), [(0.3, 0), (0.6, 1), (4.0, 1), (7.9, 1), (8.1, 2), (WINDOW * WINDOWS + 30, WINDOWS)]
)
def test_one_hash_for_each_window(seconds: float, count: int) -> None:
    tone = np.sin(np.arange(int(seconds * RATE)) * 0.3).astype(np.float32)
    assert len(sound_hashes(tone, RATE)) == count


def test_silence_has_none() -> None:
    assert sound_hashes(np.zeros(0, np.float32), RATE) == ()
    assert sound_hashes(np.zeros(10 * RATE, np.float32), RATE) == ()
    assert sound_hashes(np.full(10 * RATE, 1e-5, np.float32), RATE) == ()
    # Sound, then silence: the window of silence has none.
    assert len(sound_hashes(np.concatenate([babble(0, 4.0), np.zeros(4 * RATE, np.float32)]), RATE)) == 1
