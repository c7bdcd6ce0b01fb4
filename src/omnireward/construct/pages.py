"""What a step reports: sentences and tables, in a terminal and as one page that makes no request and holds no script.

Names and texts come from strangers: the page escapes them, the terminal shows no control characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import jinja2
from markupsafe import Markup
from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from omnireward.sample_text import printable


@dataclass(frozen=True, slots=True)
class Sheet:
    """A table: the first column names the row, the others hold figures as text. `note` stands below it."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """A report: what it is of, what it says in sentences, and its tables."""

    title: str
    sentences: tuple[str, ...]
    sheets: tuple[Sheet, ...]


def to_html(page: Page) -> str:
    """The page as text."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_asset("omnireward.construct", "page.html.jinja"))
    style = _asset("omnireward.report", "page.css") + _asset("omnireward.compare", "page.css")
    return template.render(page=page, style=Markup(style))


def render_terminal(page: Page) -> RenderableType:
    """Tables, then sentences."""
    said = [Text(f"• {printable(sentence)}") for sentence in page.sentences]
    return Group(*map(_table, page.sheets), *said)


def _table(sheet: Sheet) -> Table:
    title = Text(printable(sheet.title))
    table = Table(title=title, box=box.SIMPLE, pad_edge=False, padding=(0, 1), title_justify="left")
    widest = max((len(row[0]) for row in sheet.rows), default=0)
    for place, name in enumerate(sheet.columns):
        header = Text(printable(name))
        if place:
            table.add_column(header, justify="right", no_wrap=" " not in name)
        else:
            table.add_column(header, overflow="fold", min_width=min(16, widest))
    for row in sheet.rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    return table


def by_share(counts: Sequence[tuple[str, int]], total: int) -> tuple[tuple[str, ...], ...]:
    """Rows of names, counts and percent, the largest first."""
    ordered = sorted(counts, key=lambda one: (-one[1], one[0]))
    return tuple((name, f"{count:,}", f"{100 * count / total:.1f}" if total else "n/a") for name, count in ordered)


def _asset(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")
