"""Figures on written criteria: how many were asked for, taken and refused, by source and task. Pure."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from omnireward import atomic
from omnireward.construct.pages import Page, Sheet, by_share, to_html
from omnireward.construct.tallies import Tally
from omnireward.errors import SourceError

REPORT, HTML = "report.json", "report.html"
_WAYS = ("a", "b", "tie")


def write_report(out: Path, run: dict[str, Any], tally: Tally, bad_rows: int) -> None:
    """Write report.json and report.html into a folder. The same tally gives the same bytes."""
    cells = tally.cells()
    report = {
        "step": "criteria",
        "run": run,
        "bad_rows": bad_rows,
        "overall": _figures(tally.of(cells)),
        "by_source_and_task": [
            {"source": source, "task": task, **_figures(tally.of([(source, task)]))} for source, task in cells
        ],
    }
    atomic.write_text(out / REPORT, json.dumps(report, indent=2, sort_keys=True) + "\n")
    atomic.write_text(out / HTML, to_html(page(report)))


def read_report(out: Path) -> dict[str, Any]:
    """What `write_report` wrote.

    Raises:
        SourceError: it is not there.
    """
    path = out / REPORT
    if not path.is_file():
        raise SourceError(f"{out} holds no {REPORT}: not all of its parts are done.")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def page(report: dict[str, Any]) -> Page:
    """The report for people."""
    overall, run = report["overall"], report["run"]
    kept, asked = overall["criteria"], sum(overall["asked"].values())
    said = [
        f"{kept:,} criteria on {overall['samples']:,} samples, of {asked:,} that were asked for; for "
        f"{overall['short']:,} samples the writer gave fewer that can be used.",
        f"They favour a {overall['taken']['a']:,} times, b {overall['taken']['b']:,} times, and neither "
        f"{overall['taken']['tie']:,} times; asked for were {overall['asked']['a']:,}, {overall['asked']['b']:,} and "
        f"{overall['asked']['tie']:,}.",
    ]
    if report["bad_rows"]:
        said.append(f"{report['bad_rows']:,} rows of the source could not be used.")
    rows = [("all", _row(overall))]
    rows += [(f"{one['source']}, {one['task']}", _row(one)) for one in report["by_source_and_task"]]
    refused = overall["reasons"]
    return Page(
        f"criteria by {run['writer']} on {run['place']}",
        tuple(said),
        (
            Sheet(
                "by source and task",
                ("", "samples", "asked", "kept", "a", "b", "ties", "refused", "short"),
                tuple((name, *cells) for name, cells in rows),
                "a, b, ties: what the kept ones favour. Short: samples for which the writer gave fewer than were "
                "asked for that can be used; duplicates of a sibling go later.",
            ),
            Sheet(
                "why criteria were refused",
                ("reason", "times", "percent of refused"),
                by_share(list(refused.items()), sum(refused.values())),
                "A reason may be of one criterion or of a whole answer: cut off, too long, format, failed, unreadable.",
            ),
        ),
    )


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    numbers = [one["samples"], sum(one["asked"].values()), one["criteria"], *(one["taken"][way] for way in _WAYS)]
    return tuple(f"{number:,}" for number in (*numbers, sum(one["reasons"].values()), one["short"]))


def _figures(counts: Counter[str]) -> dict[str, Any]:
    asked, taken = ({way: counts[f"{what} {way}"] for way in _WAYS} for what in ("asked", "taken"))
    reasons = {what.removeprefix("reason "): n for what, n in sorted(counts.items()) if what.startswith("reason ")}
    return {
        "samples": counts["samples"],
        "answers": counts["answers"],
        "short": counts["short"],
        "asked": asked,
        "taken": taken,
        "criteria": sum(taken.values()),
        "reasons": reasons,
    }
