"""omnireward data: look at samples, or write them out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import tyro
from rich.console import Console

from omnireward.errors import RecipeError
from omnireward.inspection.config import InspectConfig
from omnireward.questions.config import QuestionsConfig
from omnireward.sample_text import describe
from omnireward.sources import BadRows, read_place
from omnireward.verbs import described


@dataclass(frozen=True)
class ExportConfig:
    """Write a benchmark in one of Omni-RewardBench's forms on disk.

    Example: omnireward data export --benchmark miniature --form parquet --out out/world
    """

    benchmark: str
    """A benchmark's name, a folder that holds one, or NAME:LOCATION."""
    out: Path
    """A new folder."""
    form: Literal["json", "parquet"] = "json"
    """Raw JSON beside media_data/, or one parquet config for each task."""


@dataclass(frozen=True)
class ShowConfig:
    """Print samples of a dataset or a benchmark.

    Example: omnireward data show miniature --limit 3
    """

    place: tyro.conf.Positional[str]
    """A name, a folder, or NAME:LOCATION."""
    kind: Literal["benchmarks", "datasets"] = "benchmarks"
    """Where the name is looked up."""
    limit: int = 3
    """How many samples."""


def run(words: list[str]) -> None:
    """Look at data, or write them out: data show, inspect, export, questions (for EasyR1 and verl).

    Examples:
      omnireward data show miniature --limit 3
      omnireward data inspect ultrafeedback:data/uf --against omni_rewardbench:data/OmniRewardBench --out out/look
      omnireward data export --benchmark miniature --form parquet --out out/world
      omnireward data questions miniature --to easyr1 --swapped --out out/easyr1
    """
    actions: dict[str, Callable[..., object]] = {
        "show": ShowConfig,
        "inspect": InspectConfig,
        "export": ExportConfig,
        "questions": QuestionsConfig,
    }
    config: object = tyro.extras.subcommand_cli_from_dict(
        actions, prog="omnireward data", description=described(run), args=words
    )
    if isinstance(config, ExportConfig):
        from omnireward.benchmarks.omni_rewardbench import write_omni_rewardbench

        samples = read_place("benchmarks", config.benchmark, BadRows())
        rows = write_omni_rewardbench(samples, config.out, config.form)
        print(f"{rows} rows are in {config.out}.")
    elif isinstance(config, InspectConfig):
        from omnireward.inspection import inspect_source, render_terminal

        Console().print(render_terminal(inspect_source(config)))
        if config.out is not None:
            print(f"The page: {config.out / 'inspection.html'}")
    elif isinstance(config, QuestionsConfig):
        from omnireward.questions.write import write_questions

        written = write_questions(config)
        print(f"{written.sizes.rows:,} questions about {written.samples:,} samples are in {config.out}.")
        if written.left_out:
            print(f"Left out: {written.reasons}.")
    elif isinstance(config, ShowConfig):
        if config.limit < 1:
            raise RecipeError(f"limit must be at least 1, not {config.limit}.")
        for sample in islice(read_place(config.kind, config.place, BadRows()), config.limit):
            print(describe(sample), end="\n\n")
