"""Bars as inline SVG in the page's own colours: drawn by hand, since a bar is a rectangle."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from omnireward.inspection.findings import Sides
from omnireward.inspection.histogram import Spread
from omnireward.inspection.wording import number

_WIDTH, _HEIGHT = 360, 110


def histogram(spread: Spread, what: str) -> Markup:
    """Counts over a number; where bars are wide their width is not drawn to scale."""
    bars = _filled(spread.bars)
    most = max(count for _, _, count in bars)
    step = _WIDTH / len(bars)
    drawn = [
        Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>').format(
            place * step,
            _HEIGHT * (1 - count / most),
            max(1.0, step - 1),
            _HEIGHT * count / most,
            f"{number(low)} to below {number(high)}: {count:,}",
        )
        for place, (low, high, count) in enumerate(bars)
    ]
    label = f"{what}: from {number(spread.least)} to {number(spread.most)}, half below {number(spread.quantiles[2])}"
    return Markup('<svg class="bars" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        _WIDTH, _HEIGHT, label, Markup("").join(drawn)
    )


def sides(counts: Sides) -> Markup:
    """One bar in three parts: a, tie, b."""
    x, drawn = 0.0, []
    for name, count in (("a", counts.a), ("tie", counts.tie), ("b", counts.b)):
        width = 100 * count / counts.total
        drawn.append(
            Markup('<rect class="{}" x="{:.2f}" width="{:.2f}" height="14"><title>{}</title></rect>').format(
                name, x, width, f"{name}: {count:,}"
            )
        )
        x += width
    return Markup(
        '<svg class="sides" viewBox="0 0 100 14" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(f"a {counts.a}, tie {counts.tie}, b {counts.b}", Markup("").join(drawn))


def _filled(bars: Sequence[tuple[float, float, int]]) -> list[tuple[float, float, int]]:
    """With one empty bar where some are left out."""
    found: list[tuple[float, float, int]] = []
    for low, high, count in bars:
        if found and found[-1][1] < low:
            found.append((found[-1][1], low, 0))
        found.append((low, high, count))
    return found
