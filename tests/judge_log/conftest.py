"""Small samples and groups, and pages as elements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from omnireward.judge_log import RolloutAnswer, RolloutGroup
from omnireward.media import encode
from omnireward.types import Comparison, Media, Sample, Task, Text, Turn

MakeGroup = Callable[..., RolloutGroup]


@pytest.fixture
def answer() -> RolloutAnswer:
    return RolloutAnswer(
        swapped=False,
        preference="a",
        text="A is redder.\nVERDICT: A",
        tokens=7,
        cut_off=False,
        fault="",
        verdict="a",
        reward=1.0,
        parts={"accuracy": 1.0, "format": 1.0},
        advantage=0.5,
    )


@pytest.fixture
def group(answer: RolloutAnswer) -> RolloutGroup:
    """The second answer was asked with b first, where people's a is b, and says a: wrong, and it means b."""
    wrong = replace(answer, swapped=True, preference="b", reward=0.1, parts={"accuracy": 0.0}, advantage=-0.5)
    return RolloutGroup(3, "one", "T2I", "The redder one.", (answer, wrong))


@pytest.fixture
def sample() -> Sample:
    red, blue = (
        Media("image", encode.png(np.full((12, 12, 3), colour, np.uint8))) for colour in ((200, 0, 0), (0, 0, 200))
    )
    drawn = Comparison((Turn("user", (Text("Draw."),)),), (red,), (blue,), "The redder one.")
    return Sample("one", Task.T2I, drawn, "a", "c")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "run"
