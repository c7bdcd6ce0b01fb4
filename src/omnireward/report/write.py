"""Write a report's three files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omnireward.report.export import to_csv, to_json
from omnireward.report.page import to_html
from omnireward.report.records import Shown
from omnireward.report.results import Report


def write(report: Report, shown: Sequence[Shown], folder: Path) -> None:
    """Write report.json, report.csv and report.html into a folder, which is made when missing.

    Raises:
        SourceError: a shown sample has no record in the report. Nothing is written.
    """
    page = to_html(report, shown)
    folder.mkdir(parents=True, exist_ok=True)
    # Bytes, so that line ends are the same everywhere; half a surrogate pair in a text must not lose the report.
    (folder / "report.json").write_bytes(to_json(report).encode())
    (folder / "report.csv").write_bytes(to_csv(report).encode("utf-8", "backslashreplace"))
    (folder / "report.html").write_bytes(page.encode("utf-8", "xmlcharrefreplace"))
