"""Values to flags and back is the identity, and a wrong key is answered with the nearest right one."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnireward.errors import RecipeError
from omnireward.flags import from_flags, to_flags


@dataclass(frozen=True)
class Inner:
    """Nested."""

    rate: float = 0.5
    """Rate."""
    use_bias: bool = True
    """Bias."""


@dataclass(frozen=True)
class Config:
    """All kinds of field that configs here have."""

    out: Path
    """Folder."""
    data: dict[str, float] = field(default_factory=lambda: {"miniature": 1.0})
    """Weights."""
    tasks: tuple[str, ...] = ("T2T",)
    """Tasks."""
    limit: int | None = 3
    """Limit."""
    skip_rows: bool = False
    """Skip."""
    layout: Literal["paper", "natural"] = "paper"
    """Layout."""
    inner: Inner = Inner()
    """More."""


def _read(flags: list[str]) -> Config:
    return from_flags(Config, flags, "test", "")


WORDS = st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8)
VALUES = st.fixed_dictionaries(
    {"out": WORDS},
    optional={
        "data": st.dictionaries(WORDS, st.floats(0, 100), max_size=3),
        "tasks": st.lists(WORDS, max_size=3),
        "limit": st.none() | st.integers(-5, 5),
        "skip_rows": st.booleans(),
        "layout": st.sampled_from(["paper", "natural"]),
        "inner": st.fixed_dictionaries({}, optional={"rate": st.floats(-1, 1), "use_bias": st.booleans()}),
    },
)


@given(VALUES)
def test_there_and_back(values: dict[str, Any]) -> None:
    read = _read(to_flags(values, Config))
    plain = asdict(read) | {"out": str(read.out), "tasks": list(read.tasks)}
    inner = asdict(Inner()) | values.get("inner", {})
    defaults = asdict(Config(Path("x"))) | {"tasks": ["T2T"]}
    assert plain == defaults | values | {"inner": inner}


def test_a_flag_given_twice_counts_the_last_time() -> None:
    """That is what lets typed flags override a recipe's, whatever their type."""
    flags = to_flags({"out": "a", "data": {"x": 1.0}, "tasks": ["p", "q"], "limit": 4, "skip_rows": True}, Config)
    typed = to_flags({"out": "b", "data": {"y": 2.0}, "tasks": ["r"], "limit": None, "skip_rows": False}, Config)
    read = _read([*flags, *typed])
    assert read == Config(out=Path("b"), data={"y": 2.0}, tasks=("r",), limit=None, skip_rows=False)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"limt": 3}, "unknown key 'limt'. Did you mean limit"),
        ({"inner": {"rat": 3}}, "unknown key 'rat'. Did you mean rate"),
        ({"inner": 3}, "'inner' holds several settings"),
    ],
)
def test_wrong_keys_are_refused_with_advice(values: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        to_flags(values, Config)


@pytest.mark.parametrize("wrong", [["--data", "x"], ["--data", "x", "y"], ["--limit", "many"], ["--layout", "mine"]])
def test_wrong_values_end_with_code_2(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        _read(["--out", "x", *wrong])
    assert stopped.value.code == 2
    assert wrong[0] in capsys.readouterr().err
