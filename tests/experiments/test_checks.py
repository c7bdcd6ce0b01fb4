"""What is found before anything is trained: a place, a group, a task or a model that there is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.experiments.conftest import WriteExperiment

from omnireward.cli import main
from omnireward.errors import RecipeError
from omnireward.experiments.checks import check
from omnireward.experiments.plan import Asked, plan
from omnireward.experiments.reading import read


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tests": {"x": "minature"}}, "little: the test 'x': .*Did you mean miniature"),
        ({"tests": {"x": "miniature:promts=3"}}, "promts"),
        ({"arms": {"x": {"datasets": {"minature": 1.0}}}}, "little, x, seed 0: its data: .*Did you mean miniature"),
        ({"figures": {"f": {"group": "shfted"}}}, "little: figures, f: the test 'small' .*Did you mean shifted"),
        ({"figures": {"f": {"tasks": ["T2T", "T2I"]}}}, "figures, f: .*Tasks there: T2T."),
        ({"figures": {"f": {"group": "general", "criterion": "with"}}}, "holds no sample of its kind. Groups there: "),
    ],
    ids=["test", "setting", "data", "group", "task", "both"],
)
def test_what_is_not_there_is_told(changes: dict[str, Any], message: str, write_experiment: WriteExperiment) -> None:
    found = plan(read(str(write_experiment(**changes))), Asked(Path("out"), (0,)))
    with pytest.raises(RecipeError, match=message):
        check([found])


def test_what_is_there_passes(write_experiment: WriteExperiment) -> None:
    figures = {"overall": {}, "shifted": {"group": "shifted"}, "T2T": {"tasks": ["T2T"], "criterion": "with"}}
    figures |= {"fall": {"minus": ["overall", "shifted"]}}
    check([plan(read(str(write_experiment(figures=figures))), Asked(Path("out"), (0,)))])


def test_the_command_checks_before_it_trains(
    write_experiment: WriteExperiment, here: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    write_experiment(figures={"f": {"group": "shfted"}})
    assert main(["experiment", "little.yaml", "--out", "out", "--seeds", "0"]) == 2
    assert "Did you mean shifted" in capsys.readouterr().err
    assert here == []
