"""index.html: one page over all experiments of a folder. It makes no request, holds no script, and text stays text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import jinja2
from markupsafe import Markup

from omnireward import __version__
from omnireward.experiments.plots import draw
from omnireward.experiments.results import Judged, Results
from omnireward.experiments.wording import FAILS, MANY, oriented, sentence, span, told


@dataclass(frozen=True, slots=True)
class Section:
    """An experiment on the page; `rows` and `columns` are names of figures and of arms, or of arms and of figures."""

    results: Results
    rows: tuple[str, ...]
    columns: tuple[str, ...]
    figures_down: bool
    plots: tuple[tuple[str, str], ...]

    def cell(self, row: str, column: str) -> tuple[str, str, str]:
        """The figure, its interval, and what the paper has."""
        figure, arm = (row, column) if self.figures_down else (column, row)
        noun, found = self.results.experiment.figures[figure], self.results.figures[figure][arm]
        paper = self.results.experiment.paper_numbers.get(figure, {}).get(arm)
        return (
            told(found.value, noun),
            "" if found.interval is None else span(found.interval, noun),
            "" if paper is None else f"{paper:.{2 if noun.points else 3}f}",
        )

    def details(self, judged: Judged) -> list[str]:
        """Each comparison of an expectation, in words."""
        return [sentence(judged, found, self.results.experiment.figures) for found in judged.found]


def to_html(found: Sequence[Results]) -> str:
    """The page as text."""
    sections = []
    for results in found:
        figures_down, rows, columns = oriented(results)
        sections.append(Section(results, rows, columns, figures_down, tuple(draw(results))))
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["svg"] = Markup
    template = environment.from_string(_asset("omnireward.experiments", "page.html.jinja"))
    styles = [("omnireward.report", "page.css"), ("omnireward.compare", "page.css"), (__package__, "page.css")]
    return template.render(
        sections=sections,
        fails=FAILS,
        many=MANY,
        failed=sum(results.failed for results in found),
        expected=sum(len(results.expectations) for results in found),
        version=__version__,
        style=Markup("".join(_asset(package, name) for package, name in styles)),
    )


def _asset(package: str, name: str) -> str:
    return files(package).joinpath(name).read_text(encoding="utf-8")
