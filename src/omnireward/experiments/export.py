"""Results as JSON, in two files: `results.json` of an experiment, and `experiments.json` over all of a folder.

The same runs give the same bytes: no time of day, no duration, no path of this machine. Numbers keep ten digits, so
that the last bits of a sum, which belong to the machine, do not show.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from omnireward import __version__
from omnireward.experiments.results import Found, Judged, Results
from omnireward.metrics.hierarchical import Estimate


def to_json(results: Results) -> str:
    """results.json."""
    experiment = results.experiment
    told = {
        "name": experiment.name,
        "title": experiment.title,
        "command": results.command,
        "version": __version__,
        "recipe": results.recipe,
        "base": results.base,
        "seeds": list(results.seeds),
        "experiment": experiment.written,
        "runs": {arm: {str(seed): digest for seed, digest in runs.items()} for arm, runs in results.runs.items()},
        "figures": {
            name: {
                "percent": experiment.figures[name].points,
                "arms": {
                    arm: _estimate(one) | _paper(experiment.paper_numbers.get(name, {}).get(arm))
                    for arm, one in by_arm.items()
                },
            }
            for name, by_arm in results.figures.items()
        },
        "expectations": [_judged(one) for one in results.expectations],
        "failures": results.failures,
    }
    return json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n"


def summary(found: Sequence[Results]) -> str:
    """experiments.json."""
    listed = [
        {
            "name": one.experiment.name,
            "title": one.experiment.title,
            "seeds": list(one.seeds),
            "failed": one.failed,
            "expectations": [
                {"says": expected.expectation.says, "verdict": expected.verdict} for expected in one.expectations
            ],
        }
        for one in found
    ]
    return json.dumps({"experiments": listed}, indent=2, ensure_ascii=False) + "\n"


def _judged(one: Judged) -> dict[str, Any]:
    expected = one.expectation
    return {
        "says": expected.says,
        "verdict": one.verdict,
        "figure": expected.figure,
        "than_figure": expected.than_figure if expected.than else "",
        "at_least": expected.at_least,
        "at_most": expected.at_most,
        "found": [_found(found) for found in one.found],
    }


def _found(one: Found) -> dict[str, Any]:
    return {"arm": one.arm, "than": one.than, "holds": one.holds, "surely": one.surely, **_estimate(one.estimate)}


def _estimate(one: Estimate) -> dict[str, Any]:
    return {
        "value": _number(one.value),
        "interval": None if one.interval is None else [_number(bound) for bound in one.interval],
        "by_seed": [_number(value) for value in one.by_seed],
    }


def _paper(number: float | None) -> dict[str, float]:
    return {} if number is None else {"paper": number}


def _number(value: float) -> float | None:
    return round(value, 10) if math.isfinite(value) else None
