"""Plots as inline SVG whose colours are the page's own, so that they follow its light and dark dress.

matplotlib draws in stand-in colours that are replaced by CSS variables afterwards. Bytes repeat: the user's
matplotlibrc is left aside, ids are salted with the plot's name, and no date is written.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from omnireward.metrics import Calibration, Reliability, ReliabilityBin
from omnireward.metrics.selective import Selective
from omnireward.report.results import MacroScore, OrderFigures, Report, Score

_INK, _MUTED, _LINE, _FIRST, _SECOND = "#010101", "#020202", "#030303", "#040404", "#050505"
_VARIABLES = {_INK: "--ink", _MUTED: "--muted", _LINE: "--line", _FIRST: "--first", _SECOND: "--second"}
_WIDTH = 5.0  # inches: 360 points, readable at the width of a phone
_STYLE = {
    "svg.fonttype": "none",  # real text: it can be selected, searched and read aloud
    "font.size": 9,
    "text.color": _INK,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _LINE,
    "ytick.color": _LINE,
    "xtick.labelcolor": _MUTED,
    "ytick.labelcolor": _INK,
}


@dataclass(frozen=True, slots=True)
class Plots:
    """Each an `<svg>` element; all but the first are empty where there is nothing to plot."""

    accuracy: str
    order: str
    reliability: str
    calibration: str
    certainty: str


def draw(report: Report) -> Plots:
    """Accuracy by task, what the order does, reliability, calibration with ties, and accuracy by certainty."""
    found, sure = report.calibration, report.certainty
    with matplotlib.style.context(["default", _STYLE]):
        return Plots(
            _accuracy(report),
            "" if report.order is None or report.order.order == "fixed" else _order(report.order),
            "" if report.reliability is None else _reliability(report.reliability),
            "" if found is None or found.overall is None else _calibration(found.overall),
            "" if sure is None else _certainty(sure.selective),
        )


def _accuracy(report: Report) -> str:
    names = ["macro", *report.tasks]
    strict: list[Score | MacroScore] = [report.macro.without_ties, *(b.without_ties for b in report.tasks.values())]
    crossed: list[Score | MacroScore] = [report.macro.cross_fitted, *(b.cross_fitted for b in report.tasks.values())]
    figure = Figure(figsize=(_WIDTH, 1.1 + 0.36 * len(names)), layout="constrained")
    axes = figure.subplots()
    if not report.abstains:
        axes.axvline(50, color=_MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    _whiskers(axes, strict, offset=-0.14, colour=_FIRST, marker="o", label="without ties")
    _whiskers(
        axes,
        crossed,
        offset=0.14,
        colour=_SECOND,
        marker="D",
        label="with ties, cross-fitted" if report.own_word is None else "with ties",
    )
    axes.axhline(0.5, color=_LINE, linewidth=0.8)
    xlabel = (
        "accuracy, %; a tie is wrong without ties" if report.abstains else "accuracy, %; dashed: chance without ties"
    )
    axes.set(ylim=(len(names) - 0.5, -0.5), xlabel=xlabel, yticks=range(len(names)))
    axes.set_yticklabels(names)
    axes.set_xlim(min(40.0, *_floors([*strict, *crossed])) - 1, 101)
    axes.grid(axis="x", color=_LINE, linewidth=0.5)
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside upper left", ncols=2, frameon=False, handletextpad=0.1, columnspacing=1.2)
    return _svg(figure, "accuracy", "Accuracy by task with 95 % intervals")


def _order(order: OrderFigures) -> str:
    both = order.order == "both"
    rows = [("all votes", order.overall), *order.tasks.items()]
    shares = [(found.swap.first_slot_bias if found.swap else None) if both else found.first_slot for _, found in rows]
    fair, xlabel = (
        (0, "points for the first place; dashed: fair") if both else (50, "names the first place, %; dashed: fair")
    )
    figure = Figure(figsize=(_WIDTH, 1.1 + 0.36 * len(rows)), layout="constrained")
    axes = figure.subplots()
    axes.axvline(fair, color=_MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    for place, share in enumerate(shares):
        if share is not None and share.value is not None:
            axes.plot([100 * share.value], [place], "o", color=_FIRST, markersize=5, zorder=3)
        if share is not None and share.interval is not None:
            axes.hlines(place, 100 * share.interval[0], 100 * share.interval[1], color=_FIRST, linewidth=1.8, zorder=2)
    axes.axhline(0.5, color=_LINE, linewidth=0.8)
    # As far to the left as to the right of what is fair, so that the eye sees the side.
    reach = max((abs(100 * bound - fair) for s in shares if s and s.interval for bound in s.interval), default=0.0)
    reach = 10.0 * (int(reach / 10) + 1) + 1
    axes.set(xlim=(fair - reach, fair + reach), ylim=(len(rows) - 0.5, -0.5), xlabel=xlabel, yticks=range(len(rows)))
    axes.set_yticklabels([name for name, _ in rows])
    axes.grid(axis="x", color=_LINE, linewidth=0.5)
    axes.tick_params(axis="y", length=0)
    return _svg(figure, "order", "Preference for the first place by task with 95 % intervals")


def _whiskers(
    axes: Axes, scores: Sequence[Score | MacroScore], *, offset: float, colour: str, marker: str, label: str
) -> None:
    places = [place + offset for place, score in enumerate(scores) if score.accuracy is not None]
    values = [100 * score.accuracy for score in scores if score.accuracy is not None]
    axes.plot(places and values, places, marker, color=colour, markersize=5, label=label, zorder=3)
    for place, score in enumerate(scores):
        if score.interval is not None:
            low, high = score.interval
            axes.hlines(place + offset, 100 * low, 100 * high, color=colour, linewidth=1.8, zorder=2)


def _floors(scores: Sequence[Score | MacroScore]) -> list[float]:
    """Multiples of ten below everything that is drawn."""
    lowest = [score.interval[0] if score.interval else score.accuracy for score in scores]
    return [10.0 * int(10 * value) for value in lowest if value is not None]


def _reliability(found: Reliability) -> str:
    figure, axes = _diagonal()
    _bins(axes, found.bins, _FIRST, "o")
    axes.set_xlabel("claimed by the judge: P(a is preferred), %")
    axes.set_ylabel("observed: people preferred a, %")
    return _svg(figure, "reliability", "Claimed against observed preference for a, with 95 % intervals")


def _calibration(found: Calibration) -> str:
    figure, axes = _diagonal()
    _bins(axes, found.side_bins, _FIRST, "o")
    _bins(axes, found.tie_bins, _SECOND, "D")
    axes.plot([], [], "o", color=_FIRST, markersize=5, label="a response is better")
    axes.plot([], [], "D", color=_SECOND, markersize=5, label="a tie")
    axes.set_xlabel("claimed probability, %")
    axes.set_ylabel("came true, %")
    figure.legend(loc="outside upper left", ncols=2, frameon=False, handletextpad=0.1, columnspacing=1.2)
    return _svg(figure, "calibration", "Claimed against observed wins and ties, with 95 % intervals")


def _certainty(found: Selective) -> str:
    figure = Figure(figsize=(_WIDTH, 3.0), layout="constrained")
    axes = figure.subplots()
    for one in found.covered:
        if one.interval is not None:
            low, high = one.interval
            axes.vlines(100 * one.share, 100 * low, 100 * high, color=_FIRST, linewidth=1.8, zorder=2)
    axes.axhline(100 * found.covered[-1].accuracy, color=_MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    places, values = [100 * one.share for one in found.covered], [100 * one.accuracy for one in found.covered]
    axes.plot(places, values, "o-", color=_FIRST, markersize=5, linewidth=1, zorder=3)
    axes.set(xlim=(0, 103), xlabel="most certain share of the samples, %; dashed: all of them")
    axes.set_ylabel("accuracy without ties, %")
    axes.grid(color=_LINE, linewidth=0.5)
    return _svg(figure, "certainty", "Accuracy over the most certain share, with 95 % intervals")


def _diagonal() -> tuple[Figure, Axes]:
    """Axes of claimed and observed percent, and the line on which they are equal."""
    figure = Figure(figsize=(_WIDTH, 3.9), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 100], [0, 100], color=_MUTED, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    axes.set(xlim=(-3, 103), ylim=(-3, 103))
    axes.grid(color=_LINE, linewidth=0.5)
    return figure, axes


def _bins(axes: Axes, bins: Sequence[ReliabilityBin], colour: str, marker: str) -> None:
    most = max(b.samples for b in bins)
    for b in bins:
        low, high = b.interval
        axes.vlines(100 * b.claimed, 100 * low, 100 * high, color=colour, linewidth=1.8, zorder=2)
        size = 12 + 60 * b.samples / most
        axes.scatter(100 * b.claimed, 100 * b.observed, s=size, color=colour, marker=marker, zorder=3)


def _svg(figure: Figure, name: str, title: str) -> str:
    out = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(
            out,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    text = out.getvalue()
    text = text[text.index("<svg") :]  # no XML or DOCTYPE line inside HTML
    # Two plots share a page: ids such as axes_1 must differ.
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", text)
    for stand_in, variable in _VARIABLES.items():
        text = text.replace(stand_in, f"var({variable})")
    return text.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
