"""inspection.html: one page that makes no request, has no script, and treats every text of the data as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files

import jinja2
from markupsafe import Markup

from omnireward.inspection import bars, wording
from omnireward.inspection.findings import Inspection


def to_html(found: Inspection, cards: Sequence[Mapping[str, object]]) -> str:
    """The page as text.

    Args:
        found: what was found.
        cards: samples as `gallery` writes them, with `id`, `task` and `preference`.
    """
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_asset),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=wording.percent, interval=wording.with_interval, size=wording.size, plural=wording.plural
    )
    return environment.get_template("page.html.jinja").render(
        found=found,
        cards=cards,
        says=wording.sentences(found),
        histogram=bars.histogram,
        sides=bars.sides,
        quantiles=wording.quantiles,
        media_spreads=wording.media_spreads,
        overlap_count=wording.overlap_count,
        style=Markup(_asset("page.css")),
    )


def _asset(name: str) -> str:
    return files("omnireward.inspection").joinpath(name).read_text(encoding="utf-8")
