"""The plots of an experiment as inline SVG in the page's own colours: dots with whiskers, a line, or a heat map."""

from __future__ import annotations

import html
import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

from omnireward.compare.drawing import INK, LINE, MUTED, SERIES, WIDTH, clipped, look, page_style, short, svg
from omnireward.experiments.nouns import Plot
from omnireward.experiments.results import Results
from omnireward.experiments.wording import told
from omnireward.metrics.hierarchical import Estimate


def draw(results: Results) -> list[tuple[str, str]]:
    """Title and `<svg>` element of each plot; of all figures that are no differences, where none is asked for."""
    experiment = results.experiment
    plain = [name for name, one in experiment.figures.items() if not one.minus and one.points]
    plots = experiment.plots or ((Plot("dots", tuple(plain[:8])),) if plain else ())
    drawn = []
    with page_style():
        for number, plot in enumerate(plots, start=1):
            canvas = {"dots": _dots, "line": _line, "heat": _heat}[plot.kind](results, plot)
            title = plot.title or ", ".join(plot.figures)
            drawn.append((title, svg(canvas, f"{experiment.name}-{number}", html.escape(title, quote=True))))
    return drawn


def _dots(results: Results, plot: Plot) -> Canvas:
    """A row for each arm; what the paper has of it as a cross."""
    arms, count = list(results.experiment.arms), len(plot.figures)
    canvas, axes = _axes(1.0 + 0.24 * count + max(0.36, 0.2 * count + 0.1) * len(arms))
    step, crossed = 0.7 / count, False
    for number, figure in enumerate(plot.figures):
        colour, marker = look(number)
        axes.plot([], [], marker, color=colour, markersize=5, label=clipped(figure, 50))
        paper = results.experiment.paper_numbers.get(figure, {})
        for place, arm in enumerate(arms):
            y, found = place - 0.35 + (number + 0.5) * step, results.figures[figure][arm]
            _whisker(axes, found, y, _scale(results, plot), colour, marker)
            if arm in paper:
                axes.plot(paper[arm], y, "x", color=MUTED, markersize=5, zorder=2)
                crossed = True
    if crossed:
        axes.plot([], [], "x", color=MUTED, markersize=5, label="the paper's")
    for place in range(1, len(arms)):
        axes.axhline(place - 0.5, color=LINE, linewidth=0.5)
    axes.set(ylim=(len(arms) - 0.5, -0.5), yticks=range(len(arms)), xlabel=_unit(results, plot))
    axes.set_yticklabels([short(arm) for arm in arms])
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color=LINE, linewidth=0.5)
    axes.set_axisbelow(True)
    canvas.legend(loc="outside upper left", ncols=1, frameon=False, handletextpad=0.1, labelspacing=0.2)
    return canvas


def _whisker(axes: Axes, found: Estimate, place: float, scale: float, colour: str, marker: str) -> None:
    if not math.isfinite(found.value):
        return
    axes.plot(scale * found.value, place, marker, color=colour, markersize=4.5, zorder=3)
    if found.interval is not None:
        low, high = found.interval
        axes.hlines(place, scale * low, scale * high, color=colour, linewidth=1.6, zorder=2)


def _line(results: Results, plot: Plot) -> Canvas:
    """Figures over what arms stand for, on a logarithmic axis where it spans a factor of ten or more."""
    arms = sorted(plot.x, key=lambda arm: plot.x[arm])
    at, scale = [plot.x[arm] for arm in arms], _scale(results, plot)
    canvas, axes = _axes(3.2 + 0.24 * len(plot.figures))
    for number, figure in enumerate(plot.figures):
        colour, marker = look(number)
        found = [results.figures[figure][arm] for arm in arms]
        heights = [scale * one.value for one in found]
        axes.plot(at, heights, marker=marker, color=colour, markersize=4.5, linewidth=1.2, label=clipped(figure, 50))
        for x, one in zip(at, found, strict=True):
            if one.interval is not None:
                low, high = one.interval
                axes.vlines(x, scale * low, scale * high, color=colour, linewidth=1.4)
    if min(at) > 0 and max(at) >= 10 * min(at):
        axes.set_xscale("log")
        axes.minorticks_off()
    axes.set_xticks(at, [f"{x:g}" for x in at])
    axes.set(xlabel=clipped(plot.x_label, 60), ylabel=_unit(results, plot))
    axes.grid(color=LINE, linewidth=0.5)
    canvas.legend(loc="outside upper left", ncols=1, frameon=False, handletextpad=0.4, labelspacing=0.2)
    return canvas


def _heat(results: Results, plot: Plot) -> Canvas:
    """Arms by figures, from the least value (no colour) to the most."""
    arms, figures = list(results.experiment.arms), plot.figures
    canvas = Canvas(figsize=(max(WIDTH, 1.8 + 0.5 * len(figures)), 1.0 + 0.36 * len(arms)), layout="constrained")
    axes = canvas.subplots()
    values = [results.figures[figure][arm].value for figure in figures for arm in arms]
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, spread = min(finite), (max(finite) - min(finite)) or 1.0
    for column, figure in enumerate(figures):
        for row, arm in enumerate(arms):
            value = results.figures[figure][arm].value
            if math.isfinite(value):
                across, shade = [column - 0.48, column + 0.48], 0.65 * (value - low) / spread
                axes.fill_between(across, row - 0.46, row + 0.46, color=SERIES[0], alpha=shade, lw=0)
            said = told(value, results.experiment.figures[figure])
            axes.text(column, row, said, ha="center", va="center", color=INK, fontsize=8)
    axes.set(xlim=(-0.5, len(figures) - 0.5), ylim=(len(arms) - 0.5, -0.5))
    axes.set_xticks(range(len(figures)), [short(figure, 12) for figure in figures])
    axes.set_yticks(range(len(arms)), [short(arm, 20) for arm in arms])
    axes.xaxis.tick_top()
    axes.tick_params(length=0, labelcolor=INK)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return canvas


def _axes(height: float) -> tuple[Canvas, Axes]:
    canvas = Canvas(figsize=(WIDTH, height), layout="constrained")
    return canvas, canvas.subplots()


def _scale(results: Results, plot: Plot) -> float:
    return 100.0 if results.experiment.figures[plot.figures[0]].points else 1.0


def _unit(results: Results, plot: Plot) -> str:
    if _scale(results, plot) == 1:
        return ""
    return "points" if all(results.experiment.figures[name].minus for name in plot.figures) else "accuracy, %"
