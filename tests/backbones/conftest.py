"""Made-up media and a tiny MiniCPM-o that decodes nothing: a medium's bytes are a key into a table of arrays."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from omnireward.backbones.minicpm_o import MiniCPMO, tiny
from omnireward.types import Media, MediaKind

WORDS = ["Which answer is better?", "a red dot on a white sheet", "The dot should be large.", "yes\nno\n\nmaybe", "été"]


class Gallery:
    """A fake decoder: `add` files an array under a fresh medium, calling it gives the array back."""

    def __init__(self) -> None:
        self._arrays: dict[bytes, NDArray[Any]] = {}

    def add(self, kind: MediaKind, array: NDArray[Any]) -> Media:
        key = f"medium {len(self._arrays)}".encode()
        self._arrays[key] = array
        return Media(kind, key)

    def __call__(self, media: Media) -> NDArray[Any]:
        assert isinstance(media.source, bytes)
        return self._arrays[media.source]


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def gallery() -> Gallery:
    return Gallery()


@pytest.fixture
def backbone(gallery: Gallery) -> MiniCPMO:
    model = tiny(WORDS * 40, seed=0)
    model.decode = gallery
    return model


@pytest.fixture
def picture() -> Callable[[int, int, int], NDArray[np.uint8]]:
    """Noise from a seed: (height, width, 3) uint8."""

    def make(height: int, width: int, seed: int) -> NDArray[np.uint8]:
        return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)

    return make


@pytest.fixture
def sound() -> Callable[[int, int], NDArray[np.float32]]:
    """Quiet noise from a seed: (samples,) float32."""

    def make(samples: int, seed: int) -> NDArray[np.float32]:
        return (np.random.default_rng(seed).standard_normal(samples) * 0.1).astype(np.float32)

    return make


@pytest.fixture
def golden() -> Path:
    """Values that the published code computed once from random weights."""
    folder = Path(__file__).resolve().parents[2] / ".." / "shared" / "golden"
    if not folder.exists():
        pytest.skip("the golden values are not beside this checkout")
    return folder
