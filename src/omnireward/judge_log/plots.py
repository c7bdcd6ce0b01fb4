"""The curves of a run as inline SVG in the page's own colours.

Figures that belong together share a plot, told apart by colour and by dashes, so that colour alone says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from omnireward.compare.drawing import LINE, MUTED, SERIES, page_style, svg
from omnireward.judge_log.curves import Curve, Log
from omnireward.judge_log.texts import visible

_SIZE = (4.1, 2.25)  # inches: three beside each other on a page, one on a phone
_Dashes = str | tuple[float, tuple[float, ...]]
_DASHES: tuple[_Dashes, ...] = ("solid", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 1.5, 1, 1.5)))
_SPIKES = 50  # highest value over the median from which on a positive figure is drawn on a logarithmic scale
_SMALL = 0.25  # shares that stay below it are drawn on a scale of their own
OTHERS = 9  # figures that no plot below names and that get one of their own


@dataclass(frozen=True, slots=True)
class Panel:
    """What a plot shows: figures of the log and how each is called; `share` figures are told in percent."""

    title: str
    series: Mapping[str, str]
    note: str
    share: bool = False


PANELS = (
    Panel("Reward", {"reward": "mean"}, "Mean of the rollouts; pale: one standard deviation to each side."),
    Panel(
        "Accuracy",
        {"accuracy": "all", "accuracy_without_ties": "without ties"},
        "Share of verdicts that are what people prefer; no verdict is wrong.",
        share=True,
    ),
    Panel("Format", {"format": "format"}, "Share of answers that end as they were told to.", share=True),
    Panel("Length", {"tokens": "tokens"}, "Tokens of a mean answer."),
    Panel("KL", {"kl": "KL"}, "From the reference, nats per token."),
    Panel("Entropy", {"entropy": "entropy"}, "Nats per token: how much answers still vary."),
    Panel(
        "Verdicts",
        {"verdict_a": "A", "verdict_b": "B", "verdict_tie": "tie", "no_verdict": "none"},
        "Shares as shown. With both orders in each group A and B are equally right: a gap is position bias.",
        share=True,
    ),
    Panel(
        "Faults",
        {"cut_off": "cut off", "empty": "empty", "media_tokens": "media token"},
        "Share of answers cut off at the limit, empty, or with a token that stands for media.",
        share=True,
    ),
    Panel(
        "Flat groups", {"flat_groups": "flat"}, "Share of groups whose rewards are all equal: no gradient.", share=True
    ),
    Panel(
        "Clipped",
        {"clip_low": "low", "clip_high": "high"},
        "Share of tokens whose probability left the trusted range.",
        share=True,
    ),
    Panel("Loss", {"loss": "loss"}, "Of the policy; it need not fall."),
    Panel("Gradient norm", {"grad_norm": "norm"}, "Before it is scaled down."),
    Panel("Learning rate", {"learning_rate": "rate"}, ""),
)
_KNOWN = {name for panel in PANELS for name in panel.series} | {"reward_std", "epoch"}


@dataclass(frozen=True, slots=True)
class Plot:
    """A drawn panel."""

    panel: Panel
    svg: str


def draw(log: Log, stopped: float | None) -> list[Plot]:
    """A plot for each panel that has figures.

    Args:
        log: the figures.
        stopped: the step that the run stopped at, marked in each plot.
    """
    others = [name for name in log.curves if name not in _KNOWN][:OTHERS]
    panels = (*PANELS, *(Panel(visible(name[:60]), {name: ""}, "") for name in others))
    with page_style():
        return [
            Plot(panel, _draw(panel, f"curve{place}", log.curves, stopped))
            for place, panel in enumerate(panels)
            if any(name in log.curves for name in panel.series)
        ]


def _draw(panel: Panel, name: str, curves: Mapping[str, Curve], stopped: float | None) -> str:
    figure = Figure(figsize=_SIZE, layout="constrained")
    figure.get_layout_engine().set(w_pad=0.12)  # type: ignore[union-attr, call-arg]  # a browser's font may be wider
    axes = figure.subplots()
    shown = [(curves[one], said) for one, said in panel.series.items() if one in curves]
    factor = 100.0 if panel.share else 1.0
    for place, (curve, said) in enumerate(shown):
        _line(axes, curve, factor, SERIES[place], _DASHES[place], said)
    if panel.title == "Reward" and (spread := curves.get("reward_std")):
        _deviations(axes, shown[0][0], spread)
    if stopped is not None:
        axes.axvline(stopped, color=MUTED, linewidth=1.2, linestyle=(0, (2, 2)))
    if panel.share and max(max(curve.highs) for curve, _ in shown) > _SMALL:
        axes.set_ylim(-3, 103)
        axes.set_yticks([0, 25, 50, 75, 100])
    elif panel.share:
        axes.set_ylim(bottom=0)
    elif any(_spikes(curve) for curve, _ in shown):
        axes.set_yscale("log")
    axes.margins(x=0.02)
    axes.grid(axis="y", color=LINE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel("step")
    axes.set_ylabel("%" if panel.share else "")
    axes.locator_params(axis="x", nbins=6, integer=True)
    if len(shown) > 1:
        figure.legend(loc="outside upper left", ncols=4, frameon=False, columnspacing=1.2, handlelength=2.2)
    return svg(figure, name, "Curve over steps")


def _line(axes: Axes, curve: Curve, factor: float, colour: str, dashes: _Dashes, said: str) -> None:
    steps, means = curve.steps, [factor * value for value in curve.means]
    smooth = [factor * value for value in curve.smooth()]
    lows, highs = ([factor * value for value in values] for values in (curve.lows, curve.highs))
    if lows != highs:
        axes.fill_between(steps, lows, highs, color=colour, alpha=0.12, linewidth=0)
    if smooth != means:
        axes.plot(steps, means, color=colour, linewidth=0.7, alpha=0.3)
    marker = "o" if len(steps) == 1 else ""
    axes.plot(steps, smooth, color=colour, linewidth=1.7, linestyle=dashes, label=said, marker=marker, markersize=4)


def _deviations(axes: Axes, reward: Curve, spread: Curve) -> None:
    if len(reward.steps) == len(spread.steps):
        lower, upper = zip(*((m - s, m + s) for m, s in zip(reward.means, spread.means, strict=True)), strict=True)
        axes.fill_between(reward.steps, lower, upper, color=SERIES[0], alpha=0.12, linewidth=0)


def _spikes(curve: Curve) -> bool:
    ordered = sorted(curve.means)
    return ordered[0] > 0 and ordered[-1] > _SPIKES * ordered[len(ordered) // 2]
