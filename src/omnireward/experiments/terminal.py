"""Results in a terminal: a table of figures by arm, and the verdicts. Names from a file are no markup."""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from omnireward.experiments.nouns import Figure
from omnireward.experiments.results import Judged, Results
from omnireward.experiments.wording import FAILS, MANY, oriented, sentence, span, told
from omnireward.metrics.hierarchical import Estimate
from omnireward.sample_text import printable


def render(results: Results) -> RenderableType:
    """A table, and a line for each expectation."""
    experiment = results.experiment
    figures_down, rows, columns = oriented(results)
    seeds = f"{len(results.seeds)} seed{'' if len(results.seeds) == 1 else 's'}"
    table = Table(
        title=Text(printable(f"{experiment.name}: {experiment.title} ({seeds})")),
        box=box.SIMPLE,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        title_justify="left",
    )
    table.add_column("", overflow="fold")
    for name in columns:
        table.add_column(Text(printable(name)), justify="right")
    for row in rows:
        cells = []
        for column in columns:
            figure, arm = (row, column) if figures_down else (column, row)
            paper = experiment.paper_numbers.get(figure, {}).get(arm)
            cells.append(_cell(results.figures[figure][arm], experiment.figures[figure], paper))
        table.add_row(Text(printable(row)), *cells)
    lines = [line for one in results.expectations for line in _lines(one, experiment.figures)]
    if results.failures:
        lines.append(Text(f"{results.failures} judgements failed; they count as wrong."))
    return Group(table, *lines)


def _cell(found: Estimate, figure: Figure, paper: float | None) -> Text:
    text = Text(told(found.value, figure), style="bold")
    if found.interval is not None:
        text.append(f"\n{span(found.interval, figure)}", style="dim not bold")
    if paper is not None:
        text.append(f"\npaper {paper:.2f}", style="dim not bold")
    return text


def _lines(one: Judged, figures: Mapping[str, Figure]) -> list[Text]:
    style = "bold red" if one.verdict == FAILS else "green"
    first = Text(f"{one.verdict}: ", style=style)
    first.append(printable(one.expectation.says), style="not bold default")
    shown = one.found if len(one.found) <= MANY else [found for found in one.found if not found.holds]
    return [first, *(Text(f"    {printable(sentence(one, found, figures))}", style="dim") for found in shown)]
