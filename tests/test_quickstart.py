"""The one command, with a recipe of a few steps: what it leaves, and that the same seed leaves the same bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from omnireward import recipes
from omnireward.miniature.items import Split
from omnireward.miniature.lessons import Lesson, lessons
from omnireward.miniature.world import World, samples
from omnireward.quickstart import QuickstartConfig, quickstart
from omnireward.reward_model import RewardModel
from omnireward.types import PAPER_TASKS, Sample

pytestmark = pytest.mark.slow
REPORT = ("report.json", "report.csv", "report.html")


@pytest.fixture
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shipped recipe and world, made small: one pair for each task, two steps of each kind."""
    shipped = recipes.load
    small = {
        "datasets": {"miniature:prompts=1": 1.0},
        "teach_towers": 2,
        "teach_language": 2,
        "steps": 2,
        "batch_size": 4,
        "log_every": 1,
    }

    def load(name: str, config_class: type) -> dict[str, Any]:
        return shipped(name, config_class) | small

    def few_lessons(world: World) -> Iterator[Lesson]:
        return lessons(replace(world, prompts=1))

    def few_samples(world: World, split: Split) -> Iterator[Sample]:
        return samples(replace(world, prompts=1), split)

    monkeypatch.setattr(recipes, "load", load)
    monkeypatch.setattr("omnireward.train.base.lessons", few_lessons)
    monkeypatch.setattr("omnireward.benchmarks.miniature.samples", few_samples)


def _files(folder: Path, names: tuple[str, ...] = REPORT) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names}


@pytest.mark.usefixtures("_small")
def test_the_same_seed_leaves_the_same_bytes_in_another_folder(tmp_path: Path) -> None:
    """Weights and report; and a second run in a folder replaces the first."""
    one = quickstart(QuickstartConfig(out=tmp_path / "one"))
    first, weights = _files(one), (tmp_path / "one" / "run" / "model.safetensors").read_bytes()
    (one / "left over").touch()
    assert quickstart(QuickstartConfig(out=tmp_path / "one")) == one
    assert _files(one) == first
    assert not (one / "left over").exists()
    two = quickstart(QuickstartConfig(out=tmp_path / "two"))
    assert _files(two) == first
    assert (tmp_path / "two" / "run" / "model.safetensors").read_bytes() == weights


@pytest.mark.usefixtures("_small")
def test_it_leaves_a_checkpoint_and_a_report_on_nine_tasks(tmp_path: Path) -> None:
    folder = quickstart(QuickstartConfig(out=tmp_path, seed=1))
    assert folder == tmp_path / "report"
    report = json.loads((folder / "report.json").read_text())
    assert list(report["tasks"]) == [task.short for task in PAPER_TASKS]
    assert (report["samples"], report["failures"], report["without_verdict"]) == (27, 0, 0)
    assert report["benchmark"] == "miniature"
    assert report["judge"] == "reward:run"
    assert RewardModel.load(tmp_path / "run").layout == "natural"
    assert [json.loads(line)["step"] for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()][:2] == [
        1,
        2,
    ]
