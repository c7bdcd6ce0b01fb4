"""The report in a terminal: what it says, then the tables. Names from data are neither markup nor escape sequences."""

from __future__ import annotations

from collections.abc import Mapping

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from omnireward.report import paper
from omnireward.report.results import Block, MacroScore, Report, Score
from omnireward.report.wording import percent, sentences, span
from omnireward.sample_text import printable


def render_terminal(report: Report) -> RenderableType:
    """Sentences, a table by task and, where there are groups, one by group; fits 80 columns."""
    paper_column = paper.comparable(report.run.benchmark)
    tasks = _table(f"{report.run.judge} on {report.run.benchmark}", "task", ["paper"] if paper_column else [])
    for name, block in report.tasks.items():
        cell = percent(paper.WITH_TIES[name] / 100)
        tasks.add_row(*_cells(name, block), *([cell] if paper_column else []))
    tasks.add_section()
    macro = report.macro
    tasks.add_row(
        Text("macro", style="bold"),
        str(report.samples),
        *_pair(macro.without_ties),
        *_pair(macro.with_ties),
        percent(macro.cross_fitted.accuracy),
        str(report.without_verdict),
        str(report.failures),
        *([percent(paper.OVERALL_WITH_TIES / 100)] if paper_column else []),
    )
    said = [Text(f"• {printable(sentence)}") for sentence in sentences(report)]
    return Group(tasks, *([_groups(report.groups)] if report.groups else []), *said)


def _groups(groups: Mapping[str, Block]) -> Table:
    table = _table("by group (samples pooled)", "group", [])
    for name, block in groups.items():
        table.add_row(*_cells(name, block))
    return table


def _table(title: str, first: str, more: list[str]) -> Table:
    table = Table(title=Text(printable(title)), box=box.SIMPLE, pad_edge=False, padding=0, title_justify="left")
    table.add_column(first, overflow="fold")
    for name in ("n", "w/o ties", "95 %", "w/ ties", "95 %", "cross fit", "no verdict", "failed", *more):
        # A header may break between words only; the first column gives way instead.
        table.add_column(name, justify="right", min_width=max(map(len, name.split())), no_wrap=name == "95 %")
    return table


def _cells(name: str, block: Block) -> list[RenderableType]:
    return [
        Text(printable(name)),
        str(block.samples),
        *_pair(block.without_ties),
        *_pair(block.with_ties),
        percent(block.cross_fitted.accuracy),
        str(block.without_verdict),
        str(block.failures),
    ]


def _pair(score: Score | MacroScore) -> list[RenderableType]:
    # A dash where the page says "to": six characters that 80 columns do not have.
    return [Text(percent(score.accuracy), style="bold"), Text(span(score.interval).replace(" to ", "–"), style="dim")]
