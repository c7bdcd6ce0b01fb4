"""A source and a benchmark with planted copies, overlaps, contradictions and damage, all counted by hand."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from omnireward.media import encode
from omnireward.sample_rows import write_samples
from omnireward.types import Comparison, Media, Preference, Sample, Task, Text, Turn

Pixels = npt.NDArray[np.uint8]
POEM = "Please write a short poem about a lighthouse keeper who collects the shadows of ships"
HOUSE = "Explain in simple words how a heat pump warms a house when it is cold outside"
LONG = "A heat pump moves warmth from the cold air outside to the rooms inside, as a refrigerator does the other way."
SHORT = "It moves warmth from outside to inside with little power."


def picture(seed: int) -> Pixels:
    """Noise scaled up: much on it, like a photograph. (96, 128, 3)."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(noise).resize((128, 96), Image.Resampling.BICUBIC))


def jpeg(pixels: Pixels) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=50)
    return buffer.getvalue()


def small(pixels: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((64, 48)))


def text(name: str, prompt: str, a: str, b: str, preference: Preference, criterion: str = "") -> Sample:
    comparison = Comparison((Turn("user", (Text(prompt),)),), (Text(a),), (Text(b),), criterion)
    return Sample(name, Task.T2T, comparison, preference, prompt, ("words",))


def image(name: str, prompt: str, a: bytes, b: bytes, preference: Preference = "a") -> Sample:
    comparison = Comparison((Turn("user", (Text(prompt),)),), (Media("image", a),), (Media("image", b),))
    return Sample(name, Task.T2I, comparison, preference, prompt, ("pictures",))


def planted() -> Iterator[Sample]:
    """10 samples; see the tests for what is in them."""
    yield text("poem", POEM, "Keeper of shadows, he counts the keels.", "Ships pass. He sees them and smiles.", "a")
    yield text("poem shouted", POEM.upper() + "!", "Grey, the shadows lean on the lamp.", "One two three four.", "b")
    yield text("poem edited", POEM.replace("short", "brief"), "So many hulls, so little light.", "Nothing.", "tie")
    yield text("house", HOUSE, LONG, SHORT, "a", "Be complete.")
    yield text("house swapped", HOUSE, SHORT, LONG, "a", "be complete")  # contradicts the one before
    yield text("house again", HOUSE, SHORT, LONG, "b", "Be complete.")  # repeats the first
    yield text("house, other criterion", HOUSE, SHORT, LONG, "a", "Be short.")  # no contradiction
    yield text("one response", "Say whether this is a real question, yes or no, please", "Yes.", "yes", "a")
    yield image("pictures", "a harbour at dawn", encode.png(picture(0)), encode.png(picture(1)))
    yield image("pictures, smaller", "a pier at night", jpeg(small(picture(0))), encode.png(picture(2)), "b")


def of_benchmark() -> Iterator[Sample]:
    """4 samples that share: a prompt, by other case; a response; a picture, re-encoded; and nothing."""
    yield text("bench poem", POEM.lower(), "Lamp and salt, and the names of boats.", "I do not write poems today.", "a")
    yield text("bench house", "How do heat pumps work?", LONG.replace(",", ""), "They pump heat.", "b")
    yield image("bench pictures", "a street", jpeg(picture(2)), encode.png(picture(3)))
    yield text("bench other", "Count to three in words, without any number", "One, two, three.", "1 2 3", "a")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_samples(planted(), tmp_path / "source")
    return tmp_path / "source"


@pytest.fixture
def benchmark(tmp_path: Path) -> Path:
    write_samples(of_benchmark(), tmp_path / "benchmark")
    return tmp_path / "benchmark"


def renamed(sample: Sample, name: str) -> Sample:
    return replace(sample, id=name)
