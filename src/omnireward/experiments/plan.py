"""What is to be trained and judged: which runs an experiment consists of, and where they lie in the output folder.

    OUT/base/DIGEST/         the base that arms start from
    OUT/runs/DIGEST/         a trained model, and in it
    OUT/runs/DIGEST/TEST/    what it judged of one benchmark
    OUT/NAME/                an experiment's figures

A digest is of what decides the result: the settings that differ from their defaults, the base, and of data on this disk
which files they are now. So two experiments
that have an arm in common share its runs, and a setting that is new in a later version changes no digest of those that
do not use it. Where a default has changed since, a run's own config.yaml tells, and the run is refused.
"""

from __future__ import annotations

import hashlib
import json
import re
import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from omnireward import provenance, recipes
from omnireward.errors import RecipeError
from omnireward.experiments import identity
from omnireward.experiments.nouns import Arm, Experiment
from omnireward.flags import from_flags, to_flags
from omnireward.train.config import TrainConfig

TINY = "tiny"
# Where, how often written and how shown; not what is learned.
NOT_LEARNED = frozenset({"out", "resume", "dry_run", "save_every", "log_every", "report_to"})
# Of what a base is made besides what is always told; a digest is of those that differ from their defaults.
_OF_BASE = ("ties", "tie_share", "skip_bad_rows", "layout")
_PLAIN = re.compile(r"[a-z0-9_]{1,40}")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command line asks for besides the experiments.

    Attributes:
        out: the output folder.
        seeds: of training, each arm once with each.
        recipe: instead of the experiments' own; empty for those.
        model: the base, instead of one that is made and taught; empty for that.
        steps: of every training, whatever recipe and arm say.
    """

    out: Path
    seeds: tuple[int, ...]
    recipe: str = ""
    model: str = ""
    steps: int | None = None


@dataclass(frozen=True, slots=True)
class Base:
    """What arms start from: a folder to be made with `flags`, or a model that is there, without flags."""

    folder: str
    key: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """One training, or none where `untrained`, and what it is to judge.

    Attributes:
        digest: of all that decides the result; the folder's name.
        folder: where it lies.
        base: what it starts from.
        flags: of `omnireward train`.
        untrained: the base with a new head, by the seed in `flags`.
        said: for people: experiment, arm and seed.
        tests: folder's name -> place of a benchmark.
    """

    digest: str
    folder: Path
    base: Base
    flags: tuple[str, ...]
    untrained: bool
    said: str
    tests: dict[str, str] = field(default_factory=dict)

    @property
    def config(self) -> TrainConfig:
        """The flags, parsed."""
        return parsed(self.flags, self.said)


@dataclass(frozen=True, slots=True)
class Plan:
    """An experiment's runs: arm -> seed -> run; and for each of its tests the name of its folder in a run's."""

    experiment: Experiment
    base: Base
    runs: Mapping[str, Mapping[int, Run]]
    tests: Mapping[str, str]


def plan(experiment: Experiment, asked: Asked) -> Plan:
    """Which runs an experiment consists of.

    Raises:
        RecipeError: the recipe, an arm's changes of it, or the model cannot be used.
        CheckpointError: the Hub does not deliver the model.
    """
    recipe = asked.recipe or experiment.recipe
    flags = (*recipes.flags(recipe, "train", TrainConfig), *to_flags(experiment.train, TrainConfig))
    base = base_of(flags, asked)
    data = identity.of_data("benchmarks", experiment.tests.values())
    tests = {name: folder_of(place, data.get(place, "")) for name, place in experiment.tests.items()}
    places = {tests[name]: place for name, place in experiment.tests.items()}
    runs = {
        name: {
            seed: _run(experiment, arm, seed, (*flags, *to_flags(arm.changes, TrainConfig)), base, asked, places)
            for seed in asked.seeds
        }
        for name, arm in experiment.arms.items()
    }
    return Plan(experiment, base, runs, tests)


def shared(plans: Iterable[Plan]) -> list[Run]:
    """The runs of several plans, each once and with the tests of all, in order."""
    found: dict[str, Run] = {}
    for one in plans:
        for runs in one.runs.values():
            for run in runs.values():
                found.setdefault(run.digest, run).tests.update(run.tests)
    return list(found.values())


def base_of(flags: tuple[str, ...], asked: Asked) -> Base:
    """The base of a recipe's flags: its model as it is, or what is made of `tiny`."""
    if asked.model.partition(":")[0] == TINY and not Path(asked.model).exists():
        raise RecipeError(
            f"--model is a model that is there, and {reprlib.repr(asked.model)} is made on the spot, in each arm anew. "
            "Leave --model out: a tiny one is made and taught once. Which family, a recipe says (model: tiny:FAMILY)."
        )
    if asked.model:
        return _there(asked.model)
    config = parsed((*flags, "--out", str(asked.out)), "the recipe")
    if config.model.partition(":")[0] != TINY:
        return _there(config.model)
    told = {
        name: getattr(config, name)
        for name in ("model", "seed", "teach_towers", "teach_language", "datasets", "tasks", "criteria", "limit")
    }
    # What a later version teaches besides changes no digest where it is not used.
    changed = _changed(config)
    more = {name: value for name, value in changed.items() if name.startswith("teach") or name in _OF_BASE}
    digest = _digest(more | told | _data(config) | {"kind": "base"})
    return Base(str(asked.out / "base" / digest), f"base {digest}", (*flags, "--out", str(asked.out)))


def folder_of(place: str, data: str = "") -> str:
    """The name of a test's folder in a run's: of the place, so that experiments share it.

    Where the place is on this disk, `data` is the digest of what lies there; other files are judged in another folder.

    >>> folder_of("miniature"), folder_of("miniature:families=unseen")
    ('miniature', 'miniature-families-unseen-465793fa')
    """
    if _PLAIN.fullmatch(place) and not data:
        return place
    words = re.sub(r"[^a-z0-9_]+", "-", place.lower()).strip("-")[:40]
    told = f"{place}\0{data}" if data else place
    return f"{words}-{hashlib.sha256(told.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def parsed(flags: Iterable[str], said: str) -> TrainConfig:
    """Flags of a training. What is wrong with them the parser says on stderr, and ends the program."""
    return from_flags(TrainConfig, list(flags), f"omnireward train, of {said}", "")


def check_kept(run: Run) -> None:
    """Refuse a run that was trained with another value of a setting whose default has changed since.

    Raises:
        RecipeError: names the setting, both values and the folder.
    """
    path = run.folder / provenance.CONFIG
    if run.untrained or not path.is_file():
        return
    try:
        kept = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(f"{path} cannot be read: {error}. Remove its folder to train anew.") from error
    now = provenance.plain(run.config, run.folder)
    if not isinstance(kept, dict) or not isinstance(now, dict):
        raise RecipeError(f"{path} is no config of a training. Remove its folder to train anew.")
    for name in sorted(set(now) - NOT_LEARNED - {"model"}):
        if name in kept and kept[name] != now[name]:
            raise RecipeError(
                f"{run.folder} was trained with {name} {kept[name]!r}, and the same settings mean {now[name]!r} now. "
                "Remove the folder to train anew, or choose another --out."
            )


def _there(model: str) -> Base:
    folder, key = identity.of_model(model)
    return Base(folder, f"model {key}")


def _data(config: TrainConfig) -> dict[str, Any]:
    """Which files the datasets are, of those that are on this disk."""
    found = identity.of_data("datasets", config.datasets)
    return {"data": found} if found else {}


def _run(
    experiment: Experiment,
    arm: Arm,
    seed: int,
    flags: tuple[str, ...],
    base: Base,
    asked: Asked,
    places: Mapping[str, str],
) -> Run:
    said = f"{experiment.name}, {arm.name}, seed {seed}"
    apart = ("--model", base.folder, "--teach-towers", "0", "--teach-language", "0", "--seed", str(seed), "--resume")
    steps = () if asked.steps is None else ("--steps", str(asked.steps))
    config = parsed((*flags, *steps, *apart, "--out", str(asked.out)), said)
    told: dict[str, Any]
    if arm.untrained:
        layout = {} if config.layout is None else {"layout": config.layout}
        told = {"kind": "untrained", "base": base.key, "seed": seed} | layout
    else:
        told = _changed(config) | _data(config) | {"model": base.key}
    digest = _digest(told)
    folder = asked.out / "runs" / digest
    return Run(digest, folder, base, (*flags, *steps, *apart, "--out", str(folder)), arm.untrained, said, dict(places))


def _changed(config: TrainConfig) -> dict[str, Any]:
    """The settings that decide what is learned and differ from their defaults."""
    return {
        field.name: getattr(config, field.name)
        for field in fields(config)
        if field.name not in NOT_LEARNED and getattr(config, field.name) != _default(field)
    }


def _default(field: Field[Any]) -> object:
    return field.default if field.default_factory is MISSING else field.default_factory()


def _digest(told: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:16]
