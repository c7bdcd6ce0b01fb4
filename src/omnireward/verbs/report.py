"""omnireward report: make reports again, or compare runs; nothing is judged."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from omnireward.errors import RecipeError
from omnireward.verbs import parse


@dataclass(frozen=True)
class ReportConfig:
    """Which runs."""

    folders: tyro.conf.Positional[tuple[Path, ...]]
    """What 'omnireward evaluate --out' or 'omnireward grpo --out' wrote; several evaluations with --compare."""
    compare: bool = False
    """Compare the runs: who is better and by how much, correlation between tasks, what settings change, a ranking."""
    out: Path | None = None
    """Folder for the comparison; 'comparison' beside the first run when not given."""


def run(words: list[str]) -> None:
    """Make a report again from the files of an evaluation, or compare several; nothing is judged.

    Of a judge in training, or trained, the page of curves and critiques is made again.

    Examples:
      omnireward report out/longer
      omnireward report out/longer out/random out/bench --compare --out out/comparison
    """
    config = parse("report", run, ReportConfig, words)
    if not config.folders:
        raise RecipeError("report needs a folder that 'omnireward evaluate --out' wrote.")
    if config.compare:
        _compare(config.folders, config.out or config.folders[0].parent / "comparison")
    elif config.out is not None:
        raise RecipeError("--out is for --compare; a report is written into the run's own folder.")
    else:
        for folder in config.folders:
            _make_again(folder)


def _make_again(folder: Path) -> None:
    from omnireward import judge_log

    if judge_log.recognises(folder):
        print(f"The page with curves and critiques: {judge_log.write_page(folder)}")
    else:
        make_report(folder)


def make_report(folder: Path) -> None:
    """Write a run's report files, and print the table."""
    from omnireward import report

    found = report.read(folder)
    built = report.build(found.run, found.records)
    report.write(built, found.shown, folder)
    Console().print(report.render_terminal(built))
    print(f"\nThe page with samples and plots: {folder / 'report.html'}")


def _compare(folders: tuple[Path, ...], out: Path) -> None:
    from omnireward import compare

    compared = compare.build(compare.read(folders))
    compare.write(compared, out)
    Console().print(compare.render_terminal(compared))
    print(f"\nThe page with plots: {out / 'compare.html'}")
