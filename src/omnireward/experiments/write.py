"""Write an experiment's figures, and the page and summary over all that a folder holds."""

from __future__ import annotations

from pathlib import Path

from omnireward import atomic
from omnireward.experiments.export import summary, to_json
from omnireward.experiments.folder import RESULTS, read_all
from omnireward.experiments.page import to_html
from omnireward.experiments.results import Results

SUMMARY, PAGE = "experiments.json", "index.html"


def write(results: Results, out: Path) -> None:
    """Write `results.json` into the experiment's folder, then `experiments.json` and `index.html` over all of `out`.

    Raises:
        SourceError: the results of another experiment in `out` cannot be read.
    """
    atomic.write_text(out / results.experiment.name / RESULTS, to_json(results))
    found = read_all(out)
    atomic.write_text(out / SUMMARY, summary(found))
    atomic.write_text(out / PAGE, to_html(found))
