"""One command that trains, judges and reports on nine tasks, offline.

The straight line with the made-up world at both ends: the recipe `miniature` trains the tiny model, `evaluate` judges
the held-out split and writes the report.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from omnireward.errors import RecipeError


@dataclass(frozen=True, slots=True)
class QuickstartConfig:
    """Train, judge and report on all nine tasks with a made-up world and a tiny model; needs no network.

    Example: omnireward quickstart --out out/quickstart
    """

    out: Path = Path("out/quickstart")
    """Folder to fill: the checkpoint in run/, the report in report/."""
    seed: int = 0
    """Another seed is another model: other first weights and another order. The made-up world stays the same."""


def quickstart(config: QuickstartConfig) -> Path:
    """Run it; returns the report's folder. What an earlier quickstart left in `out` is replaced."""
    from omnireward import recipes, report
    from omnireward.evaluate import EvaluateConfig, evaluate
    from omnireward.train.bradley_terry import train
    from omnireward.train.config import TrainConfig

    run, folder = config.out / "run", config.out / "report"
    for old in (run, folder):
        if old.exists() and any(not path.name.startswith(".") for path in old.iterdir()):
            if not (old / "config.yaml").is_file():  # what we write there; anything else is somebody's own
                raise RecipeError(f"{old} is there and was not written by omnireward; choose another --out.")
            shutil.rmtree(old)
    recipe = TrainConfig(out=run, **recipes.load("miniature", TrainConfig))
    train(replace(recipe, seed=config.seed))
    evaluate(
        # A reward model reads one response at a time: there is no order to draw.
        EvaluateConfig(judge=f"reward:{run}", benchmark="miniature", out=folder, seed=config.seed, order="fixed")
    )
    found = report.read(folder)
    report.write(report.build(found.run, found.records), found.shown, folder)
    return folder
