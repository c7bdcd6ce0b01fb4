"""What GRPO gives a judge after its warm start, and what asking in both orders does to its liking for the first place.

Run from the project's root, with nothing else running:
OMP_NUM_THREADS=1 python -m perf.judge_learning --out out/judge_learning

A tiny judge learns from critiques whose verdicts were drawn without looking (recipe `miniature_sft`), and then from
rewards alone (`miniature_r1`), once with each group asked in both orders and once with the responses as the data have
them. Data that put the preferred response first half of the time hide a liking for it; so a third and a fourth training
are given data in which it comes first in nine of ten samples, as in sources that list the chosen response first.
Everything is judged on the test split, whose prompts and media are new, in both orders. In brackets: 95 % intervals,
clustered by prompt, of the first seed; where there are several seeds, the lowest and highest mean follow.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro
from perf._judge_runs import TASKS, Figures, judged, trained, warm

from omnireward.miniature.world import World, samples
from omnireward.sample_rows import FILE, write_samples
from omnireward.types import Preference, Sample

FIRST_PREFERRED = 10  # one sample in so many has the preferred response second


@dataclass(frozen=True)
class LearningConfig:
    """How often."""

    out: Path = Path("out/judge_learning")
    """Folder for runs and reports; what is there already is not made again."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of training: the order of the questions and what is drawn."""
    steps: int = 280
    """Of GRPO."""


def preferred_first(world: World) -> Iterator[Sample]:
    """Training samples with the preferred response first, in nine of ten of those that are not tied."""
    for number, sample in enumerate(samples(world, "train")):
        wanted: Preference = "b" if number % FIRST_PREFERRED == 0 else "a"
        if sample.preference in ("tie", wanted):
            yield sample
        else:
            yield replace(sample, comparison=sample.comparison.swap(), preference=wanted)


def main() -> None:
    config = tyro.cli(LearningConfig)
    tasks = TASKS
    began = time.monotonic()
    judge = warm(config.out / "warm")
    print(f"warm start: {time.monotonic() - began:.0f} s\n", flush=True)
    leaning = config.out / "preferred_first"
    if not (leaning / FILE).is_file():
        write_samples(
            preferred_first(World(prompts=20, tasks="+".join(TASKS), asks="polite+light+loudness", directions="more")),
            leaning,
        )
    ways: dict[str, dict[str, Any]] = {
        "both orders": {"orders": "both"},
        "as given": {"orders": "given"},
        "preferred first in 9 of 10, both orders": {"orders": "both", "datasets": {str(leaning): 1.0}},
        "preferred first in 9 of 10, as given": {"orders": "given", "datasets": {str(leaning): 1.0}},
    }
    columns = (*tasks, "mean", "with ties", "have a verdict", "first-slot bias")
    print("| judge " + "".join(f"| {name} " for name in columns) + "|\n|---" + "|--:" * len(columns) + "|")
    before = judged(judge)
    print(_row("after the warm start", [before], tasks), flush=True)
    gains = {}
    for name, changed in ways.items():
        found, seconds = [], []
        for seed in config.seeds if name == "both orders" else config.seeds[:1]:
            began = time.monotonic()
            run = trained(
                config.out / name.replace(" ", "_").replace(",", "") / str(seed),
                judge,
                seed=seed,
                steps=config.steps,
                **changed,
            )
            seconds.append(time.monotonic() - began)
            found.append(judged(run))
        print(_row(name, found, tasks), flush=True)
        gains[name] = {
            "gain_points": {
                task: round(min(one.tasks[task][0] for one in found) - before.tasks[task][0], 1) for task in tasks
            },
            "seconds": [round(each) for each in seconds],
        }
    print("\n" + json.dumps(gains, indent=1))


def _row(name: str, found: list[Figures], tasks: tuple[str, ...]) -> str:
    cells = [_cell([one.tasks[task] for one in found]) for task in tasks]
    cells += [_cell([one.mean for one in found])]
    cells += [" / ".join(f"{one.with_ties:.1f}" for one in found), " / ".join(f"{one.verdicts:.1f}" for one in found)]
    value, low, high = found[0].bias
    cells += [f"{value:+.3f} [{low:+.3f}, {high:+.3f}]" + "".join(f", {one.bias[0]:+.3f}" for one in found[1:])]
    return f"| {name} | " + " | ".join(cells) + " |"


def _cell(values: list[tuple[float, float, float]]) -> str:
    value, low, high = values[0]
    means = [each[0] for each in values]
    more = f" ({min(means):.1f} to {max(means):.1f})" if len(means) > 1 else ""
    return f"{value:.1f} [{low:.1f}, {high:.1f}]{more}"


if __name__ == "__main__":
    main()
