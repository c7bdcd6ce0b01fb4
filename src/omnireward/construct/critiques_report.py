"""Figures on critiques: yield, why answers were refused, and how far the writer leans to a place. Pure.

How often the writer is right, and which place it names, is counted on first answers: later ones are asked for only
where an earlier one was refused. Intervals treat samples of one prompt as dependent.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from sys import intern
from typing import Any

from omnireward import atomic
from omnireward.construct.criteria_report import HTML, REPORT
from omnireward.construct.pages import Page, Sheet, by_share, to_html
from omnireward.metrics.intervals import cluster_interval
from omnireward.metrics.order import Ballot, Share, order_effects
from omnireward.report.wording import MISSING, percent, span
from omnireward.types import Preference, flipped

_WAYS: tuple[Preference, ...] = ("a", "b", "tie")
_QUANTILES = {"least": 0.0, "10 %": 0.1, "median": 0.5, "90 %": 0.9, "most": 1.0}


@dataclass(frozen=True, slots=True)
class Told:
    """An answer without its words; or, with a negative `attempt`, why there is none. a and b are as shown."""

    id: str
    swapped: bool
    attempt: int
    source: str
    task: str
    cluster: str
    preference: Preference
    verdict: Preference | None
    words: int
    reason: str


@dataclass(frozen=True, slots=True)
class Question:
    """A sample in one order, and its answers."""

    told: tuple[Told, ...]

    @property
    def first(self) -> Told:
        """The first answer, or why there is none."""
        return self.told[0]

    @property
    def kept(self) -> list[Told]:
        """The answers that were kept."""
        return [one for one in self.told if not one.reason]


def write_report(out: Path, answers: Path, run: dict[str, Any], bad_rows: int) -> None:
    """Write report.json and report.html into a folder. The same file of answers gives the same bytes."""
    report = {**build(read(answers)), "step": "critiques", "run": run, "bad_rows": bad_rows}
    atomic.write_text(out / REPORT, json.dumps(report, indent=2, sort_keys=True) + "\n")
    atomic.write_text(out / HTML, to_html(page(report)))


def build(asked: Sequence[Question]) -> dict[str, Any]:
    """All figures, as JSON knows them."""
    cells: dict[tuple[str, str], list[Question]] = {}
    for one in asked:
        cells.setdefault((one.first.source, one.first.task), []).append(one)
    return {
        "overall": figures(asked),
        "by_source_and_task": [
            {"source": source, "task": task, **figures(members)} for (source, task), members in sorted(cells.items())
        ],
    }


def figures(asked: Sequence[Question]) -> dict[str, Any]:
    """Of some questions."""
    answers = [one for question in asked for one in question.told if one.attempt >= 0]
    kept = [one for question in asked for one in question.kept]
    first = [question.first for question in asked if question.first.attempt >= 0]
    named = [one for one in kept if one.verdict != "tie"]
    return {
        "samples": len({question.first.id for question in asked}),
        "questions": len(asked),
        "answers": len(answers),
        "kept": len(kept),
        "samples_kept": len({one.id for one in kept}),
        "yield": _share([bool(question.kept) for question in asked], [question.first for question in asked]),
        "first_right": _share([one.verdict == one.preference for one in first], first),
        "first": _order(first),
        "verdicts": {
            **{way: sum(one.verdict == way for one in answers) for way in _WAYS},
            "none": sum(one.verdict is None for one in answers),
        },
        "kept_verdicts": {way: sum(one.verdict == way for one in kept) for way in _WAYS},
        "kept_first_slot": _share([one.verdict == "a" for one in named], named),
        "reasons": dict(sorted(Counter(one.reason for q in asked for one in q.told if one.reason).items())),
        "attempts": {str(number + 1): n for number, n in sorted(Counter(one.attempt for one in kept).items())},
        "words": _quantiles([one.words for one in kept]),
    }


def page(report: dict[str, Any]) -> Page:
    """The report for people."""
    run, overall = report["run"], report["overall"]
    rows = [("all", overall)]
    rows += [(f"{one['source']}, {one['task']}", one) for one in report["by_source_and_task"]]
    return Page(
        f"critiques by {run['writer']} of {run['place']}",
        tuple(_sentences(report)),
        (
            Sheet(
                "by source and task",
                ("", "samples", "asked", "answers", "kept", "yield, %", "95 %", "right at first, %", "95 % of it"),
                tuple((name, *_yields(one)) for name, one in rows),
                "Asked: samples, each once for every order that it was shown in. Yield: those of which an answer was "
                "kept. Right at first: first answers whose verdict is what people preferred.",
            ),
            Sheet(
                "verdicts and places",
                (
                    "",
                    "A",
                    "B",
                    "ties",
                    "kept A",
                    "kept B",
                    "kept ties",
                    "first names A, %",
                    "95 %",
                    "kept A, %",
                    "95 % ",
                ),
                tuple((name, *_places(one)) for name, one in rows),
                "A and B as shown. First names A: of first verdicts that are no tie. Where the order was drawn, half "
                "is fair. Kept A: of kept verdicts that are no tie.",
            ),
            Sheet(
                "why answers were refused",
                ("reason", "times", "percent of refused"),
                by_share(list(overall["reasons"].items()), sum(overall["reasons"].values())),
                "tie, unreadable, failed: samples that were not answered. copy, unbalanced: left out when everything "
                "was put together, or said before of the same sample.",
            ),
            Sheet("words of kept critiques", ("", *_QUANTILES), tuple((name, *_lengths(one)) for name, one in rows)),
        ),
    )


def read(path: Path) -> list[Question]:
    """The questions in a file of answers, which is sorted by id."""
    with path.open(encoding="utf-8") as file:
        grouped = groupby(_told(file), key=lambda one: (one.id, one.swapped))
        return [Question(tuple(sorted(members, key=_at))) for _, members in grouped]


def _at(one: Told) -> int:
    """Answers in order, and then why there are no more."""
    return one.attempt if one.attempt >= 0 else 1 << 30


def _told(lines: Iterator[str]) -> Iterator[Told]:
    for row in map(json.loads, lines):
        named = {name: intern(row[name]) for name in ("source", "task", "reason")}
        yield Told(**(row | named))


def _sentences(report: dict[str, Any]) -> list[str]:
    overall = report["overall"]
    verdicts, kept = overall["verdicts"], overall["kept_verdicts"]
    said = [
        f"{overall['kept']:,} critiques of {overall['samples_kept']:,} samples are kept, from {overall['answers']:,} "
        f"answers; {_percent(overall['yield'])} of what was asked has one.",
        f"The writer's first answer is right {_percent(overall['first_right'])} of the time.",
        f"Verdicts as shown: A {verdicts['a']:,}, B {verdicts['b']:,}, ties {verdicts['tie']:,}, none "
        f"{verdicts['none']:,}; of the kept ones A {kept['a']:,}, B {kept['b']:,}, ties {kept['tie']:,}.",
    ]
    leaning = overall["kept_first_slot"]["interval"]
    if leaning is not None and not leaning[0] <= 0.5 <= leaning[1]:
        said.append(
            f"Kept verdicts name A {_percent(overall['kept_first_slot'])} of the time: whoever is taught with them "
            "may learn to lean. --balance leaves out the surplus."
        )
    if report["bad_rows"]:
        said.append(f"{report['bad_rows']:,} rows of the source could not be used.")
    return said


def _yields(one: dict[str, Any]) -> tuple[str, ...]:
    counts = (one["samples"], one["questions"], one["answers"], one["kept"])
    return (*(f"{count:,}" for count in counts), *_shown(one["yield"]), *_shown(one["first_right"]))


def _places(one: dict[str, Any]) -> tuple[str, ...]:
    counts = [one[name][way] for name in ("verdicts", "kept_verdicts") for way in _WAYS]
    first = one["first"]["first_slot"]
    return (*(f"{count:,}" for count in counts), *_shown(first), *_shown(one["kept_first_slot"]))


def _lengths(one: dict[str, Any]) -> tuple[str, ...]:
    return tuple(MISSING if one["words"] is None else f"{one['words'][name]:,}" for name in _QUANTILES)


def _shown(share: dict[str, Any]) -> tuple[str, str]:
    return percent(share["value"]), span(share["interval"])


def _percent(share: dict[str, Any]) -> str:
    value, interval = _shown(share)
    return value if share["value"] is None else f"{value} % ({interval})"


def _order(first: Sequence[Told]) -> dict[str, Any]:
    """How far the places decide, on first answers."""
    numbers = {name: number for number, name in enumerate(dict.fromkeys(one.id for one in first))}
    ballots = [Ballot(numbers[one.id], one.cluster, *_own(one), swapped=one.swapped) for one in first]
    if not ballots:
        return {"first_slot": _plain(Share(None, None, 0)), "swap": None}
    found = order_effects(ballots)
    swap = found.swap
    return {
        "first_slot": _plain(found.first_slot),
        "swap": None
        if swap is None
        else {
            "pairs": swap.pairs,
            "consistency": _plain(swap.consistency),
            "first_slot_bias": _plain(swap.first_slot_bias),
        },
    }


def _own(one: Told) -> tuple[Preference, Preference | None]:
    """Preference and verdict, of the sample's own a and b."""
    if not one.swapped:
        return one.preference, one.verdict
    return flipped(one.preference), None if one.verdict is None else flipped(one.verdict)


def _share(values: Sequence[bool], of: Sequence[Told]) -> dict[str, Any]:
    if not values:
        return _plain(Share(None, None, 0))
    interval = cluster_interval(list(map(int, values)), [one.cluster for one in of])
    return _plain(Share(sum(values) / len(values), interval, len(values)))


def _plain(share: Share) -> dict[str, Any]:
    return {"value": share.value, "interval": share.interval, "count": share.count}


def _quantiles(words: Sequence[int]) -> dict[str, int] | None:
    """Numbers that occur: of n in order, the one at place ⌊q (n - 1)⌋."""
    ordered = sorted(words)
    return {name: ordered[int(q * (len(ordered) - 1))] for name, q in _QUANTILES.items()} if ordered else None
