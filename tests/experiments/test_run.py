"""Trainings and judgements of a tiny experiment: what is there is not made again, and a broken-off run goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.experiments.conftest import RECIPE, WriteExperiment

from omnireward.cli import main
from omnireward.errors import RecipeError, SourceError, TrainingError
from omnireward.experiments.child import do
from omnireward.experiments.jobs import Job
from omnireward.experiments.plan import Asked, Plan, plan
from omnireward.experiments.reading import read
from omnireward.experiments.run import complete, judged
from omnireward.experiments.run import run as run_plans
from omnireward.miniature.lessons import Lesson, lessons
from omnireward.miniature.world import World

EXPECTED: list[dict[str, Any]] = [
    {"says": "More than all are right.", "figure": "overall", "arms": ["all"], "at_least": 101},
    {"says": "Some are right, or none.", "figure": "overall", "arms": ["all"], "at_least": 0},
]


def test_the_command_trains_judges_and_shows_what_fails(
    write_experiment: WriteExperiment, here: list[str], place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two seeds of a trained arm and of an untrained one; the second command makes nothing."""
    write_experiment(arms={"all": {}, "untrained": {"untrained": True}}, expectations=EXPECTED)
    command = ["experiment", "little.yaml", "--out", "out", "--seeds", "0", "1", "--jobs", "1"]
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "FAILS: More than all are right." in out
    assert "holds, and so does its interval: Some are right, or none." in out
    assert "The page with tables and plots: out/index.html" in out
    base, *runs = here
    assert base.startswith("the base ")
    assert runs == [f"little, {arm}, seed {seed}" for arm in ("all", "untrained") for seed in (0, 1)]

    told = json.loads((place / "out" / "little" / "results.json").read_text())
    assert told["command"] == "omnireward experiment little.yaml --seeds 0 1"
    assert told["figures"]["overall"]["arms"].keys() == {"all", "untrained"}
    folders = {digest for arm in told["runs"].values() for digest in arm.values()}
    assert folders == {path.name for path in (place / "out" / "runs").iterdir()}
    weights = {(place / "out" / "runs" / name / "value_head.safetensors").read_bytes() for name in folders}
    assert len(weights) == 4
    before = {path: path.stat().st_mtime_ns for path in (place / "out").rglob("*") if path.is_file()}
    here.clear()
    with pytest.raises(SystemExit) as stopped:
        main([*command, "--strict"])
    assert stopped.value.code == 1
    assert here == []
    after = {path: path.stat().st_mtime_ns for path in (place / "out").rglob("*") if path.is_file()}
    assert after == before


def test_only_what_is_missing_is_made_again(write_experiment: WriteExperiment, here: list[str], place: Path) -> None:
    """A run without weights, one that broke off while it judged, and a second experiment with another test."""
    asked = Asked(place / "out", (0,))
    arms = {"all": {}, "other": {"learning_rate": 0.01}}
    one = plan(read(str(write_experiment(arms=arms))), asked)
    finished: list[str] = []

    def note(done: Plan) -> None:
        finished.append(done.experiment.name)

    run_plans([one], asked, 1, note)
    all_, other = (runs[0] for runs in one.runs.values())
    assert complete(all_)
    lines = (other.folder / _only(other.tests) / "judgements.jsonl").read_bytes().splitlines(keepends=True)
    (other.folder / _only(other.tests) / "judgements.jsonl").write_bytes(b"".join(lines[:4]) + lines[4][:20])
    shutil.rmtree(all_.folder)
    assert not complete(all_)
    assert not judged(other.folder / _only(other.tests))
    weights = (other.folder / "value_head.safetensors").stat().st_mtime_ns

    here.clear()
    two = plan(
        read(str(write_experiment("two", arms={"all": {}}, tests={"b": "miniature:prompts=2,tasks=T2T"}))), asked
    )
    run_plans([one, two], asked, 1, note)
    assert here == ["little, all, seed 0", "little, other, seed 0"]
    assert finished == ["little", "two", "little"] or finished == ["little", "little", "two"]
    again = (other.folder / _only(other.tests) / "judgements.jsonl").read_bytes().splitlines(keepends=True)
    assert again[:4] == lines[:4]  # what was on the disk was not judged again; the last bits of the rest may differ
    assert [json.loads(line)["key"] for line in again] == [json.loads(line)["key"] for line in lines]
    assert (other.folder / "value_head.safetensors").stat().st_mtime_ns == weights
    assert len([path for path in all_.folder.iterdir() if path.is_dir()]) == 2


def _only(names: dict[str, str]) -> str:
    (name,) = names
    return name


def test_a_training_that_was_stopped_goes_on(
    write_experiment: WriteExperiment, here: list[str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after its first step of two by a signal; the weights are those of a run that was not."""
    import os
    import signal

    from omnireward.train.bradley_terry import BradleyTerryTrainer

    step: Callable[..., Any] = BradleyTerryTrainer.training_step

    def stopping(self: Any, *arguments: Any, **more: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return step(self, *arguments, **more)

    path = write_experiment(arms={"all": {}})
    plans = {name: plan(read(str(path)), Asked(place / name, (0,))) for name in ("whole", "stopped")}
    run_plans([plans["whole"]], Asked(place / "whole", (0,)), 1, lambda _: None)
    with monkeypatch.context() as patched:
        patched.setattr(BradleyTerryTrainer, "training_step", stopping)
        with pytest.raises(Exception, match="stopped after step 1"):
            run_plans([plans["stopped"]], Asked(place / "stopped", (0,)), 1, lambda _: None)
    run_plans([plans["stopped"]], Asked(place / "stopped", (0,)), 1, lambda _: None)
    heads = [one.runs["all"][0].folder / "value_head.safetensors" for one in plans.values()]
    assert heads[0].read_bytes() == heads[1].read_bytes()


def test_an_experiment_whose_figures_cannot_be_made_lets_the_others_go_on(
    write_experiment: WriteExperiment, here: list[str], place: Path
) -> None:
    write_experiment("a", arms={"all": {}}, figures={"none": {"group": "there is none"}})
    write_experiment("b", arms={"all": {}, "untrained": {"untrained": True}})
    asked = Asked(place / "out", (0,))
    plans = [plan(read(f"{name}.yaml"), asked) for name in ("a", "b")]
    finished: list[str] = []

    def finish(done: Plan) -> None:
        finished.append(done.experiment.name)
        if done.experiment.name == "a":
            raise SourceError("no sample")

    with pytest.raises(SourceError, match="no sample"):
        run_plans(plans, asked, 1, finish)
    assert finished == ["a", "b"]


def test_a_base_that_fails_takes_only_its_own_runs(
    write_experiment: WriteExperiment, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`whole` is finished first; `bad` is dropped with its base; `good`, which starts from another, goes on."""
    for name, change in (("bad", {"teach_language": 1}), ("good", {"limit": 5})):
        (place / f"{name}_recipe.yaml").write_text(yaml.safe_dump(RECIPE | change))
    arms: dict[str, Any] = {"all": {}}
    asked, told = Asked(place / "out", (0,)), list[str]()
    whole = plan(read(str(write_experiment("whole", arms=arms))), asked)
    plans = [plan(read(str(write_experiment(n, arms=arms, recipe=f"{n}_recipe.yaml"))), asked) for n in ("bad", "good")]
    done = {run.digest for run in whole.runs["all"].values()}

    def work(todo: Sequence[Job], beside: int, ended: Callable[[], None] = lambda: None) -> None:
        for job in todo:
            if job.told["kind"] == "base" and job.told["folder"] == plans[0].base.folder:
                continue
            told.append(job.said)
            folder = Path(job.told["folder"])
            folder.mkdir(parents=True)
            done.add(folder.name)
            ended()
        if any(job.told["folder"] == plans[0].base.folder for job in todo):
            raise TrainingError("1 of 2 failed; all others are done.")

    monkeypatch.setattr("omnireward.experiments.run.work", work)
    monkeypatch.setattr("omnireward.experiments.run.complete", lambda one: one.digest in done)
    with pytest.raises(TrainingError) as caught:
        run_plans([*plans, whole], asked, 1, lambda one: told.append(f"finished {one.experiment.name}"))
    good = f"the base {Path(plans[1].base.folder).name}"
    assert told == ["finished whole", good, "good, all, seed 0", "finished good"]
    assert str(caught.value).splitlines() == [
        "1 of 2 failed; all others are done.",
        "Not begun, as they start from it: bad, all, seed 0.",
    ]


def test_a_run_that_is_not_whole_after_all_is_an_error(
    write_experiment: WriteExperiment, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All children say that they ended well, and left nothing."""

    def work(todo: Sequence[Job], beside: int, ended: Callable[[], None] = lambda: None) -> None:
        for job in todo:
            Path(job.told["folder"]).mkdir(parents=True)

    monkeypatch.setattr("omnireward.experiments.run.work", work)
    asked = Asked(place / "out", (0,))
    with pytest.raises(TrainingError, match=r"ended well, and yet .* to the end: little, all, seed 0; little, other"):
        run_plans([plan(read(str(write_experiment())), asked)], asked, 1, lambda _: None)


def test_a_judgement_that_was_tried_again_is_one(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"samples": 2}')
    for text, whole in (
        ('{"key": "a"}\n{"key": "a"}\n', False),
        ('{"key": "a"}\n{"key": "b"}', False),
        ('{"key": "a"}\n{"key": "a"}\n{"key": "b"}\n', True),
        ('{"key": "a"}\nbroken\n', False),
    ):
        (tmp_path / "judgements.jsonl").write_text(text)
        assert judged(tmp_path) is whole


def test_untrained_is_always_a_new_head(write_experiment: WriteExperiment, here: list[str], place: Path) -> None:
    """From a reward model as well, whose own head is not kept, nor its tie head; in the recipe's layout."""
    (place / "paper.yaml").write_text(yaml.safe_dump(RECIPE | {"layout": "paper"}))
    arms = {"all": {}, "untrained": {"untrained": True}}
    path, asked = write_experiment(recipe="paper.yaml", arms=arms), Asked(place / "out", (0,))
    first = plan(read(str(path)), asked)
    run_plans([first], asked, 1, lambda _: None)
    trained, plain = (first.runs[arm][0].folder for arm in arms)
    assert json.loads((plain / "omnireward.json").read_text())["layout"] == "paper"

    from_trained = plan(read(str(path)), replace(asked, model=str(trained)))
    run = from_trained.runs["untrained"][0]
    do({"kind": "run", "flags": run.flags, "folder": str(run.folder), "untrained": True, "said": "x", "tests": {}})
    heads = [(folder / "value_head.safetensors").read_bytes() for folder in (trained, plain, run.folder)]
    assert heads[2] == heads[1] != heads[0]
    assert not (run.folder / "tie_head.safetensors").exists()


def test_one_runner_at_a_time(write_experiment: WriteExperiment, here: list[str], place: Path) -> None:
    asked = Asked(place / "out", (0,))
    plans = [plan(read(str(write_experiment(arms={"untrained": {"untrained": True}}))), asked)]

    def again(_: Plan) -> None:
        run_plans(plans, asked, 1, lambda _: None)

    with pytest.raises(RecipeError, match="another 'omnireward experiment' works in"):
        run_plans(plans, asked, 1, again)


def test_a_base_with_teaching_is_taught_once(
    write_experiment: WriteExperiment, here: list[str], place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For one step, with the lessons of a little world; arms load it and are taught nothing."""
    taught: list[int] = []

    def few(_: World) -> Iterator[Lesson]:
        taught.append(1)
        return lessons(World(prompts=1, tasks="T2T"))

    monkeypatch.setattr("omnireward.train.base.lessons", few)
    (place / "taught.yaml").write_text(yaml.safe_dump(RECIPE | {"teach_language": 1, "steps": 1}))
    write_experiment(recipe="taught.yaml", arms={"all": {}})
    assert main(["experiment", "little.yaml", "--out", "out", "--seeds", "0", "1"]) == 0
    assert taught == [1]
    kept = [yaml.safe_load(path.read_text()) for path in (place / "out" / "runs").glob("*/config.yaml")]
    assert len(kept) == 2
    assert all(one["teach_language"] == 0 and "base/" in one["model"] for one in kept)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "name an experiment, a .yaml file, or all. There are: "),
        (["tabel3"], "Did you mean table3"),
        (["table3", "--seeds", "1", "1"], "seeds are 1 to 100 different whole numbers"),
        (["table3", "--jobs", "0"], "jobs is 1 to 64, not 0"),
        (["table3", "--steps", "0"], "steps must be at least 1"),
        (["table3", "--recipe", "miniatur"], "Did you mean miniature"),
        (["in/little.yaml", "little.yaml"], "two experiments have one name: little, little"),
    ],
)
def test_a_command_that_cannot_be_used_says_why(
    words: list[str], message: str, write_experiment: WriteExperiment, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "in").mkdir()
    shutil.copy(write_experiment(), place / "in" / "little.yaml")
    try:
        code = main(["experiment", *words])
    except SystemExit as stopped:  # the flag parser's
        code = int(stopped.code or 0)
    assert code == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_the_list_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["experiment", "--list"]) == 0
    assert "table3 " in capsys.readouterr().out
