"""The report in a terminal: what it says, then the tables. Names from data are neither markup nor escape sequences."""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from omnireward.report import paper
from omnireward.report.results import Block, MacroScore, OrderFigures, Report, Score
from omnireward.report.wording import percent, points, points_span, sentences, span
from omnireward.sample_text import printable


def render_terminal(report: Report) -> RenderableType:
    """A table by task, others by group and by order where there is something to show, sentences; fits 80 columns."""
    paper_column = paper.comparable(report.run.benchmark)
    fitted = report.own_word is None
    title, more = f"{report.run.judge} on {report.run.benchmark}", ["paper"] if paper_column else []
    tasks = _table(title, "task", more, fitted=fitted)
    for name, block in report.tasks.items():
        cell = percent(paper.WITH_TIES[name] / 100)
        tasks.add_row(*_cells(name, block, fitted=fitted), *([cell] if paper_column else []))
    tasks.add_section()
    macro = report.macro
    tasks.add_row(
        Text("macro", style="bold"),
        str(report.samples),
        *_pair(macro.without_ties),
        *_pair(macro.with_ties),
        *([percent(macro.cross_fitted.accuracy)] if fitted else []),
        str(report.without_verdict),
        str(report.failures),
        *([percent(paper.OVERALL_WITH_TIES / 100)] if paper_column else []),
    )
    said = [Text(f"• {printable(sentence)}") for sentence in sentences(report)]
    return Group(
        tasks,
        *([_groups(report.groups, fitted=fitted)] if report.groups else []),
        *([_order(report.order)] if report.order else []),
        *said,
    )


def _groups(groups: Mapping[str, Block], *, fitted: bool) -> Table:
    table = _table("by group (samples pooled)", "group", [], fitted=fitted)
    for name, block in groups.items():
        table.add_row(*_cells(name, block, fitted=fitted))
    return table


def _order(order: OrderFigures) -> Table:
    table = Table(title="order of the responses", box=box.SIMPLE, pad_edge=False, padding=0, title_justify="left")
    table.add_column("task")
    both = order.order == "both"
    heads = ("same choice", "95 %", "for 1st place", "95 %") if both else ("names 1st place", "95 %")
    for name in (*heads, "right, 1st preferred", "right, 2nd preferred"):
        table.add_column(name, justify="right", no_wrap=name == "95 %")
    for name, found in (*order.tasks.items(), ("all", order.overall)):
        cells = [percent(found.first_slot.value), _dashed(span(found.first_slot.interval))]
        if both:
            same, bias = (found.swap.consistency, found.swap.first_slot_bias) if found.swap else (None, None)
            cells = [
                percent(same.value if same else None),
                _dashed(span(same.interval if same else None)),
                points(bias.value if bias else None),
                points_span(bias.interval if bias else None),
            ]
        table.add_row(name, *cells, percent(found.preferred_first.value), percent(found.preferred_second.value))
    return table


def _table(title: str, first: str, more: list[str], *, fitted: bool) -> Table:
    table = Table(title=Text(printable(title)), box=box.SIMPLE, pad_edge=False, padding=0, title_justify="left")
    table.add_column(first, overflow="fold")
    crossed = ["cross fit"] if fitted else []  # of a judge's own word there is nothing to fit
    for name in ("n", "w/o ties", "95 %", "w/ ties", "95 %", *crossed, "no verdict", "failed", *more):
        # A header may break between words only; the first column gives way instead.
        table.add_column(name, justify="right", min_width=max(map(len, name.split())), no_wrap=name == "95 %")
    return table


def _cells(name: str, block: Block, *, fitted: bool) -> list[RenderableType]:
    return [
        Text(printable(name)),
        str(block.samples),
        *_pair(block.without_ties),
        *_pair(block.with_ties),
        *([percent(block.cross_fitted.accuracy)] if fitted else []),
        str(block.without_verdict),
        str(block.failures),
    ]


def _pair(score: Score | MacroScore) -> list[RenderableType]:
    return [Text(percent(score.accuracy), style="bold"), Text(_dashed(span(score.interval)), style="dim")]


def _dashed(span: str) -> str:
    # A dash where the page says "to": six characters that 80 columns do not have.
    return span.replace(" to ", "–")
