"""How a judge trained by GRPO scales with its data (the paper's open question): 1, 3, 10, 30 and 100 % of the prompts.

Run from the project's root, with nothing else running:
OMP_NUM_THREADS=1 python -m perf.judge_scaling --out out/judge_scaling --plot docs/images/judge_scaling.png

All trainings begin with one judge after its warm start (recipe `miniature_sft`) and take as many steps of as many
questions (`miniature_r1`); only how many different prompts those are about differs. A smaller share is a part of a
larger one. Judged on the test split in both orders; intervals are over the seeds (t, 95 %), or
with one seed over its answers, clustered by prompt.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import tyro
from perf._judge_runs import TASKS, Figures, judged, trained, warm

mpl.use("Agg")
from matplotlib import pyplot

SHARES = (0.01, 0.03, 0.1, 0.3, 1.0)
Value = tuple[float, float, float]
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # 97.5 % points, by the number of seeds


@dataclass(frozen=True)
class ScalingConfig:
    """How long and how often."""

    out: Path = Path("out/judge_scaling")
    """Folder for runs and reports; what is there already is not made again."""
    plot: Path = Path("out/judge_scaling/scaling.png")
    """Picture to write."""
    warm: Path | None = None
    """A judge after its warm start; made here by default."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of training: the order of the questions and what is drawn."""
    steps: int = 160
    """Of each training."""


def main() -> None:
    config = tyro.cli(ScalingConfig)
    tasks = TASKS
    judge = config.warm or warm(config.out / "warm")
    before = judged(judge)
    print(
        "| share of the prompts "
        + "".join(f"| {name} " for name in (*tasks, "mean"))
        + "|\n|---"
        + "|--:" * (len(tasks) + 1)
        + "|"
    )
    print(_row("0 (warm start)", [before], tasks), flush=True)
    found: dict[float, list[Figures]] = {}
    for share in SHARES:
        runs = [
            trained(config.out / f"{share:g}" / str(seed), judge, seed=seed, share=share, steps=config.steps)
            for seed in config.seeds
        ]
        found[share] = [judged(run) for run in runs]
        print(_row(f"{share:.0%}", found[share], tasks), flush=True)
    _draw(before, found, tasks, config.plot)


def _row(name: str, found: list[Figures], tasks: tuple[str, ...]) -> str:
    cells = [_cell([one.tasks[task] for one in found]) for task in tasks] + [_cell([one.mean for one in found])]
    return f"| {name} | " + " | ".join(cells) + " |"


def _cell(values: list[Value]) -> str:
    mean, low, high = _interval(values)
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]"


def _interval(values: list[Value]) -> Value:
    """Mean and 95 % interval: over the seeds, or of one seed's answers, clustered by prompt."""
    if len(values) not in STUDENT:
        return values[0]
    means = [mean for mean, _, _ in values]
    half = STUDENT[len(means)] * statistics.stdev(means) / math.sqrt(len(means))
    return statistics.fmean(means), statistics.fmean(means) - half, statistics.fmean(means) + half


def _draw(before: Figures, found: dict[float, list[Figures]], tasks: tuple[str, ...], path: Path) -> None:
    figure, axes = pyplot.subplots(figsize=(6.4, 4.0), layout="constrained")
    lines = {task: [_interval([one.tasks[task] for one in found[share]]) for share in SHARES] for task in tasks}
    lines["mean"] = [_interval([one.mean for one in found[share]]) for share in SHARES]
    starts = {**{task: before.tasks[task][0] for task in tasks}, "mean": before.mean[0]}
    for number, (name, values) in enumerate(lines.items()):
        places = [100 * share * 1.04 ** (number - len(lines) / 2) for share in SHARES]  # beside one another
        ends = [[mean - low for mean, low, _ in values], [high - mean for mean, _, high in values]]
        style = {"color": "black", "linewidth": 2.4} if name == "mean" else {"linewidth": 1.2}
        means = [mean for mean, _, _ in values]
        drawn = axes.errorbar(places, means, yerr=ends, marker="o", capsize=3, label=name, **style)
        axes.axhline(starts[name], linestyle=":", linewidth=0.8, color=drawn[0].get_color())
    axes.set_xscale("log")
    axes.set_xticks([100 * share for share in SHARES], [f"{share:.0%}" for share in SHARES])
    axes.set_xlabel("share of the training prompts (steps and all else equal)")
    axes.set_ylabel("accuracy without ties, %")
    axes.legend(title="dotted: before GRPO", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)
    pyplot.close(figure)


if __name__ == "__main__":
    main()
