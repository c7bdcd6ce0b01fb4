"""Figures on verification: yield, reasons, and how far verifiers agree, by source and task. Pure.

Alpha is Krippendorff's, for a, b and tie as names. Who abstains has said nothing, so is missing. Intervals resample or
group prompts (`Sample.cluster`), because criteria on one prompt stand and fall together.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from sys import intern
from typing import Any

from omnireward import atomic
from omnireward.construct.criteria_report import HTML, REPORT
from omnireward.construct.pages import Page, Sheet, by_share, to_html
from omnireward.construct.verdicts import ABSTENTIONS, Say
from omnireward.metrics.agreement import Alpha, krippendorff_alpha
from omnireward.metrics.intervals import cluster_interval
from omnireward.report.wording import MISSING, percent, span
from omnireward.types import Preference

_VALUES: tuple[Preference, ...] = ("a", "b", "tie")


@dataclass(frozen=True, slots=True)
class Said:
    """A sample's claim, what each verifier says of it, and why it was refused (empty where it was kept)."""

    source: str
    task: str
    cluster: str
    claimed: Preference
    says: tuple[Say, ...]
    reason: str


def write_report(out: Path, says: Path, run: dict[str, Any], bad_rows: int) -> None:
    """Write report.json and report.html into a folder. The same file of says gives the same bytes."""
    report = {**build(_read(says), len(run["verifiers"])), "step": "verify", "run": run, "bad_rows": bad_rows}
    atomic.write_text(out / REPORT, json.dumps(report, indent=2, sort_keys=True) + "\n")
    atomic.write_text(out / HTML, to_html(page(report)))


def build(said: Sequence[Said], verifiers: int) -> dict[str, Any]:
    """All figures, as JSON knows them."""
    cells: dict[tuple[str, str], list[Said]] = {}
    for one in said:
        cells.setdefault((one.source, one.task), []).append(one)
    return {
        "overall": figures(said, verifiers),
        "by_source_and_task": [
            {"source": source, "task": task, **figures(members, verifiers)}
            for (source, task), members in sorted(cells.items())
        ],
    }


def figures(said: Sequence[Said], verifiers: int) -> dict[str, Any]:
    """Of some samples."""
    clusters = [one.cluster for one in said]
    kept = [int(not one.reason) for one in said]
    interval = cluster_interval(kept, clusters) if said else None
    return {
        "samples": len(said),
        "kept": sum(kept),
        "yield": sum(kept) / len(said) if said else None,
        "yield_interval": interval,
        "kept_by_preference": {way: sum(not one.reason for one in said if one.claimed == way) for way in _VALUES},
        "claimed": {way: sum(one.claimed == way for one in said) for way in _VALUES},
        "reasons": dict(sorted(Counter(one.reason for one in said if one.reason).items())),
        "alpha_among_verifiers": _alpha([_counts(one.says) for one in said], clusters),
        "alpha_with_claims": _alpha([_counts((*one.says, one.claimed)) for one in said], clusters),
        "verifiers": [_verifier(said, place) for place in range(verifiers)],
    }


def page(report: dict[str, Any]) -> Page:
    """The report for people."""
    run, overall = report["run"], report["overall"]
    rows = [("all", overall)]
    rows += [(f"{one['source']}, {one['task']}", one) for one in report["by_source_and_task"]]
    verifiers = zip(run["verifiers"], overall["verifiers"], strict=True)
    return Page(
        f"verification of {run['place']} by {len(run['verifiers'])} "
        f"judge{'s' * (len(run['verifiers']) != 1)}, {run['settings']['rule']}",
        tuple(_sentences(report)),
        (
            Sheet(
                "by source and task",
                ("", "samples", "kept", "yield, %", "95 %", "alpha", "95 % of alpha", "with claims"),
                tuple((name, *_row(one)) for name, one in rows),
                "Alpha: Krippendorff's, nominal, among verifiers that do not abstain; with claims: where the claimed "
                "preference counts as one more. Intervals treat samples of one prompt as dependent.",
            ),
            Sheet(
                "verifiers",
                ("", "agrees, %", "95 %", *ABSTENTIONS),
                tuple(
                    (
                        name,
                        percent(one["agrees"]),
                        _span(one["agrees_interval"]),
                        *(f"{one['abstains'][kind]:,}" for kind in ABSTENTIONS),
                    )
                    for name, one in verifiers
                ),
                "Agrees: with the claim, of the samples of which it says something. The others: why it abstained.",
            ),
            Sheet(
                "why samples were refused",
                ("reason", "samples", "percent of all"),
                by_share(list(overall["reasons"].items()), overall["samples"]),
            ),
        ),
    )


def _sentences(report: dict[str, Any]) -> list[str]:
    overall = report["overall"]
    kept, claimed = overall["kept_by_preference"], overall["claimed"]
    said = [
        f"{overall['kept']:,} of {overall['samples']:,} samples are kept: {percent(overall['yield'])} % "
        f"({span(_pair(overall['yield_interval']))}).",
        "Kept of those claimed for a: {} of {}; for b: {} of {}; ties: {} of {}.".format(
            *(f"{number:,}" for way in _VALUES for number in (kept[way], claimed[way]))
        ),
    ]
    alpha = overall["alpha_among_verifiers"]
    if alpha is not None and alpha["value"] < 2 / 3:
        said.append(
            f"Verifiers agree little beyond chance (alpha {alpha['value']:.2f}; below 0.67 few would draw conclusions)."
        )
    if report["bad_rows"]:
        said.append(f"{report['bad_rows']:,} rows of the source could not be used.")
    return said


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    among, claims = one["alpha_among_verifiers"], one["alpha_with_claims"]
    return (
        f"{one['samples']:,}",
        f"{one['kept']:,}",
        percent(one["yield"]),
        _span(one["yield_interval"]),
        MISSING if among is None else f"{among['value']:.2f}",
        MISSING if among is None or among["interval"] is None else "{:.2f} to {:.2f}".format(*among["interval"]),
        MISSING if claims is None else f"{claims['value']:.2f}",
    )


def _verifier(said: Sequence[Said], place: int) -> dict[str, Any]:
    spoken = [one for one in said if one.says[place] in _VALUES]
    agrees = [int(one.says[place] == one.claimed) for one in spoken]
    interval = cluster_interval(agrees, [one.cluster for one in spoken]) if spoken else None
    return {
        "says": len(spoken),
        "agrees": sum(agrees) / len(spoken) if spoken else None,
        "agrees_interval": interval,
        "abstains": {kind: sum(one.says[place] == kind for one in said) for kind in ABSTENTIONS},
    }


def _alpha(counts: Sequence[Sequence[int]], clusters: Sequence[str]) -> dict[str, Any] | None:
    found: Alpha | None = krippendorff_alpha(counts, clusters) if counts else None
    if found is None:
        return None
    return {"value": found.value, "interval": found.interval, "units": found.units, "ratings": found.ratings}


def _counts(says: Sequence[str]) -> list[int]:
    return [says.count(value) for value in _VALUES]


def _read(path: Path) -> list[Said]:
    with path.open(encoding="utf-8") as file:
        rows = map(json.loads, file)
        return [
            Said(
                intern(row["source"]),
                intern(row["task"]),
                row["cluster"],
                row["preference"],
                tuple(row["says"]),
                intern(row["reason"]),
            )
            for row in rows
        ]


def _pair(interval: Sequence[float] | None) -> tuple[float, float] | None:
    return None if interval is None else (interval[0], interval[1])


def _span(interval: Sequence[float] | None) -> str:
    return span(_pair(interval))
