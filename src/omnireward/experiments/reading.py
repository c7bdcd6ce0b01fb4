"""An experiment's YAML, read strictly: what is not known is an error with a suggestion, what is missing is named.

    title: Mixed modalities beat single ones
    question: Does training on all tasks beat training on some?
    recipe: miniature
    arms:
      everything: {}
      T2T only: {tasks: [T2T]}
      untrained: {untrained: true}
    tests: {miniature: miniature}
    figures:
      overall: {measure: with_ties}
      shifted: {group: shifted}
      invariant: {group: invariant}
      fall: {minus: [invariant, shifted]}
    expectations:
      - {says: Everything wins., figure: overall, arms: [everything], than: [T2T only], at_least: 6.5}
      - {says: The fall is small., figure: fall, arms: [everything], at_most: 8}

An arm's other keys are flags of `omnireward train`, as in a recipe.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, get_args

import yaml

from omnireward.errors import RecipeError
from omnireward.experiments.fields import Fields
from omnireward.experiments.nouns import POINTS, Arm, Expectation, Experiment, Figure, Measure, Plot
from omnireward.flags import to_flags
from omnireward.plugins import suggest
from omnireward.train.config import TrainConfig

SHIPPED = Path(__file__).parent
OWN = ("base", "runs", "logs", "all")  # names in an output folder, and on the command line, that are no experiment's
SET_APART = ("out", "seed", "model", "resume", "dry_run")  # the runner's
TRAIN = "train"  # what all arms have, besides the recipe
TAUGHT = ("teach_towers", "teach_language", "teach_turns")  # of the base, which all arms have
MOST_BYTES = 100_000
LEAST_BOUND = 0.1  # of figures in percent: a smaller bound was meant as a fraction
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")


# What the YAML reader raises of values that it cannot make: a 45th day, 5,000 digits, a tag on what it does not fit.
_UNREADABLE = (yaml.YAMLError, ValueError, OverflowError, LookupError, TypeError, AttributeError, RecursionError)


def is_name(name: str) -> bool:
    """Whether an experiment may be called so: it is also a folder's name, and stands in pages."""
    return _NAME.fullmatch(name) is not None and name not in OWN


def names() -> list[str]:
    """The shipped experiments, sorted."""
    return sorted(path.stem for path in SHIPPED.glob("*.yaml"))


def read(name_or_path: str) -> Experiment:
    """An experiment.

    Args:
        name_or_path: the name of a shipped experiment, or a file ending in ``.yaml`` or ``.yml``.

    Raises:
        RecipeError: no such experiment, or its file cannot be used; says where and why.
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        path = SHIPPED / f"{name_or_path}.yaml"
        if name_or_path not in names():
            raise RecipeError(
                f"unknown experiment {reprlib.repr(name_or_path)}. {suggest(name_or_path, names())} "
                "Or give a .yaml file."
            )
    if not is_name(path.stem):
        raise RecipeError(
            f"{path}: an experiment has its file's name, of small letters, digits, _ and -, and is none of "
            f"{', '.join(OWN)}."
        )
    try:
        if path.stat().st_size > MOST_BYTES:
            raise RecipeError(f"{path}: larger than {MOST_BYTES:,} bytes; an experiment is a page of text.")
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise RecipeError(f"the experiment {name_or_path!r} cannot be read: {error}") from error
    except _UNREADABLE as error:
        raise RecipeError(f"{path}: not YAML: {error}") from error
    return understood(str(path), path.stem, values)


class _Loader(yaml.SafeLoader):
    """Without aliases: a few lines of them can stand for gigabytes. A key that is there twice is refused as well."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(None, None, "aliases are not read", None)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key in (key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key!r} is there twice", node.start_mark)
            seen.add(key)
        return super().construct_mapping(node, deep)


def understood(file: str, name: str, values: object) -> Experiment:
    """An experiment from what its file says. Raises RecipeError."""
    return _Reader(file).experiment(name, values)


class _Reader(Fields):
    """Reads one file."""

    def experiment(self, name: str, values: object) -> Experiment:
        try:
            # As it is kept beside its results: half a surrogate, which YAML's escapes can make, cannot be written.
            json.dumps(values, allow_nan=False, default=str, ensure_ascii=False).encode()
        except (ValueError, TypeError, RecursionError) as error:
            self.bad("the file", f"holds what JSON has no word for ({error}).")
        known = ("title", "question", "recipe", "arms", "tests", "figures", "expectations", "paper")
        keys = self.keys("the file", values, (*known, "train", "paper_numbers", "paper_others", "plots", "note"))
        for key in ("title", "question", "recipe", "arms", "tests", "figures"):
            if key not in keys:
                self.bad("the file", f"no {key!r}.")
        train = self.changes(TRAIN, keys.get("train"))
        tests = self.each("tests", keys["tests"], self.text)
        arms = self.each("arms", keys["arms"], self.arm)
        figures = self.each("figures", keys["figures"], lambda where, value: self.figure(where, value, tests))
        figures = {one: self.finished(one, figure, figures) for one, figure in figures.items()}
        for key, found in (("arms", arms), ("tests", tests), ("figures", figures)):
            if not found:
                self.bad(key, "there is none.")
        listed = self.listed("expectations", keys.get("expectations"))
        plots = self.listed("plots", keys.get("plots"))
        return Experiment(
            name=name,
            title=self.text("title", keys["title"]),
            question=self.text("question", keys["question"]),
            recipe=self.text("recipe", keys["recipe"]),
            arms={one: Arm(one, arm.changes, arm.untrained) for one, arm in arms.items()},
            tests=tests,
            figures=figures,
            expectations=tuple(self.expectation(where, value, arms, figures) for where, value in listed),
            written=keys,
            paper=self.text("paper", keys.get("paper", ""), empty=True),
            train=train,
            paper_numbers=self.paper_numbers("paper_numbers", keys.get("paper_numbers"), arms, figures),
            paper_others=self.paper_numbers("paper_others", keys.get("paper_others"), None, figures),
            plots=tuple(self.plot(where, value, arms, figures) for where, value in plots),
            note=self.text("note", keys.get("note", ""), empty=True),
        )

    def arm(self, where: str, value: object) -> Arm:
        keys = dict(self.mapping(where, value))
        untrained = keys.pop("untrained", False)
        if not isinstance(untrained, bool):
            self.bad(where, f"untrained is true or false, not {reprlib.repr(untrained)}.")
        if untrained and keys:
            self.bad(where, f"an untrained arm changes nothing, and this one has {', '.join(map(str, keys))}.")
        return Arm("", self.changes(where, keys), untrained)

    def changes(self, where: str, value: object) -> Mapping[str, Any]:
        keys = self.mapping(where, value)
        try:
            to_flags(keys, TrainConfig)
        except RecipeError as error:
            self.bad(where, str(error))
        for key in keys:
            if key in SET_APART or (key in TAUGHT and where != TRAIN):
                self.bad(where, f"{key!r} is not an arm's to change: all arms start from one base, in the seeds given.")
        return keys

    def figure(self, where: str, value: object, tests: Mapping[str, str]) -> Figure:
        keys = self.keys(where, value, ("test", "measure", "tasks", "group", "criterion", "mean", "minus"))
        if "minus" in keys:
            if len(keys) > 1:
                self.bad(where, "a difference has 'minus' alone: the names of two figures.")
            pair = self.texts(f"{where}, minus", keys["minus"])
            if len(pair) != 2:
                self.bad(where, f"minus takes two figures, the first and the one taken off it, not {len(pair)}.")
            return Figure("", minus=(pair[0], pair[1]))
        test = self.text(f"{where}, test", keys.get("test", next(iter(tests), "")), empty=True)
        if "test" not in keys and len(tests) > 1:
            self.bad(where, f"there are several tests, so it says which: {', '.join(tests)}.")
        measure = self.one_of(f"{where}, measure", keys.get("measure", "with_ties"), known=get_args(Measure))
        group = self.text(f"{where}, group", keys.get("group", ""), empty=True)
        criterion = keys.get("criterion", "")
        if criterion not in ("", "with", "without"):
            self.bad(where, f"criterion is with or without, not {reprlib.repr(criterion)}.")
        usual = "tasks" if measure in POINTS and not group else "samples"
        mean = self.one_of(f"{where}, mean", keys.get("mean", usual), known=("tasks", "samples"))
        return Figure(
            name="",
            test=self.one_of(f"{where}, test", test, known=tuple(tests)),
            measure=cast(Measure, measure),
            tasks=tuple(self.task(where, name) for name in self.texts(f"{where}, tasks", keys.get("tasks", []))),
            group=group,
            criterion=criterion,
            macro=mean == "tasks",
        )

    def finished(self, name: str, figure: Figure, figures: Mapping[str, Figure]) -> Figure:
        """With its name; a difference is told as its two figures are."""
        where, measure = f"figures, {name}", figure.measure
        pair = [figures[self.one_of(where, other, known=tuple(figures))] for other in figure.minus]
        for other, found in zip(figure.minus, pair, strict=True):
            if found.minus:
                self.bad(where, f"{other!r} is a difference itself.")
            if found.points != pair[0].points:
                self.bad(where, f"{' and '.join(figure.minus)} are not of one kind.")
            measure = found.measure
        return replace(figure, name=name, measure=measure)

    def expectation(
        self, where: str, value: object, arms: Mapping[str, Arm], figures: Mapping[str, Figure]
    ) -> Expectation:
        keys = self.keys(where, value, ("says", "figure", "arms", "than", "than_figure", "at_least", "at_most"))
        for key in ("says", "figure", "arms"):
            if key not in keys:
                self.bad(where, f"no {key!r}.")
        if ("at_least" in keys) == ("at_most" in keys):
            self.bad(where, "it has either at_least or at_most.")
        figure = self.one_of(f"{where}, figure", keys["figure"], known=tuple(figures))
        other = self.one_of(f"{where}, than_figure", keys.get("than_figure", figure), known=tuple(figures))
        if figures[figure].points != figures[other].points:
            self.bad(where, f"{figure} and {other} are not of one kind.")
        chosen, than = (
            tuple(
                self.one_of(f"{where}, {key}", one, known=tuple(arms)) for one in self.texts(where, keys.get(key, []))
            )
            for key in ("arms", "than")
        )
        if not chosen:
            self.bad(where, "arms names none.")
        if "than_figure" in keys and not than:
            self.bad(where, "than_figure is the figure of the arms under 'than', and there are none.")
        itself = [one for one in chosen if one in than and figure == other]
        if itself:
            self.bad(where, f"{itself[0]!r} is compared with itself, which never differs. Take it out of 'than'.")
        key = "at_least" if "at_least" in keys else "at_most"
        bound = self.number(f"{where}, {key}", keys[key])
        if figures[figure].points and 0 < abs(bound) < LEAST_BOUND:
            self.bad(where, f"{key} is in percent, or points, here: {bound:g} is next to nothing. Not {100 * bound:g}?")
        return Expectation(
            says=self.text(f"{where}, says", keys["says"]),
            figure=figure,
            arms=chosen,
            than=than,
            than_figure=other,
            at_least=bound if key == "at_least" else None,
            at_most=bound if key == "at_most" else None,
        )

    def plot(self, where: str, value: object, arms: Mapping[str, Arm], figures: Mapping[str, Figure]) -> Plot:
        keys = self.keys(where, value, ("kind", "figures", "title", "x", "x_label"))
        kind = self.one_of(f"{where}, kind", keys.get("kind", "dots"), known=("dots", "line", "heat"))
        chosen = self.texts(f"{where}, figures", keys.get("figures", []))
        x = {
            self.one_of(f"{where}, x", arm, known=tuple(arms)): self.number(f"{where}, x", number)
            for arm, number in self.mapping(f"{where}, x", keys.get("x")).items()
        }
        if not chosen or (kind == "line") != bool(x):
            self.bad(where, "a plot has figures, and one of kind 'line', and no other, says with x where arms stand.")
        shown = tuple(self.one_of(f"{where}, figures", one, known=tuple(figures)) for one in chosen)
        if len({figures[one].points for one in shown}) > 1:
            self.bad(where, "its figures are not of one kind.")
        return Plot(
            kind=cast(Any, kind),
            figures=shown,
            title=self.text(f"{where}, title", keys.get("title", ""), empty=True),
            x=x,
            x_label=self.text(f"{where}, x_label", keys.get("x_label", ""), empty=True),
        )

    def paper_numbers(
        self, key: str, value: object, arms: Mapping[str, Arm] | None, figures: Mapping[str, Figure]
    ) -> Mapping[str, Mapping[str, float]]:
        """Of arms, or of whoever is named where `arms` is None."""
        told: dict[str, Mapping[str, float]] = {}
        for figure, numbers in self.mapping(key, value).items():
            where = f"{key}, {self.one_of(key, figure, known=tuple(figures))}"
            named = self.mapping(where, numbers)
            for name in named if arms is not None else ():
                self.one_of(where, name, known=tuple(arms or ()))
            told[figure] = {name: self.number(f"{where}, {name}", number) for name, number in named.items()}
        return told
