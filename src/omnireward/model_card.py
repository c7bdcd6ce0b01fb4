"""The README that is saved beside a checkpoint: what it is, how it was made, its figures, and how to use it.

Names, commands and paths in it come from whoever made the data or the run. The front matter is written by a YAML
dumper; elsewhere text is one line whose marks of Markdown and HTML are spelled out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import yaml

from omnireward import __version__
from omnireward.types import Layout

# A card that still has this line is written anew; without it, it is its author's.
OURS = "<!-- This card is written anew at each save and push. Remove this line to keep it as you edit it. -->"
_MARKS = re.compile(r"[\\`*_\[\]#!|~$<>&]|:(?=//)")
_REPO = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_SHOWN = 300  # characters of a text

USE = """```python
from pathlib import Path
from omnireward.reward_model import RewardModel
from omnireward.types import Comparison, Text, Turn

model = RewardModel.load(Path("."))  # or RewardModel.load("OWNER/REPO@COMMIT")
prompt = (Turn("user", (Text("Tell me about tea."),)),)
print(model.rewards([Comparison(prompt, (Text("..."),), (Text("..."),), "The answer should be polite.")]))
```"""


@dataclass(frozen=True, slots=True)
class Made:
    """How it was trained.

    Attributes:
        command: that repeats the run.
        recipe: all flags, as YAML.
        model: what training started from, as it was named.
        datasets: place -> weight.
        counts: what was used and left out, such as ``pairs used`` -> 1000.
        versions: of the packages that it was trained with.
    """

    command: str
    recipe: str
    model: str
    datasets: Mapping[str, float]
    counts: Mapping[str, int]
    versions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Figure:
    """An accuracy from 0 to 1 and the ends of its 95 % interval; None where there is none."""

    accuracy: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a report's table: a task or all of them, how many samples, and its two figures."""

    name: str
    samples: int
    without_ties: Figure
    with_ties: Figure


@dataclass(frozen=True, slots=True)
class Results:
    """Figures on one benchmark; the last line is the macro mean.

    Attributes:
        failed: samples that could not be judged.
        fitted: whether a threshold for ties was fitted on the benchmark.
    """

    benchmark: str
    command: str
    lines: tuple[Line, ...]
    failed: int = 0
    fitted: bool = True


def model_card(
    family: str,
    layout: Layout,
    parameters: int,
    base: str = "",
    made: Made | None = None,
    results: Sequence[Results] = (),
    terms: str = "",
) -> str:
    """The card as Markdown.

    Args:
        family: the backbone's plug-in.
        layout: where media responses are put.
        parameters: how many numbers are saved.
        base: OWNER/REPO@COMMIT that it was trained from; empty: a folder, or nothing.
        made: how it was trained, if that is known.
        results: figures of evaluations.
        terms: the licence's name on the Hub; empty: left to the author.
    """
    front = yaml.safe_dump(_front(family, base, made, results, terms), sort_keys=False, allow_unicode=True)
    pieces = [f"---\n{front}---", "# Omni-modal reward model", OURS, _what(family, layout, parameters, base), USE]
    pieces += ["## Training", *_training(made)] if made else []
    pieces += ["## Figures", *(_table(each) for each in results)] if results else []
    pieces.append(_open_points(made, results, terms))
    return "\n\n".join(pieces) + "\n"


def plain(text: str) -> str:
    r"""One line of text that Markdown and HTML show as it is.

    >>> plain("a|b\n<b>")
    'a&#124;b &lt;b&gt;'
    """
    line = " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())
    short = line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
    return _MARKS.sub(lambda mark: escape(mark[0]) if mark[0] in "<>&" else f"&#{ord(mark[0])};", short)


def fenced(text: str, language: str) -> str:
    """A block of code whose text cannot end it."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def repositories(names: Iterable[str]) -> list[str]:
    """Repositories on the Hub among places: `hub:OWNER/REPO@REVISION`, with or without a reader's name before it.

    >>> repositories(["omni_rewarddata:hub:a/b@main", "hub:c/d@1", "miniature", "some/folder"])
    ['a/b', 'c/d']
    """
    found = [re.search(rf"(?:^|:)hub:({_REPO.pattern})(?:@|$)", name) for name in names]
    return list(dict.fromkeys(match[1] for match in found if match))


def _front(family: str, base: str, made: Made | None, results: Sequence[Results], terms: str) -> dict[str, Any]:
    """The Hub's metadata. A repository that is not named like one is left out: the Hub would refuse the card."""
    repo = base.partition("@")[0]
    front: dict[str, Any] = {"library_name": "omnireward"}
    front |= {"license": terms} if terms else {}
    front |= {"base_model": repo} if _REPO.fullmatch(repo) else {}
    datasets = repositories(made.datasets) if made else []
    front |= {"datasets": datasets} if datasets else {}
    # What the Hub files reward models under: a text, or here a conversation, gets a number.
    front |= {"pipeline_tag": "text-classification"} if family == "text" else {}
    front["tags"] = ["reward-model", "preference", *([] if family == "text" else ["multimodal"]), family]
    index = [_indexed(each) for each in results if each.lines[-1].without_ties.accuracy is not None]
    return front | ({"model-index": [{"name": "reward model", "results": index}]} if index else {})


def _indexed(results: Results) -> dict[str, Any]:
    last = results.lines[-1]
    metrics = [
        {"type": "accuracy", "name": f"macro accuracy, {name}", "value": round(100 * figure.accuracy, 2)}
        for name, figure in (("without ties", last.without_ties), ("with ties", last.with_ties))
        if figure.accuracy is not None
    ]
    name = " ".join(results.benchmark.split())[:_SHOWN]
    return {
        "task": {"type": "preference", "name": "pairwise preference"},
        "dataset": {"type": name, "name": name},
        "metrics": metrics,
    }


def _what(family: str, layout: Layout, parameters: int, base: str) -> str:
    rows = {
        "backbone family": family,
        "layout of media responses": layout,
        "parameters": f"{parameters:,}",
        "trained from": base,
        "written by": f"omnireward {__version__}",
    }
    said = "Scores a response to a prompt under a criterion in plain words; text, image, video, audio and 3D."
    if family == "text":
        said = "Scores a response to a prompt under a criterion in plain words; text alone."
    return f"{said}\n\n" + _rows(("", ""), [(name, plain(value)) for name, value in rows.items() if value])


def _training(made: Made) -> list[str]:
    versions = ", ".join(f"{name} {version}" for name, version in made.versions.items())
    counts = [(plain(name), f"{count:,}") for name, count in made.counts.items()]
    facts = [("started from", plain(made.model)), *counts, *([("with", plain(versions))] if versions else [])]
    return [
        _rows(("dataset", "weight"), [(plain(place), f"{weight:g}") for place, weight in made.datasets.items()]),
        _rows(("", ""), facts),
        fenced(made.command, "sh"),
        "All flags, as a recipe:",
        fenced(made.recipe, "yaml"),
    ]


def _table(results: Results) -> str:
    rows = [
        (plain(line.name), f"{line.samples:,}", *_cells(line.without_ties), *_cells(line.with_ties))
        for line in results.lines
    ]
    head = ("task", "n", "without ties", "95 %", "with ties", "95 %")
    table = _rows(head, rows)
    ties = "at thresholds fitted on these samples" if results.fitted else "by the model's own word"
    note = f"Accuracy in percent. Intervals are clustered by prompt; with ties, {ties}."
    if results.failed:
        note += f" {results.failed:,} samples could not be judged, and count as wrong."
    return f"On {plain(results.benchmark)}:\n\n{table}\n\n{note}\n\n{fenced(results.command, 'sh')}"


def _cells(figure: Figure) -> tuple[str, str]:
    accuracy = "–" if figure.accuracy is None else f"{100 * figure.accuracy:.1f}"
    return accuracy, "–" if figure.interval is None else "–".join(f"{100 * end:.1f}" for end in figure.interval)


def _rows(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _open_points(made: Made | None, results: Sequence[Results], terms: str) -> str:
    left = [
        *([] if made else ["training data and their licences"]),
        *([] if results else ["results with intervals (`omnireward push --report`)"]),
        *([] if terms else ["its licence, which those of the base model and of the data bound"]),
        "limits",
    ]
    return f"To be filled in by its author: {', '.join(left)}."
