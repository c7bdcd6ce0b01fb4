"""``omnireward VERB``: the one room that prints.

What is unusual: importing this, and ``--help``, load no torch; each verb imports what it needs when it runs. A recipe
is turned into flags before parsing (see recipes), so that one parser knows every type. Exit codes are in `HELP`.
"""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from inspect import cleandoc
from itertools import islice
from pathlib import Path
from typing import Literal, Protocol, TypeVar, cast, get_args, get_type_hints

import tyro
from rich.console import Console
from rich.table import Table

import omnireward
from omnireward import environment, plugins, recipes
from omnireward.errors import MissingExtraError, OmniRewardError, RecipeError, UnknownNameError
from omnireward.flags import from_flags
from omnireward.sample_text import describe, printable
from omnireward.sources import BadRows, read_place

Config = TypeVar("Config")

HELP = """\
Judge any response to any prompt, in any modality, under a criterion in plain words.

usage: omnireward VERB [--recipe NAME_OR_FILE] [flags]
       omnireward VERB --help
       omnireward --version

{verbs}

A recipe is a YAML file with flags (batch_size: 8 for --batch-size 8). Flags that are typed override it.
Recipes shipped: {recipes}.

Exit codes: 0 done; 1 a bug, with a traceback; 2 something you can mend, said on stderr; 130 stopped with Ctrl-C.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb; returns the exit code. A bug's traceback is not hidden."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        return 0 if words else 2
    if words[0] == "--version":
        print(f"omnireward {omnireward.__version__}")
        return 0
    try:
        if words[0] not in VERBS:
            raise UnknownNameError(f"unknown verb {words[0]!r}. {plugins.suggest(words[0], sorted(VERBS))}")
        VERBS[words[0]](words[1:])
    except (OmniRewardError, OSError) as error:
        # A folder that is a file, no permission, a full disk: the system's own words say it best. Others are bugs.
        if isinstance(error, OSError) and not error.filename and error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped.", file=sys.stderr)
        return 130
    return 0


def evaluate(words: list[str]) -> None:
    """Judge a benchmark and report on it.

    The same command again resumes: it judges only what is missing and what failed.
    --recipe NAME_OR_FILE takes flags from a YAML file; those typed override it.

    Examples:
      omnireward evaluate --judge longer --benchmark miniature --out out/longer
      omnireward evaluate --judge reward:out/run --benchmark data/OmniRewardBench --out out/bench --tasks T2I TI2T
    """
    from omnireward.evaluate import EvaluateConfig
    from omnireward.evaluate import evaluate as judge

    config = _parse("evaluate", evaluate, EvaluateConfig, words)
    try:
        outcome = judge(config)
    except KeyboardInterrupt:
        print(f"\nEvery finished judgement is in {config.out}. Run the same command again to go on.", file=sys.stderr)
        raise
    _report(config.out)
    if outcome.failed:
        print(f"{outcome.failed} of {outcome.samples} samples could not be judged. The first error:")
        print(printable(outcome.first_error))
        print("They count as wrong, in their own column. The same command tries them again.")


@dataclass(frozen=True)
class ReportConfig:
    """Which report."""

    folder: tyro.conf.Positional[Path]
    """What 'omnireward evaluate --out' wrote."""


def report(words: list[str]) -> None:
    """Make a report again from the files of an evaluation; nothing is judged.

    Example:
      omnireward report out/longer
    """
    _report(_parse("report", report, ReportConfig, words).folder)


def train(words: list[str]) -> None:
    """Train a reward model on preferences.

    --recipe NAME_OR_FILE takes flags from a YAML file; those typed override it.

    Examples:
      omnireward train --recipe miniature --out out/run
      omnireward train --recipe miniature --out out/short --steps 20
    """
    from omnireward.train.config import TrainConfig

    config = _parse("train", train, TrainConfig, words)
    _require_torch("training")
    from omnireward.train.bradley_terry import train as run

    folder = run(config)
    print(f"The reward model is in {folder}. Judge with it: --judge reward:{folder}")


def quickstart(words: list[str]) -> None:
    """Train, judge and report on nine tasks, offline, in minutes.

    --recipe NAME_OR_FILE takes flags from a YAML file; those typed override it.

    Example:
      omnireward quickstart --out out/quickstart
    """
    from omnireward.quickstart import QuickstartConfig
    from omnireward.quickstart import quickstart as run

    config = _parse("quickstart", quickstart, QuickstartConfig, words)
    _require_torch("the quickstart")
    run(config)
    _report(config.out / "report")


@dataclass(frozen=True)
class ListConfig:
    """What to list."""

    folder: tyro.conf.Positional[Literal["all", "judges", "benchmarks", "datasets", "backbones"]] = "all"
    """One kind of plug-in, or all."""


class _Described(Protocol):
    summary: str


def list_plugins(words: list[str]) -> None:
    """List the judges, benchmarks, datasets and backbones that there are.

    Example:
      omnireward list judges
    """
    chosen = _parse("list", list_plugins, ListConfig, words).folder
    table = Table("kind", "name", "what it is", box=None, pad_edge=False)
    for folder in get_args(get_type_hints(ListConfig)["folder"])[1:] if chosen == "all" else (chosen,):
        try:
            for name in plugins.names(folder):
                table.add_row(folder, name, cast(_Described, plugins.load(folder, name)).summary)
        except ModuleNotFoundError as error:
            table.add_row(folder, "", f"needs {error.name}: pip install 'omnireward[train]'")
    Console().print(table)


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


def data(words: list[str]) -> None:
    """Look at samples (data show), or write them out (data export).

    Examples:
      omnireward data show miniature --limit 3
      omnireward data export --benchmark miniature --form parquet --out out/world
    """
    actions: dict[str, Callable[..., object]] = {"show": ShowConfig, "export": ExportConfig}
    config: object = tyro.extras.subcommand_cli_from_dict(
        actions, prog="omnireward data", description=_doc(data), args=words
    )
    if isinstance(config, ExportConfig):
        from omnireward.benchmarks.omni_rewardbench import write_omni_rewardbench

        samples = read_place("benchmarks", config.benchmark, BadRows())
        rows = write_omni_rewardbench(samples, config.out, config.form)
        print(f"{rows} rows are in {config.out}.")
    elif isinstance(config, ShowConfig):
        if config.limit < 1:
            raise RecipeError(f"limit must be at least 1, not {config.limit}.")
        for sample in islice(read_place(config.kind, config.place, BadRows()), config.limit):
            print(describe(sample), end="\n\n")


def env(words: list[str]) -> None:
    """Print versions and the machine, for a bug report.

    Example:
      omnireward env
    """
    _parse("env", env, EnvConfig, words)
    print(environment.describe())


@dataclass(frozen=True)
class EnvConfig:
    """Nothing to set."""


VERBS: dict[str, Callable[[list[str]], None]] = {
    "quickstart": quickstart,
    "train": train,
    "evaluate": evaluate,
    "report": report,
    "data": data,
    "list": list_plugins,
    "env": env,
}


def _parse(verb: str, function: Callable[[list[str]], None], config: type[Config], words: list[str]) -> Config:
    """Flags, after those of a recipe, become a config."""
    typed: list[str] = []
    recipe: list[str] = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name != "--recipe":
            typed.append(word)
            continue
        given = value if equals else next(rest, "")
        if recipe or not given:
            raise RecipeError("--recipe takes one name or file, once, such as: --recipe miniature")
        recipe = recipes.flags(given, verb, config)
    return from_flags(config, [*recipe, *typed], f"omnireward {verb}", _doc(function))


def _report(folder: Path) -> None:
    from omnireward import report as reports

    found = reports.read(folder)
    built = reports.build(found.run, found.records)
    reports.write(built, found.shown, folder)
    Console().print(reports.render_terminal(built))
    print(f"\nThe page with samples and plots: {folder / 'report.html'}")


def _require_torch(what: str) -> None:
    if find_spec("torch") is None or find_spec("transformers") is None:
        raise MissingExtraError(what, "train")


def _doc(function: Callable[[list[str]], None]) -> str:
    return cleandoc(function.__doc__ or "")


def _help() -> str:
    verbs = "\n".join(f"  {name:<12}{_doc(function).splitlines()[0]}" for name, function in VERBS.items())
    return HELP.format(verbs=verbs, recipes=", ".join(recipes.names()))
