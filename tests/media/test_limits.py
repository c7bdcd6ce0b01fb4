from __future__ import annotations

import pytest

from omnireward.errors import RecipeError
from omnireward.media import DecodeOptions, Limits


@pytest.mark.parametrize("name", ["frames", "views", "view_size", "sample_rate"])
@pytest.mark.parametrize("value", [0, -1, 1.5])
def test_options_are_counts(name: str, value: float) -> None:
    with pytest.raises(RecipeError, match=f"DecodeOptions.{name} .* is {value}"):
        DecodeOptions(**{name: value})  # type: ignore[arg-type]


def test_limits_are_counts_except_the_wall() -> None:
    assert Limits(wall_seconds=0.5).wall_seconds == 0.5
    with pytest.raises(RecipeError, match="wall_seconds"):
        Limits(wall_seconds=0)
    with pytest.raises(RecipeError, match="cpu_seconds"):
        Limits(cpu_seconds=0.5)  # type: ignore[arg-type]
