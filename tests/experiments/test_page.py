"""results.json, experiments.json, index.html and the terminal: what fails is shown, names stay text, bytes repeat."""

from __future__ import annotations

import io
import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from rich.console import Console
from tests.experiments.conftest import JudgeByHand, WriteExperiment
from tests.experiments.test_measures import hand_made

from omnireward.errors import SourceError
from omnireward.experiments.build import build
from omnireward.experiments.folder import read, read_all
from omnireward.experiments.results import Results
from omnireward.experiments.terminal import render
from omnireward.experiments.write import write

ATTACK = '"><script>alert(1)</script><img src=x onerror=alert(2)>$\\frac$[bold]{{7*7}}'


class Elements(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.fixture
def results(write_experiment: WriteExperiment, judge_by_hand: JudgeByHand, place: Path) -> Results:
    return made(write_experiment, judge_by_hand, place)


def made(write: WriteExperiment, judge: JudgeByHand, place: Path, **changes: Any) -> Results:
    more = {
        "figures": {"overall": {}, "invariant": {"group": "invariant"}, "shifted": {"group": "shifted"}}
        | {"fall": {"minus": ["invariant", "shifted"]}, "alpha": {"measure": "alpha"}},
        "paper_numbers": {"overall": {"all": 65.36}},
        "paper_others": {"fall": {"another": 26.32}},
        "plots": [
            {"figures": ["overall", "shifted"]},
            {"kind": "line", "figures": ["overall"], "x": {"all": 100, "other": 3}, "x_label": "prompts"},
            {"kind": "heat", "figures": ["invariant", "shifted"]},
        ],
    }
    return build(hand_made(write, judge, place, **(more | changes)), "omnireward experiment little", "miniature")


def in_terminal(results: Results) -> str:
    out = io.StringIO()
    Console(file=out, width=100, color_system=None).print(render(results))
    return out.getvalue()


def test_a_failed_expectation_is_shown_everywhere(results: Results, tmp_path: Path) -> None:
    write(results, tmp_path / "out")
    page = (tmp_path / "out" / "index.html").read_text()
    assert '<span class="badge fails">FAILS</span> It is far above.' in page
    assert '<span class="badge fails">1 of 4 FAILS</span>' in page
    assert "3 of 4 expectations hold; <strong>1 fails</strong>." in page
    assert "overall, all against other: +20.0" in page
    assert "expected at least 21 points" in page
    said = in_terminal(results)
    assert "FAILS: It is far above." in said
    assert "holds: All is well." in said
    (told,) = json.loads((tmp_path / "out" / "experiments.json").read_text())["experiments"]
    assert (told["name"], told["failed"]) == ("little", 1)
    assert told["expectations"][1] == {"says": "It is far above.", "verdict": "FAILS"}
    own = json.loads((tmp_path / "out" / "little" / "results.json").read_text())
    assert [one["verdict"] for one in own["expectations"]].count("FAILS") == 1


def test_figures_intervals_and_the_papers_numbers_stand_in_table_and_json(results: Results, tmp_path: Path) -> None:
    write(results, tmp_path)
    page, said = (tmp_path / "index.html").read_text(), in_terminal(results)
    for text in (page, said):
        assert "90.0" in text
        assert "paper 65.36" in text
    assert "In the paper, fall: another 26.32." in page
    assert "omnireward experiment little" in page
    assert page.count("<svg ") == 3
    told = json.loads((tmp_path / "little" / "results.json").read_text())["figures"]["overall"]
    assert told["percent"] is True
    assert told["arms"]["all"]["value"] == pytest.approx(0.9)
    assert told["arms"]["all"]["paper"] == 65.36
    assert len(told["arms"]["all"]["by_seed"]) == 2
    low, high = told["arms"]["all"]["interval"]
    assert 0.7 < low < 0.9 < high <= 1


def test_the_same_runs_give_the_same_bytes_and_are_read_back_as_they_were(results: Results, tmp_path: Path) -> None:
    write(results, tmp_path / "one")
    again = read(tmp_path / "one" / "little" / "results.json")
    with matplotlib.rc_context({"font.size": 30, "svg.fonttype": "path"}):  # a user's own settings
        write(again, tmp_path / "two")
    for name in ("index.html", "experiments.json", "little/results.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert again.experiment == results.experiment
    assert again.runs == results.runs


def test_the_page_is_over_all_experiments_of_the_folder(results: Results, tmp_path: Path) -> None:
    write(results, tmp_path)
    shutil.copytree(tmp_path / "little", tmp_path / "another")
    write(results, tmp_path)
    page = (tmp_path / "index.html").read_text()
    assert "<h1>2 experiments</h1>" in page
    identities = [tag[1]["id"] for tag in Elements(page).tags if tag[1].get("id")]
    assert len({*identities}) == len(identities)
    assert {"another", "little"} <= {*identities}
    assert len(json.loads((tmp_path / "experiments.json").read_text())["experiments"]) == 2


def test_of_many_comparisons_those_that_fail_are_shown(
    write_experiment: WriteExperiment, judge_by_hand: JudgeByHand, place: Path
) -> None:
    """`all` is 20 points ahead of `other` and 40 of `untrained`; each is named three times."""
    says = [
        {"says": "It is so.", "figure": "overall", "arms": ["all"], "than": ["other", "untrained"] * 3, "at_least": 30}
    ]
    found = made(write_experiment, judge_by_hand, place, expectations=says)
    write(found, place / "out")
    assert "<summary>3 of 6 comparisons fail</summary>" in (place / "out" / "index.html").read_text()
    said = in_terminal(found)
    assert "all against other: +20.0" in said
    assert "all against untrained" not in said


def test_names_stay_text_and_the_page_makes_no_request(
    write_experiment: WriteExperiment, judge_by_hand: JudgeByHand, place: Path
) -> None:
    arms: dict[str, Any] = {"all": {}, "other": {"learning_rate": 0.01}, "untrained": {"untrained": True}}
    figures = {"overall": {}, ATTACK: {"group": "shifted"}, "alpha": {"measure": "alpha"}}
    changes = {"title": ATTACK, "question": ATTACK, "note": ATTACK, "paper": ATTACK, "arms": arms, "figures": figures}
    plots = [
        {"kind": "dots", "figures": [ATTACK], "title": ATTACK},
        {"kind": "heat", "figures": [ATTACK]},
        {"kind": "line", "figures": [ATTACK], "x": {"all": 0, "other": 0}, "x_label": ATTACK},
    ]
    numbers = {"paper_numbers": {ATTACK: {"all": 1}}, "paper_others": {ATTACK: {ATTACK: 2}}, "plots": plots}
    says = [{"says": ATTACK, "figure": ATTACK, "arms": ["all"], "at_least": 1}]
    found = made(write_experiment, judge_by_hand, place, expectations=says, **changes, **numbers)
    write(found, place / "out")
    page = (place / "out" / "index.html").read_text()
    elements = Elements(page)
    assert not {"script", "img", "iframe", "link", "object"} & {tag for tag, _ in elements.tags}
    assert "<script" not in page
    for tag, attributes in elements.tags:
        assert not any(name.startswith("on") for name in attributes), tag
        for name in ("href", "xlink:href", "src"):
            assert (attributes.get(name) or "#").startswith("#"), (tag, attributes)
    (policy,) = [a["content"] for t, a in elements.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    assert "{{7*7}}" in page
    assert "[bold]" in in_terminal(found)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("seeds",), "x"),
        (("figures", "overall", "arms", "all", "value"), "much"),
        (("figures", "overall", "arms", "all", "interval"), [1]),
        (("figures", "overall"), None),
        (("experiment", "titel"), "x"),
        (("experiment",), []),
        (("expectations",), []),
        (("expectations", 0, "found", 0, "holds"), "yes"),
    ],
    ids=str,
)
def test_results_that_were_changed_are_refused(
    path: tuple[str | int, ...], value: object, results: Results, tmp_path: Path
) -> None:
    write(results, tmp_path)
    file = tmp_path / "little" / "results.json"
    told = json.loads(file.read_text())
    inner = told
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    file.write_text(json.dumps(told))
    with pytest.raises(SourceError, match="run its experiment again, or remove its folder"):
        read(file)
    file.write_text("{")
    with pytest.raises(SourceError, match="remove its folder"):
        read(file)


@pytest.mark.parametrize("name", ["<svg onload=x>", "A b", "runs"])
def test_a_folder_of_a_name_that_no_experiment_has_is_refused(name: str, tmp_path: Path) -> None:
    """Names stand in pages and pictures as they are."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "results.json").write_text("{}")
    with pytest.raises(SourceError, match="is no folder of an experiment"):
        read_all(tmp_path)
