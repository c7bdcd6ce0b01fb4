"""Which runs there are: what shares a digest, what does not, and what an older run may differ in."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.experiments.conftest import RECIPE, WriteExperiment

from omnireward import provenance
from omnireward.errors import RecipeError
from omnireward.experiments.plan import Asked, Plan, check_kept, folder_of, plan, shared
from omnireward.experiments.reading import read

MODEL = f"some/model@{'1' * 40}"


@pytest.fixture
def asked(place: Path) -> Asked:
    return Asked(place / "out", (0, 1))


def planned(path: Path, asked: Asked) -> Plan:
    return plan(read(str(path)), asked)


def digests(found: Plan) -> list[str]:
    return [run.digest for runs in found.runs.values() for run in runs.values()]


def test_experiments_share_the_runs_that_they_have_in_common(write_experiment: WriteExperiment, asked: Asked) -> None:
    one = planned(write_experiment("one", arms={"everything": {}, "little": {"steps": 1}}), asked)
    two = planned(write_experiment("two", arms={"baseline": {"steps": 2}}, tests={"b": "miniature"}), asked)
    assert len({*digests(one)}) == 4
    assert digests(two) == digests(one)[:2]  # the recipe has 2 steps
    runs = shared([one, two])
    assert [run.digest for run in runs] == digests(one)
    assert [len(run.tests) for run in runs] == [2, 2, 1, 1]
    assert one.base == two.base


def test_a_digest_is_of_what_is_learned_alone(write_experiment: WriteExperiment, asked: Asked) -> None:
    path = write_experiment()
    first = planned(path, asked)
    assert digests(planned(path, replace(asked, out=asked.out / "else"))) == digests(first)
    same = write_experiment("same", arms={"all": {"log_every": 5, "save_every": 7, "report_to": "none"}})
    assert digests(planned(same, asked)) == digests(first)[:2]
    for changed in (
        replace(asked, steps=7),
        replace(asked, model=f"org/model@{'a' * 40}"),
        replace(asked, seeds=(2, 3)),
    ):
        assert not {*digests(planned(path, changed))[:2]} & {*digests(first)}
    (asked.out.parent / "longer.yaml").write_text(yaml.safe_dump(RECIPE | {"teach_language": 3}))
    taught = planned(path, replace(asked, recipe="longer.yaml"))
    assert taught.base.key != first.base.key
    assert not {*digests(taught)} & {*digests(first)}  # untrained ones too: they start from another base


def test_every_arm_starts_from_the_base_and_is_taught_nothing(write_experiment: WriteExperiment, asked: Asked) -> None:
    (asked.out.parent / "taught.yaml").write_text(yaml.safe_dump(RECIPE | {"teach_towers": 4, "teach_language": 3}))
    found = planned(write_experiment(recipe="taught.yaml"), asked)
    config = found.runs["other"][1].config
    assert (config.model, config.seed, config.learning_rate) == (found.base.folder, 1, 0.01)
    assert not config.taught
    assert config.resume
    assert config.out == asked.out / "runs" / found.runs["other"][1].digest
    assert Path(found.base.folder).parent == asked.out / "base"
    given = planned(write_experiment(recipe="taught.yaml"), replace(asked, model=MODEL))
    assert given.base.flags == ()
    assert given.runs["all"][0].config.model == MODEL


@pytest.mark.parametrize(
    "change", [{"ties": "drop"}, {"tie_share": 0.5}, {"skip_bad_rows": True}, {"layout": "paper"}], ids=str
)
def test_a_base_is_of_all_that_makes_it(
    change: dict[str, Any], write_experiment: WriteExperiment, asked: Asked
) -> None:
    """Its tokenizer learns of the data that are left, and it is taught in the layout."""
    first, second = (planned(write_experiment(train=train), asked) for train in ({}, change))
    assert first.base.key != second.base.key
    untrained = [one.runs["untrained"][0].digest for one in (first, second)]
    assert untrained[0] != untrained[1]


def test_a_models_folder_is_known_by_its_weights(write_experiment: WriteExperiment, asked: Asked) -> None:
    """Other weights under the old name are another base; the same weights under another name are not."""
    path, folder = write_experiment(), asked.out.parent / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"one")
    first = planned(path, replace(asked, model=str(folder)))
    copy = shutil.copytree(folder, folder.with_name("copy"))
    assert digests(planned(path, replace(asked, model=str(copy)))) == digests(first)
    (folder / "model.safetensors").write_bytes(b"two")
    second = planned(path, replace(asked, model=str(folder)))
    assert not {*digests(first)} & {*digests(second)}
    (folder / "model.safetensors").unlink()
    for missing in (folder, folder / "typo"):
        with pytest.raises(RecipeError, match="is no folder that holds weights"):
            planned(path, replace(asked, model=str(missing)))


@pytest.mark.parametrize("model", ["tiny", "tiny:text"])
def test_a_tiny_model_is_not_there_to_start_from(model: str, write_experiment: WriteExperiment, asked: Asked) -> None:
    with pytest.raises(RecipeError, match="Leave --model out"):
        planned(write_experiment(), replace(asked, model=model))


@pytest.mark.parametrize("how", ["{}", "samples:{}", "samples:{}?x=1"])
def test_data_on_this_disk_are_known_by_their_files(how: str, write_experiment: WriteExperiment, asked: Asked) -> None:
    """A row changed under the same name is trained on, and judged, anew."""
    folder = asked.out.parent / "data"
    (folder / "in").mkdir(parents=True)
    (folder / "in" / "rows.jsonl").write_text("{}\n")
    where = how.format(folder)
    path = write_experiment(
        arms={"all": {"datasets": {where: 1.0}}, "untrained": {"untrained": True}}, tests={"x": where}
    )
    first, again = planned(path, asked), planned(path, asked)
    assert (digests(first), first.tests) == (digests(again), again.tests)
    (folder / "in" / "rows.jsonl").write_text("{ }\n")
    changed = planned(path, asked)
    assert not {*digests(first)[:2]} & {*digests(changed)}
    assert digests(first)[2:] == digests(changed)[2:]  # untrained, from the base of the recipe's own data
    assert first.tests != changed.tests
    assert [*changed.runs["all"][0].tests] == [changed.tests["x"]]


def test_steps_typed_override_every_arm(write_experiment: WriteExperiment, asked: Asked) -> None:
    path = write_experiment(train={"steps": 5}, arms={"all": {}, "longer": {"steps": 9}})
    assert [runs[0].config.steps for runs in planned(path, asked).runs.values()] == [5, 9]
    assert [runs[0].config.steps for runs in planned(path, replace(asked, steps=3)).runs.values()] == [3, 3]


def test_a_run_of_an_older_default_is_refused(write_experiment: WriteExperiment, asked: Asked) -> None:
    """As if the default of `max_grad_norm` had been 5 when it was trained; what it did not know yet is no matter."""
    run = planned(write_experiment(), asked).runs["all"][0]
    check_kept(run)  # nothing is there
    provenance.save_config("train", run.config, run.folder)
    check_kept(run)
    kept = yaml.safe_load((run.folder / "config.yaml").read_text())
    del kept["head_dropout"]
    (run.folder / "config.yaml").write_text(yaml.safe_dump(kept | {"model": "moved", "log_every": 99}))
    check_kept(run)
    (run.folder / "config.yaml").write_text(yaml.safe_dump(kept | {"max_grad_norm": 5.0}))
    with pytest.raises(RecipeError, match=r"was trained with max_grad_norm 5.0, and .* mean 1.0 now"):
        check_kept(run)
    (run.folder / "config.yaml").write_text("- nothing")
    with pytest.raises(RecipeError, match="is no config of a training"):
        check_kept(run)


@pytest.mark.parametrize("name", ["../../etc", "samples:/data/x", "miniature:turns=3", "Miniature", "ä" * 80, ""])
def test_a_tests_folder_is_one_plain_name(name: str) -> None:
    found = folder_of(name)
    assert found.replace("-", "").replace("_", "").isalnum()
    assert found.isascii()
    assert found != folder_of(name + "x")


def test_planning_loads_no_torch() -> None:
    script = "import sys, omnireward.experiments.plan, omnireward.experiments.build; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
