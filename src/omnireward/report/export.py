"""report.json and report.csv: the figures for programs. Fractions, rounded to ten decimals; null where there is none.

Rounding makes the bytes the same on machines whose mathematics libraries differ in the last digit.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict

from omnireward.metrics import Interval, Reliability
from omnireward.report.results import Block, MacroScore, Report, Score
from omnireward.report.wording import sentences

DECIMALS = 10
BAD_ROWS_LISTED = 20
MACRO_NOTE = "unweighted mean over the listed tasks; interval: cluster bootstrap stratified by task"
Json = Mapping[str, object]


def to_json(report: Report) -> str:
    """The report as JSON text, keys in reading order, ending in a line break."""
    run, macro = report.run, report.macro
    content = {
        "judge": run.judge,
        "benchmark": run.benchmark,
        "command": run.command,
        "version": run.version,
        "seed": run.seed,
        "samples": report.samples,
        "samples_in_benchmark": run.samples,
        "failures": report.failures,
        "without_verdict": report.without_verdict,
        "says": sentences(report),
        "macro": {
            "over": MACRO_NOTE,
            "without_ties": _macro_score(macro.without_ties),
            "with_ties": {**_macro_score(macro.with_ties), "cross_fitted": _macro_score(macro.cross_fitted)},
        },
        "tasks": {
            name: {**_block(block), "with_ties": {"threshold": _rounded(block.threshold), **_with_ties(block)}}
            for name, block in report.tasks.items()
        },
        "groups": {name: _block(block) for name, block in report.groups.items()},
        "reliability": None if report.reliability is None else _reliability(report.reliability),
        "bad_rows": {
            "count": len(run.bad_rows),
            "first": [asdict(bad_row) for bad_row in run.bad_rows[:BAD_ROWS_LISTED]],
        },
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def to_csv(report: Report) -> str:
    """The table as CSV: the macro row, then tasks, then groups. Text that a spreadsheet would run is quoted."""
    out = io.StringIO()
    rows = list(_csv_rows(report))
    writer = csv.DictWriter(out, fieldnames=list(rows[1]), lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def _block(block: Block) -> Json:
    return {
        "samples": block.samples,
        "prompts": block.prompts,
        "ties": block.ties,
        "failures": block.failures,
        "without_verdict": block.without_verdict,
        "exact_zero_margins": block.exact_zero_margins,
        "without_ties": {**_score(block.without_ties), "judged_only": _score(block.without_ties_judged)},
        "with_ties": _with_ties(block),
    }


def _with_ties(block: Block) -> Json:
    return {
        **_score(block.with_ties),
        "judged_only": _score(block.with_ties_judged),
        "cross_fitted": _score(block.cross_fitted),
    }


def _score(score: Score) -> Json:
    return {"accuracy": _rounded(score.accuracy), "interval": _interval(score.interval), "samples": score.samples}


def _macro_score(score: MacroScore) -> Json:
    return {"accuracy": _rounded(score.accuracy), "interval": _interval(score.interval), "tasks": list(score.tasks)}


def _reliability(found: Reliability) -> Json:
    return {
        "samples": found.samples,
        "brier": _rounded(found.brier),
        "calibration_error": _rounded(found.calibration_error),
        "bins": [
            {
                "low": b.low,
                "high": b.high,
                "samples": b.samples,
                "claimed": _rounded(b.claimed),
                "observed": _rounded(b.observed),
                "interval": _interval(b.interval),
            }
            for b in found.bins
        ],
    }


def _csv_rows(report: Report) -> Iterator[dict[str, object]]:
    macro = report.macro
    yield {
        "kind": "macro",
        "name": "macro",
        "samples": report.samples,
        "failures": report.failures,
        "without_verdict": report.without_verdict,
        **_csv_score("without_ties", macro.without_ties),
        **_csv_score("with_ties", macro.with_ties),
        **_csv_score("cross_fitted", macro.cross_fitted),
    }
    for kind, blocks in (("task", report.tasks), ("group", report.groups)):
        for name, block in blocks.items():
            yield {
                "kind": kind,
                "name": _inert(name),
                "samples": block.samples,
                "prompts": block.prompts,
                "ties": block.ties,
                "failures": block.failures,
                "without_verdict": block.without_verdict,
                "exact_zero_margins": block.exact_zero_margins,
                "threshold": _rounded(block.threshold),
                **_csv_score("without_ties", block.without_ties),
                **_csv_score("with_ties", block.with_ties),
                **_csv_score("cross_fitted", block.cross_fitted),
            }


def _csv_score(name: str, score: Score | MacroScore) -> dict[str, object]:
    low, high = score.interval or (None, None)
    return {name: _rounded(score.accuracy), f"{name}_low": _rounded(low), f"{name}_high": _rounded(high)}


def _inert(text: str) -> str:
    # A cell that begins like a formula is run by spreadsheet programs; group names come from strangers' data.
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _interval(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [round(bound, DECIMALS) for bound in interval]


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, DECIMALS)
