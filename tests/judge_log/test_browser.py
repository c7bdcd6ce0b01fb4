"""The page in a browser, from its file: filters, no complaints, and nothing wider than a telephone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.web import browser

from omnireward.judge_log import RolloutGroup, RolloutLog, write_page
from omnireward.types import Sample


@pytest.fixture
def started(tmp_path: Path) -> Iterator[browser.Browser]:
    program = browser.find()
    if program is None:
        pytest.skip(f"none of {', '.join(browser.NAMES)} is installed")
    with browser.running(program, tmp_path / "profile") as running:
        yield running


def test_groups_and_answers_can_be_chosen(
    started: browser.Browser, group: RolloutGroup, sample: Sample, out: Path
) -> None:
    """Steps 1 to 4, of which each has an answer that is right, and one that is wrong; in step 4 that one is empty."""
    right, wrong = group.answers
    empty = replace(wrong, text="", fault="empty", verdict=None)
    log = RolloutLog(out, 9)
    for step in (1, 2, 3):
        task = "T2T" if step == 3 else "T2I"
        log.add(replace(group, step=step, task=task), sample)
    log.add(replace(group, step=4, answers=(right, empty)), sample)
    (out / "log.jsonl").write_text('{"step": 1, "reward": 0.5}\n{"step": 2, "reward": 0.6}\n')
    tab = started.open(write_page(out).resolve().as_uri(), width=390, height=800)

    def choose(name: str, value: str) -> tuple[list[str], int]:
        """The steps, and the number of answers, that are seen then."""
        tab.value(
            f"(() => {{ const e = document.getElementById('filters').elements['{name}']; e.value = '{value}';"
            "e.dispatchEvent(new Event('input', {bubbles: true})); })()"
        )
        seen = "[...document.querySelectorAll('{}')].filter((e) => e.checkVisibility())"
        return (
            tab.value(seen.format(".card") + ".map((e) => e.dataset.step)"),
            tab.value(seen.format(".answer") + ".length"),
        )

    assert choose("task", "") == (["4", "3", "2", "1"], 8)
    assert choose("task", "T2T") == (["3"], 2)
    assert choose("task", "")[0] == ["4", "3", "2", "1"]
    assert choose("outcome", "wrong") == (["3", "2", "1"], 3)
    assert choose("from", "2") == (["3", "2"], 2)
    assert choose("to", "2") == (["2"], 1)
    assert tab.text("#shown-count") == "1 of 4 groups shown"
    tab.click("#filters button")
    tab.wait("document.getElementById('shown-count').innerText === '4 of 4 groups shown'")
    assert choose("fault", "empty") == (["4"], 1)
    assert tab.complaints() == []
    assert tab.value("document.documentElement.scrollWidth") == 390
