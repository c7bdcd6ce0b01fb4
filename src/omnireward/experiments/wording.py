"""Figures and verdicts in words: percent and points for shares of samples, two decimals for the rest."""

from __future__ import annotations

import math
from collections.abc import Mapping

from omnireward.experiments.nouns import Figure
from omnireward.experiments.results import Found, Judged, Results
from omnireward.metrics import Interval
from omnireward.report.wording import MISSING, percent, points

FAILS = "FAILS"
MANY = 4  # comparisons of an expectation; of more, a terminal shows those that fail, and the page folds them
ARMS_ACROSS = 5  # of more, each is a row


def oriented(results: Results) -> tuple[bool, tuple[str, ...], tuple[str, ...]]:
    """Whether figures are rows, and the names of rows and columns: a table is rather long than wide."""
    figures, arms = tuple(results.experiment.figures), tuple(results.experiment.arms)
    down = len(arms) <= min(len(figures), ARMS_ACROSS)
    return (down, figures, arms) if down else (down, arms, figures)


def told(value: float, figure: Figure, difference: bool = False) -> str:
    """A figure, or the difference of two arms' figures.

    >>> overall, alpha = Figure("overall"), Figure("alpha", measure="alpha")
    >>> told(0.7312, overall), told(0.0312, overall, difference=True), told(0.0312, alpha)
    ('73.1', '+3.1', '0.031')
    """
    if not math.isfinite(value):
        return MISSING
    if not figure.points:
        return f"{value:{'+' if difference else ''}.3f}".replace("-", "−")
    return points(value) if difference or figure.minus else percent(value)


def span(interval: Interval | None, figure: Figure, difference: bool = False) -> str:
    """An interval of it."""
    if interval is None:
        return MISSING
    low, high = (told(bound, figure, difference) for bound in interval)
    return f"{low} to {high}"


def bound(judged: Judged, figure: Figure) -> str:
    """What was expected, as a number."""
    expected = judged.expectation
    number, word = (expected.at_least, "at least") if expected.at_least is not None else (expected.at_most, "at most")
    unit = (" points" if expected.than or figure.minus else " %") if figure.points else ""
    return f"{word} {number:g}{unit}".replace("-", "−")


def sentence(judged: Judged, found: Found, figures: Mapping[str, Figure]) -> str:
    """One arm, or one arm against another: the figure, its interval, and what was expected.

    A comparison of two figures names both.
    """
    expected = judged.expectation
    figure, difference = figures[expected.figure], bool(found.than)
    of = f" ({expected.than_figure})" if expected.than_figure != expected.figure else ""
    who = f"{found.arm} against {found.than}{of}" if difference else found.arm
    value = told(found.estimate.value, figure, difference)
    interval = span(found.estimate.interval, figure, difference)
    return f"{expected.figure}, {who}: {value} ({interval}); expected {bound(judged, figure)}"
