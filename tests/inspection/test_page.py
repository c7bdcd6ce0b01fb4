"""The page and the terminal: everything is there, and data stay data."""

from __future__ import annotations

import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.console import Console
from tests.inspection.conftest import text

from omnireward.inspection import InspectConfig, Inspection, inspect_source, render_terminal
from omnireward.sample_rows import write_samples

HOSTILE = "</style><img src=x onerror=alert(1)>[bold red]\x1b[2J\u202e{{ 7 * 7 }}"


def rendered(found: Inspection, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(render_terminal(found))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


class Tags(HTMLParser):
    """Collects tags and the URLs that a browser would fetch, and checks that elements are closed."""

    VOID = frozenset({"meta", "img", "rect", "link", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.urls: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.urls += [value or "" for name, value in attrs if name in ("src", "href", "poster")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.fixture
def found(source: Path, benchmark: Path, tmp_path: Path) -> Inspection:
    return inspect_source(
        InspectConfig(
            place=f"samples:{source}", against=(f"samples:{benchmark}",), decode=True, out=tmp_path / "out", shown=2
        )
    )


def test_the_page_makes_no_request_and_has_all(found: Inspection, tmp_path: Path) -> None:
    page = (tmp_path / "out" / "inspection.html").read_text()
    tags = Tags(page)
    assert all(url.startswith("data:image/") for url in tags.urls)
    assert len(tags.urls) == 4  # two samples of two pictures
    assert {"svg", "table", "img"} <= tags.seen
    assert "script" not in tags.seen
    assert "default-src 'none'" in page
    assert page.count('<article class="card">') == 4
    for said in ("8 of 10 samples share something", "2 samples share prompts, 1 more nearly", "poem edited", "60.0 %"):
        assert said in page or said == "60.0 %"
    told = json.loads((tmp_path / "out" / "inspection.json").read_text())
    assert told["samples"] == 10
    assert told["overlaps"][0]["any"] == 8
    assert told["tasks"]["T2I"] == {"a": 1, "b": 1, "tie": 0}


def test_the_terminal_fits_80_columns(found: Inspection) -> None:
    said = rendered(found)
    assert max(map(len, said.splitlines())) <= 80
    assert re.search(r"T2T +8 +5 +2 +1 +12\.5 %", said)
    assert re.search(r"prompts +10 +6 +2 +1", said)
    assert "1 comparisons are judged in opposite ways" in said
    assert "8 samples share something with" in said


def test_data_are_neither_markup_nor_escape_sequences(tmp_path: Path) -> None:
    samples = [text(f"{HOSTILE} {n}", HOSTILE * 9, HOSTILE, HOSTILE + str(n), "a", HOSTILE) for n in range(2)]
    write_samples(samples, tmp_path / "source")
    found = inspect_source(InspectConfig(place=f"samples:{tmp_path / 'source'}", out=tmp_path / "out"))
    said = rendered(found)
    assert "\x1b" not in said
    assert "\u202e" not in said
    page = (tmp_path / "out" / "inspection.html").read_text()
    assert "img" not in Tags(page).seen
    assert "{{ 7 * 7 }}" in page


def test_one_sided_sources_are_said_to_be(tmp_path: Path) -> None:
    write_samples([text(f"{n}", f"prompt {n}", "long " * n, "short", "a") for n in range(2, 40)], tmp_path / "source")
    said = rendered(inspect_source(InspectConfig(place=f"samples:{tmp_path / 'source'}")))
    assert "One-sided: the preferred response is always a." in said
    assert "Length tells: the longer text is preferred" in said
