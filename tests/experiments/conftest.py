"""Tiny experiments: one task without media, a few steps, nothing taught; and runs that are written by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from omnireward.experiments import jobs
from omnireward.experiments.child import do
from omnireward.experiments.plan import Plan, folder_of

WORLD = "miniature:prompts=3,tasks=T2T"
TINY: dict[str, Any] = {
    "title": "A little one",
    "question": "Does it run?",
    "recipe": "nothing_taught.yaml",
    "arms": {"all": {}, "other": {"learning_rate": 0.01}, "untrained": {"untrained": True}},
    "tests": {"small": WORLD},
    "figures": {"overall": {"mean": "samples"}},
}
RECIPE = {
    "verb": "train",
    "model": "tiny:text",
    "datasets": {WORLD: 1.0},
    "batch_size": 4,
    "accumulation": 1,
    "steps": 2,
    "learning_rate": 1e-3,
}
WriteExperiment = Callable[..., Path]
JudgeByHand = Callable[..., None]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which a test runs; it holds the recipe."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nothing_taught.yaml").write_text(yaml.safe_dump(RECIPE))
    return tmp_path


@pytest.fixture
def write_experiment(place: Path) -> WriteExperiment:
    """Writes an experiment's file: the tiny one with changes; a change to None leaves a key out."""

    def write(name: str = "little", /, **changes: Any) -> Path:
        values = {key: value for key, value in (TINY | changes).items() if value is not None}
        path = place / f"{name}.yaml"
        path.write_text(yaml.safe_dump(values, sort_keys=False))
        return path

    return write


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Jobs are done in this process, which has loaded torch already; the list says which."""
    done: list[str] = []

    def work(todo: Sequence[jobs.Job], beside: int, ended: Callable[[], None] = lambda: None) -> None:
        for job in todo:
            do(json.loads(json.dumps(job.told)))
            done.append(job.said)
            ended()

    monkeypatch.setattr("omnireward.experiments.run.work", work)
    return done


@pytest.fixture
def judge_by_hand() -> JudgeByHand:
    """Writes what the runs of a plan judged, without training: for each arm how many of the samples are right."""

    def write(plan: Plan, right: Mapping[str, float], samples: int = 40, **more: Any) -> None:
        for arm, runs in plan.runs.items():
            for seed, run in runs.items():
                for place in plan.experiment.tests.values():
                    lines = [_line(n, n < right[arm] * samples, seed, **more) for n in range(samples)]
                    folder = run.folder / folder_of(place)
                    folder.mkdir(parents=True)
                    (folder / "judgements.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
                    told = {"judge": "reward:run", "benchmark": place, "command": "", "seed": 0, "samples": samples}
                    settings = {"settings": {"order": "fixed", "repeats": 1}, "bad_rows": []}
                    (folder / "run.json").write_text(json.dumps(told | settings))

    return write


def _line(number: int, right: bool, seed: int, **more: Any) -> dict[str, Any]:
    preference = "ab"[number % 2]
    sign = 1 if (preference == "a") == right else -1
    groups = ["invariant" if number % 4 < 2 else "shifted"]
    return {
        "key": str(number),
        "index": number,
        "id": f"s{number}",
        "task": ("T2T", "T2I")[number % 2],
        "cluster": f"p{number // 2}",
        "groups": groups,
        "preference": preference,
        "margin": sign * (1 + number / 100 + seed),
        "criterion_words": number % 3,
        **more,
    }
