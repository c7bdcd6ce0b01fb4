"""Write what was found: inspection.json for programs, inspection.html for people."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from omnireward import atomic, gallery
from omnireward.inspection.findings import Inspection
from omnireward.inspection.page import to_html
from omnireward.types import Sample


def to_json(found: Inspection) -> str:
    """All of it as JSON text."""
    return json.dumps(asdict(found), indent=2) + "\n"


def write(found: Inspection, shown: Sequence[tuple[int, Sample]], folder: Path) -> None:
    """Write inspection.json, inspection.html and shown.jsonl (the samples on the page with their media)."""
    gallery.write(shown, folder / "shown.jsonl")
    lines = (folder / "shown.jsonl").read_bytes().splitlines()
    cards = [
        {**json.loads(line), "id": sample.id, "task": sample.task.short, "preference": sample.preference}
        for line, (_, sample) in zip(lines, shown, strict=True)
    ]
    page = to_html(found, cards)
    atomic.write_text(folder / "inspection.json", to_json(found))
    atomic.write_text(folder / "inspection.html", page.encode("utf-8", "xmlcharrefreplace").decode())
