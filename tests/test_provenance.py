"""What was run, in words that do not depend on where it was run."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

import pytest
import yaml

from omnireward import provenance


class Colour(Enum):
    RED = 1


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5
    bias: bool = True


@dataclass(frozen=True)
class Config:
    judge: str
    out: Path
    data: dict[str, float] = field(default_factory=lambda: {"miniature": 1.0})
    tasks: tuple[str, ...] = ()
    limit: int | None = None
    resume: bool = False
    inner: Inner = Inner()


def test_paths_inside_the_parent_of_the_output_are_relative_to_it(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    out = tmp_path / "report"
    assert provenance.portable(f"reward:{tmp_path}/run", out) == "reward:run"
    assert provenance.portable(str(tmp_path / "run"), out) == "run"
    assert provenance.portable(f"reward:{tmp_path}/gone", out) == f"reward:{tmp_path}/gone"
    assert provenance.portable(f"rlaif_v:{tmp_path}/run?margin=0.5&ties=no", out) == "rlaif_v:run?margin=0.5&ties=no"
    assert provenance.portable(f"{tmp_path}/run?split=test", out) == "run?split=test"


@pytest.mark.parametrize(
    "typed", ["longer", "miniature:prompts=4", "hub:OWNER/REPO@main", "gone?split=x", "reward:/", "", "/usr"]
)
def test_all_else_is_left_as_typed(typed: str, tmp_path: Path) -> None:
    assert provenance.portable(typed, tmp_path / "deep" / "report") == typed


def test_paths_relative_to_the_working_folder_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out" / "run").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert provenance.portable("reward:out/run", Path("out/report")) == "reward:run"


def test_the_command_names_what_differs_from_the_defaults(tmp_path: Path) -> None:
    out = tmp_path / "report"
    (tmp_path / "my data").mkdir()
    data = {"miniature": 1.0, str(tmp_path / "my data"): 0.5}
    config = Config("longer", out, data=data, tasks=("T2T", "T2I"), resume=True, inner=Inner(bias=False))
    assert provenance.command("train", config, out) == (
        "omnireward train --judge longer --out report --data miniature 1.0 'my data' 0.5 --tasks T2T T2I "
        "--resume --inner.no-bias"
    )
    assert provenance.command("train", Config("longer", out), out) == "omnireward train --judge longer --out report"


def test_the_saved_config_holds_every_field_and_is_the_same_elsewhere(tmp_path: Path) -> None:
    texts = []
    for place in ("one", "two"):
        out = tmp_path / place / "report"
        (tmp_path / place / "run").mkdir(parents=True)
        provenance.save_config("train", Config(f"reward:{tmp_path}/{place}/run", out), out)
        texts.append((out / "config.yaml").read_text())
    assert texts[0] == texts[1]
    assert yaml.safe_load(texts[0]) == {
        "verb": "train",
        "judge": "reward:run",
        "out": "report",
        "data": {"miniature": 1.0},
        "tasks": [],
        "limit": None,
        "resume": False,
        "inner": {"rate": 0.5, "bias": True},
    }


def test_what_a_recipe_cannot_hold_is_refused(tmp_path: Path) -> None:
    assert provenance.plain(Colour.RED, tmp_path) == "RED"
    with pytest.raises(TypeError, match="cannot hold a set"):
        provenance.plain({1, 2}, tmp_path)
    with pytest.raises(TypeError, match="a config is a dataclass"):
        provenance.command("train", {"out": tmp_path}, tmp_path)
