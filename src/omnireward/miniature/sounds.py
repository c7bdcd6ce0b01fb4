"""Sounds: a few beeps of one pitch and tone colour, with hiss under them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from omnireward.media.encode import wav
from omnireward.miniature.items import Item, level, one_of
from omnireward.types import Media

RATE = 16_000  # Hz
PITCHES = {"low": 220.0, "middle": 660.0, "high": 1980.0}  # Hz
TIMBRES = ("pure", "harsh")
COUNTS = ("one", "two", "three")


@dataclass(frozen=True, slots=True)
class Sound:
    """What is heard. Values without a unit are in [0, 1]; `jitter` seeds the hiss."""

    pitch: str
    timbre: str
    beeps: int
    loudness: float
    length: float
    hiss: float
    glide: float
    jitter: int


def draw_sound(rng: np.random.Generator) -> Sound:
    """A sound with every attribute drawn at random."""
    return Sound(
        pitch=one_of(rng, list(PITCHES)),
        timbre=one_of(rng, TIMBRES),
        beeps=1 + int(rng.integers(3)),
        loudness=level(rng, 2),
        length=level(rng, 2),
        hiss=level(rng, 2),
        glide=level(rng, 3),
        jitter=int(rng.integers(2**31)),
    )


def samples(s: Sound) -> npt.NDArray[np.float32]:
    """The sound as float32 (samples,) at RATE: one beep starts every 0.3 seconds."""
    t = np.arange(round(0.9 * RATE)) / RATE
    since = t % 0.3  # seconds since the newest beep began
    hertz = PITCHES[s.pitch] * 2 ** ((s.glide - 0.5) * since / 0.3)
    phase = 2 * np.pi * np.cumsum(hertz) / RATE
    tone = np.sin(phase) if s.timbre == "pure" else np.sign(np.sin(phase)) * 0.7
    gate = (since < 0.06 + 0.18 * s.length) & (t < 0.3 * s.beeps)
    hiss = np.random.default_rng(s.jitter).normal(0, 0.002 + 0.06 * s.hiss, t.shape)
    return np.clip(tone * gate * (0.05 + 0.6 * s.loudness**2) + hiss, -1, 1).astype(np.float32)


def sound_labels(s: Sound) -> dict[str, float]:
    """What a tower can be taught to hear."""
    return {
        **{f"pitch {name}": float(name == s.pitch) for name in PITCHES},
        "harsh": float(s.timbre == "harsh"),
        **{f"beeps {name}": float(i + 1 == s.beeps) for i, name in enumerate(COUNTS)},
        "loudness": s.loudness,
        "length": s.length,
        "hiss": s.hiss,
        "glide": s.glide,
    }


def sound_item(s: Sound, wanted_pitch: str | None = None) -> Item:
    """A sound as an item; `wanted_pitch` is what the prompt asked for, if it asked."""
    truth = {
        "pitch": list(PITCHES).index(s.pitch) / 2,
        "harsh": float(s.timbre == "harsh"),
        "beeps": (s.beeps - 1) / 2,
        "loudness": s.loudness,
        "hiss": s.hiss,
        "glide": s.glide,
    }
    if wanted_pitch is not None:
        truth["match"] = float(s.pitch == wanted_pitch)
        truth["general"] = (truth["match"] + 2 * (1 - s.hiss)) / 3
    return Item(Media("audio", wav(samples(s), RATE)), truth, sound_labels(s))
