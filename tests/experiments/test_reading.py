"""An experiment's file: those shipped, and files that cannot be used, some of them hostile."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from tests.experiments.conftest import WriteExperiment

from omnireward.errors import RecipeError
from omnireward.experiments import reading
from omnireward.experiments.plan import Asked, plan
from omnireward.sources import open_place
from omnireward.types import Task

EXPECTED: dict[str, Any] = {"says": "x", "figure": "overall", "arms": ["all"]}


@pytest.mark.parametrize("name", reading.names())
def test_a_shipped_experiment_can_be_planned(name: str, tmp_path: Path) -> None:
    """Every arm is parsed by the parser of `omnireward train`, every test is a place, all figures belong together."""
    found = plan(reading.read(name), Asked(tmp_path, (0, 1, 2)))
    assert all(len(runs) == 3 for runs in found.runs.values())
    for where in found.experiment.tests.values():
        open_place("benchmarks", where)
    assert found.experiment.plots


def test_the_papers_table_stands_beside_ours() -> None:
    """The numbers of the paper's ablation, as they are printed there."""
    assert reading.read("table3").paper_numbers["overall"] == {
        "everything": 65.36,
        "T2T only": 57.13,
        "TI2T only": 58.84,
        "T2I+T2V only": 57.50,
    }
    assert reading.read("table3").paper_others["overall"] == {"the base model, asked in words": 46.67}
    assert reading.read("criteria").paper_numbers["overall"]["without criteria"] == 58.67
    assert reading.read("shifted").paper_others["fall"] == {"GPT-4o-mini": 26.32, "Claude 3.5 Sonnet": 18.50}


def test_what_a_file_says_is_what_is_read(write_experiment: WriteExperiment) -> None:
    figures = {
        "all": {},
        "pictures": {"tasks": ["T2I", "text_image_to_image"], "measure": "without_ties"},
        "shifted": {"group": "shifted"},
        "agreement": {"measure": "alpha"},
        "fall": {"minus": ["all", "shifted"]},
    }
    expected = [{"says": "It  is\nso.", "figure": "fall", "arms": ["all"], "than": ["other"], "at_most": 3}]
    found = reading.read(str(write_experiment(figures=figures, expectations=expected)))
    assert found.name == "little"
    assert found.figures["pictures"].tasks == (Task.T2I, Task.TI2I)
    assert {name: one.macro for name, one in found.figures.items()} == {
        "all": True,
        "pictures": True,
        "shifted": False,
        "agreement": False,
        "fall": True,
    }
    assert [one.points for one in found.figures.values()] == [True, True, True, False, True]
    (one,) = found.expectations
    assert (one.says, one.than, one.than_figure, one.at_least, one.at_most) == (
        "It is so.",
        ("other",),
        "fall",
        None,
        3,
    )
    assert found.arms["other"].changes == {"learning_rate": 0.01}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"titel": "x"}, "unknown key 'titel'. Did you mean title"),
        ({"arms": None}, "no 'arms'"),
        ({"arms": {}}, "arms: there is none"),
        ({"arms": ["all"]}, "is a mapping from names to values"),
        ({"arms": {"x": {"lerning_rate": 1}}}, "arms, x: unknown key 'lerning_rate'. Did you mean learning_rate"),
        ({"arms": {"x": {"seed": 1}}}, "'seed' is not an arm's to change"),
        ({"train": {"model": "/etc"}}, "'model' is not an arm's to change"),
        ({"arms": {"x": {"untrained": True, "steps": 1}}}, "an untrained arm changes nothing, and this one has steps"),
        ({"arms": {"x": {"untrained": "yes"}}}, "untrained is true or false"),
        ({"arms": {"a\x1b[2J": {}}}, "printable characters"),
        ({"arms": {str(n): {} for n in range(101)}}, "at most 100 names"),
        ({"figures": {"x": {"mesure": "alpha"}}}, "figures, x: unknown key 'mesure'. Did you mean measure"),
        ({"figures": {"x": {"measure": "accuracy"}}}, "figures, x, measure: is 'accuracy'"),
        ({"figures": {"x": {"tasks": ["T2X"]}}}, "T2X"),
        ({"figures": {"y": {}, "x": {"minus": ["x", "y"]}}}, "'x' is a difference itself"),
        ({"figures": {"x": {}, "y": {"minus": ["x"]}}}, "minus takes two figures"),
        ({"figures": {"x": {}, "y": {"measure": "alpha"}, "z": {"minus": ["x", "y"]}}}, "are not of one kind"),
        ({"figures": {"x": {"test": "big"}}}, "figures, x, test: is 'big'. Known: small"),
        ({"tests": {"a": "miniature", "b": "miniature"}}, "there are several tests, so it says which: a, b"),
        ({"expectations": [{"says": "x", "figure": "overall", "arms": ["all"]}]}, "either at_least or at_most"),
        ({"expectations": [{"says": "x", "figure": "overall", "arms": [], "at_most": 1}]}, "arms names none"),
        ({"expectations": [{"says": "x", "figure": "overall", "arms": ["al"], "at_most": 1}]}, "Did you mean all"),
        ({"expectations": [{"says": "x", "figure": "overall", "arms": ["all"], "at_most": True}]}, "finite number"),
        ({"expectations": [EXPECTED | {"at_least": 10**400}]}, "expectations, number 1, at_least: is a finite number"),
        ({"expectations": [EXPECTED | {"at_least": 0.05}]}, "at_least is in percent, or points, here: 0.05 is next to"),
        ({"expectations": [EXPECTED | {"at_least": 1, "than": ["all"]}]}, "'all' is compared with itself"),
        ({"paper_numbers": {"overall": {"everything": 1}}}, "paper_numbers, overall: is 'everything'"),
        ({"plots": [{"kind": "line", "figures": ["overall"]}]}, "says with x where arms stand"),
        ({"question": "x" * 2001}, "at most 2,000 characters"),
        ({"note": ["<b>"]}, "note: is text"),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_why(
    changes: dict[str, Any], message: str, write_experiment: WriteExperiment
) -> None:
    path = write_experiment(**changes)
    with pytest.raises(RecipeError) as caught:
        reading.read(str(path))
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value)) < 1200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- title", "the file: is a mapping"),
        ("title: [", "not YAML"),
        ("title: !!python/object/apply:os.getcwd []", "not YAML"),
        ("a: &x [1]\nb: [*x, *x]", "aliases are not read"),
        ("title: a\ntitle: b", "'title' is there twice"),
        ("title: .nan", "JSON has no word for"),
        ("[" * 400, "not YAML"),
        ("x: " + "y" * 100_001, "larger than 100,000 bytes"),
        ("title: 2024-13-45", "not YAML"),
        ("title: " + "9" * 5000, "not YAML"),
        ("title: 0x" + "f" * 5000, "JSON has no word for"),
        ("title: !!timestamp x", "not YAML"),
        ("title: !!bool x", "not YAML"),
        ('title: "\\ud800"', "JSON has no word for"),
        ('arms: {x: {datasets: {"\\udfff": 1}}}', "JSON has no word for"),
        ("? [a, b]\n: c", "not YAML"),
    ],
    ids=[
        "a list",
        "broken",
        "a python object",
        "aliases",
        "twice",
        "no number",
        "deep",
        "large",
        "no day",
        "digits",
        "hex digits",
        "no time",
        "no bool",
        "surrogate",
        "surrogate as key",
        "list as key",
    ],
)
def test_a_hostile_file_is_refused(text: str, message: str, place: Path) -> None:
    path = place / "hostile.yaml"
    path.write_text(text)
    with pytest.raises(RecipeError, match=message.replace("(", r"\(")):
        reading.read(str(path))


def test_many_keys_are_read_in_one_pass(place: Path) -> None:
    """A quadratic look for keys that are there twice would take a minute and more."""
    path = place / "hostile.yaml"
    path.write_text("{" + ",".join(f"{n:x}z" for n in range(16_000)) + "}")
    began = time.process_time()
    with pytest.raises(RecipeError, match="at most 100 names"):
        reading.read(str(path))
    assert time.process_time() - began < 10


def test_an_arm_may_be_compared_with_itself_in_another_figure(write_experiment: WriteExperiment) -> None:
    expected = EXPECTED | {"at_least": 0, "than": ["all"], "than_figure": "shifted"}
    figures = {"overall": {}, "shifted": {"group": "shifted"}}
    (one,) = reading.read(str(write_experiment(figures=figures, expectations=[expected]))).expectations
    assert one.than == one.arms


@pytest.mark.parametrize("name", ["runs.yaml", "A.yaml", "a b.yaml", "<b>.yaml", ".yaml", "..yaml"])
def test_a_name_that_would_be_no_folder_of_its_own_is_refused(name: str, place: Path) -> None:
    (place / name).write_text("title: x")
    with pytest.raises(RecipeError, match=r"has its file's name|unknown experiment"):
        reading.read(str(place / name))


def test_an_unknown_experiment_is_told_with_what_there_is() -> None:
    with pytest.raises(RecipeError, match=r"unknown experiment 'tabel3'. Did you mean table3"):
        reading.read("tabel3")
    with pytest.raises(RecipeError, match="cannot be read"):
        reading.read("there/is/none.yaml")
