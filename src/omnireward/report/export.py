"""report.json and report.csv: the figures for programs. Fractions, rounded to ten decimals; null where there is none.

Rounding makes the bytes the same on machines whose mathematics libraries differ in the last digit.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict

from omnireward.metrics import Calibration, Interval, Measured, Reliability, ReliabilityBin
from omnireward.metrics.order import OrderEffects, Share
from omnireward.metrics.selective import Area
from omnireward.official import Official
from omnireward.report.results import Block, Calibrations, Certainties, MacroScore, OrderFigures, Report, Score
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
        "settings": dict(run.settings),
        "samples": report.samples,
        "samples_in_benchmark": run.samples,
        "failures": report.failures,
        "without_verdict": report.without_verdict,
        "skipped": dict(run.skipped),
        "says": sentences(report),
        "macro": {
            "over": MACRO_NOTE,
            "without_ties": {**_macro_score(macro.without_ties), "decided": _macro_score(macro.decided)},
            "with_ties": {**_macro_score(macro.with_ties), "cross_fitted": _macro_score(macro.cross_fitted)},
            "with_ties_oracle": None if macro.with_ties_oracle is None else _macro_score(macro.with_ties_oracle),
        },
        "tasks": {
            name: {**_block(block), "with_ties": {**_tie_rule(block), **_with_ties(block)}}
            for name, block in report.tasks.items()
        },
        "groups": {name: _block(block) for name, block in report.groups.items()},
        "order": None if report.order is None else _order(report.order),
        "official": None if report.official is None else _official(report.official),
        "reliability": None if report.reliability is None else _reliability(report.reliability),
        "calibration": None if report.calibration is None else _calibrations(report.calibration),
        "certainty": None if report.certainty is None else _certainties(report.certainty),
        "bad_rows": {
            "count": len(run.bad_rows),
            "first": [asdict(bad_row) for bad_row in run.bad_rows[:BAD_ROWS_LISTED]],
        },
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def to_csv(report: Report) -> str:
    """The table as CSV: the macro row, then tasks, then groups, then what the order does over all samples pooled.

    Text that a spreadsheet would run is quoted.
    """
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
        "verdicts": block.verdicts,
        "tie_verdicts": block.tie_verdicts,
        "likeliest": block.likeliest,
        "likeliest_ties": block.likeliest_ties,
        "without_ties": {
            **_score(block.without_ties),
            "judged_only": _score(block.without_ties_judged),
            "decided": _score(block.decided),
        },
        "with_ties": _with_ties(block),
        "with_ties_oracle": None
        if block.with_ties_oracle is None
        else {**_score(block.with_ties_oracle), "threshold": _rounded(block.oracle_threshold)},
    }


def _with_ties(block: Block) -> Json:
    return {
        **_score(block.with_ties),
        "judged_only": _score(block.with_ties_judged),
        "cross_fitted": _score(block.cross_fitted),
    }


def _tie_rule(block: Block) -> Json:
    own = {"stated by the judge": block.verdicts, "the likeliest of the judge's probabilities": block.likeliest}
    if any(own.values()) and block.threshold is None:
        return {"ties": ", or ".join(rule for rule, samples in own.items() if samples), "threshold": None}
    return {"ties": "within the threshold", "threshold": _rounded(block.threshold)}


def _order(order: OrderFigures) -> Json:
    return {
        "shown": order.order,
        "overall": _effects(order.overall),
        "tasks": {name: _effects(effects) for name, effects in order.tasks.items()},
    }


def _effects(found: OrderEffects) -> Json:
    swap = found.swap
    return {
        "votes": found.votes,
        "first_slot": _share(found.first_slot),
        "accuracy": {
            "a_first": _share(found.a_first),
            "b_first": _share(found.b_first),
            "preferred_first": _share(found.preferred_first),
            "preferred_second": _share(found.preferred_second),
        },
        "stability": None if found.stability is None else _share(found.stability),
        "both_orders": None
        if swap is None
        else {
            "pairs": swap.pairs,
            "inconsistent": swap.inconsistent,
            "consistency": _share(swap.consistency),
            "first_slot_bias": _share(swap.first_slot_bias),
            "consistent_accuracy": _share(swap.consistent_accuracy),
        },
    }


def _share(share: Share) -> Json:
    return {"value": _rounded(share.value), "interval": _interval(share.interval), "count": share.count}


def _official(official: Official) -> Json:
    return {
        "figures": {name: _rounded(figure) for name, figure in official.figures.items()},
        "corrected": {name: _rounded(figure) for name, figure in official.corrected.items()},
        "note": official.note,
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
        "bins": _bins(found.bins),
    }


def _bins(bins: Iterable[ReliabilityBin]) -> list[Json]:
    return [
        {
            "low": b.low,
            "high": b.high,
            "samples": b.samples,
            "claimed": _rounded(b.claimed),
            "observed": _rounded(b.observed),
            "interval": _interval(b.interval),
        }
        for b in bins
    ]


def _calibrations(found: Calibrations) -> Json:
    return {
        "probabilities": "cross-fitted from the judge's margins" if found.cross_fitted else "the judge's own",
        "overall": None if found.overall is None else _calibration(found.overall),
        "tasks": {name: _calibration(one) for name, one in found.tasks.items()},
        "left_out": dict(found.left_out),
    }


def _calibration(found: Calibration) -> Json:
    errors = ("classwise", "pooled", "likeliest", "side", "a", "tie", "b")
    return {
        "samples": found.samples,
        "prompts": found.prompts,
        "brier": {**_measured(found.brier), "of_shares": _rounded(found.brier_of_shares)},
        "log_loss": {**_measured(found.log_loss), "impossible": found.impossible},
        "calibration_error": {name: _measured(getattr(found, name)) for name in errors},
        "bins": {"tie": _bins(found.tie_bins), "side": _bins(found.side_bins)},
    }


def _certainties(found: Certainties) -> Json:
    return {
        "samples": found.selective.samples,
        "auroc": None if found.selective.area is None else _area(found.selective.area),
        "auroc_of_margin_alone": None if found.margin_alone is None else _area(found.margin_alone),
        "most_certain": [
            {
                "share": _rounded(one.share),
                "samples": one.samples,
                "accuracy": _rounded(one.accuracy),
                "interval": _interval(one.interval),
            }
            for one in found.selective.covered
        ],
        "familiar": None if found.familiar is None else _score(found.familiar),
        "unfamiliar": None if found.unfamiliar is None else _score(found.unfamiliar),
    }


def _area(found: Area) -> Json:
    return {"value": _rounded(found.value), "interval": _interval(found.interval)}


def _measured(found: Measured) -> Json:
    return {
        "value": _rounded(found.value),
        "interval": _interval(found.interval),
        "if_calibrated": {"mean": _rounded(found.calibrated), "limit": _rounded(found.limit)},
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
                "name": inert(name),
                "samples": block.samples,
                "prompts": block.prompts,
                "ties": block.ties,
                "failures": block.failures,
                "without_verdict": block.without_verdict,
                "exact_zero_margins": block.exact_zero_margins,
                "tie_verdicts": block.tie_verdicts,
                "threshold": _rounded(block.threshold),
                **_csv_score("without_ties", block.without_ties),
                **_csv_score("with_ties", block.with_ties),
                **_csv_score("cross_fitted", block.cross_fitted),
                **_csv_order(report.order.tasks.get(name) if report.order and kind == "task" else None),
            }
    if report.order is not None:
        yield {"kind": "order", "name": "all samples", **_csv_order(report.order.overall)}


def _csv_order(found: OrderEffects | None) -> dict[str, object]:
    swap = found.swap if found else None
    return {
        **_csv_share("first_slot", found.first_slot if found else None),
        **_csv_share("consistency", swap.consistency if swap else None),
        **_csv_share("first_slot_bias", swap.first_slot_bias if swap else None),
        **_csv_share("preferred_first", found.preferred_first if found else None),
        **_csv_share("preferred_second", found.preferred_second if found else None),
        **_csv_share("stability", found.stability if found else None),
    }


def _csv_share(name: str, share: Share | None) -> dict[str, object]:
    low, high = (share.interval if share else None) or (None, None)
    return {
        name: _rounded(share.value if share else None),
        f"{name}_low": _rounded(low),
        f"{name}_high": _rounded(high),
    }


def _csv_score(name: str, score: Score | MacroScore) -> dict[str, object]:
    low, high = score.interval or (None, None)
    return {name: _rounded(score.accuracy), f"{name}_low": _rounded(low), f"{name}_high": _rounded(high)}


def inert(text: str) -> str:
    """Text as a cell that no spreadsheet program runs.

    >>> inert("=1+1"), inert("1+1")
    ("'=1+1", '1+1')
    """
    # A cell that begins like a formula is run by spreadsheet programs; names come from strangers' data.
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _interval(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [round(bound, DECIMALS) for bound in interval]


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, DECIMALS)
