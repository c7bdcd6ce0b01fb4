"""omnireward experiment: the paper's claims, rerun."""

from __future__ import annotations

import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console
from rich.table import Table

from omnireward.errors import RecipeError
from omnireward.flags import from_flags
from omnireward.provenance import portable
from omnireward.verbs import described, require_torch


@dataclass(frozen=True)
class ExperimentConfig:
    """Which experiments, and how often."""

    names: tyro.conf.Positional[tuple[str, ...]] = ()
    """Experiments by name, or files ending in .yaml; `all` for those shipped."""
    out: Path = Path("out/experiments")
    """Folder for runs, figures and the page. What is there already is not made again."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of training; each arm is trained once with each."""
    jobs: int = 2
    """Trainings side by side, each with one thread."""
    recipe: str | None = None
    """Train by this recipe instead of the experiments' own."""
    model: str | None = None
    """Start from this model instead of a tiny one that is made and taught first: a folder, or OWNER/REPO@REVISION."""
    steps: int | None = None
    """Train every arm for this many steps, whatever recipe and experiment say."""
    strict: bool = False
    """End with exit code 1 where an expectation fails."""
    list: bool = False
    """Show the experiments that there are, and do nothing."""

    def __post_init__(self) -> None:
        if not self.seeds or len({*self.seeds}) < len(self.seeds) or min(self.seeds) < 0 or len(self.seeds) > 100:
            raise RecipeError(f"seeds are 1 to 100 different whole numbers from 0 on, not {self.seeds}.")
        if not 1 <= self.jobs <= 64:
            raise RecipeError(f"jobs is 1 to 64, not {self.jobs}.")
        if self.steps is not None and self.steps < 1:
            raise RecipeError(f"steps must be at least 1, not {self.steps}.")


def run(words: list[str]) -> None:
    """Rerun the paper's experiments: train, judge, and say whether what was expected came out.

    Runs are kept by what they were told: experiments share them, and the same command goes on where it was broken off.
    --list shows the experiments.

    Examples:
      omnireward experiment --list
      omnireward experiment table3 criteria --out out/experiments
      omnireward experiment all --seeds 0 1 2 --jobs 2
    """
    config = from_flags(ExperimentConfig, words, "omnireward experiment", described(run))
    from omnireward.experiments import reading

    if config.list:
        _list()
        return
    if not config.names:
        raise RecipeError(f"name an experiment, a .yaml file, or all. There are: {', '.join(reading.names())}.")
    require_torch("an experiment")
    _run(config)


def _list() -> None:
    from omnireward.experiments import reading

    table = Table(show_header=False, box=None, pad_edge=False)
    for name in reading.names():
        table.add_row(name, reading.read(name).title)
    Console().print(table)


def _run(config: ExperimentConfig) -> None:
    from omnireward.experiments import reading
    from omnireward.experiments.build import build
    from omnireward.experiments.checks import check
    from omnireward.experiments.plan import Asked, Plan, plan
    from omnireward.experiments.run import complete
    from omnireward.experiments.run import run as make
    from omnireward.experiments.terminal import render
    from omnireward.experiments.write import write

    wanted = [name for one in config.names for name in (reading.names() if one == "all" else [one])]
    experiments = [reading.read(name) for name in dict.fromkeys(wanted)]
    stems = [experiment.name for experiment in experiments]
    if len({*stems}) < len(stems):
        raise RecipeError(f"two experiments have one name: {', '.join(stems)}. Rename a file.")
    asked = Asked(config.out, config.seeds, config.recipe or "", config.model or "", config.steps)
    plans = [plan(experiment, asked) for experiment in experiments]
    check([one for one in plans if not all(complete(run) for runs in one.runs.values() for run in runs.values())])
    typed = dict(zip(stems, dict.fromkeys(wanted), strict=True))
    failed = 0

    def finished(done: Plan) -> None:
        nonlocal failed
        name = done.experiment.name
        results = build(
            done, _command(config, typed[name]), portable(config.recipe or done.experiment.recipe, config.out)
        )
        failed += results.failed
        write(results, config.out)
        Console().print(render(results))

    make(plans, asked, config.jobs, finished)
    print(f"The page with tables and plots: {config.out / 'index.html'}")
    if failed and config.strict:
        sys.exit(1)


def _command(config: ExperimentConfig, name: str) -> str:
    """The command that makes an experiment's results again."""
    told = {"--recipe": config.recipe, "--model": config.model, "--steps": config.steps}
    more = [word for flag, value in told.items() if value is not None for word in (flag, str(value))]
    words = [portable(word, config.out) for word in (name, *more)]
    return shlex.join(["omnireward", "experiment", words[0], "--seeds", *map(str, config.seeds), *words[1:]])
