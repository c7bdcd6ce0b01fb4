"""What an output folder holds: each experiment's `results.json`, read back strictly for the page over all."""

from __future__ import annotations

import json
import math
import reprlib
from pathlib import Path

from omnireward.errors import RecipeError, SourceError
from omnireward.experiments.fields import Fields
from omnireward.experiments.reading import is_name, understood
from omnireward.experiments.results import Found, Judged, Results
from omnireward.metrics.hierarchical import Estimate

RESULTS = "results.json"


def read_all(out: Path) -> list[Results]:
    """The results of every experiment in a folder, by name. Raises SourceError."""
    return [read(path) for path in sorted(out.glob(f"*/{RESULTS}"))]


def read(path: Path) -> Results:
    """One results.json.

    Raises:
        SourceError: it is not what `omnireward experiment` writes.
    """
    if not is_name(path.parent.name):
        raise SourceError(
            f"{path.parent} is no folder of an experiment, whose names are of small letters, digits, _ and -. Move it "
            "out of the output folder."
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return _Reader(str(path)).results(path.parent.name, values)
    except (RecipeError, ValueError, RecursionError) as error:
        raise SourceError(
            f"{error}. {path} is of another version, or was changed; run its experiment again, or remove its folder."
        ) from error


class _Reader(Fields):
    def results(self, name: str, values: object) -> Results:
        keys = self.mapping("the file", values)
        for key in ("experiment", "seeds", "command", "recipe", "base", "figures", "runs", "expectations"):
            if key not in keys:
                self.bad("the file", f"no {key!r}.")
        experiment = understood(self.file, name, keys["experiment"])
        figures = {
            figure: self.each(f"figures, {figure}", self.mapping(figure, one).get("arms"), self.estimate)
            for figure, one in self.mapping("figures", keys["figures"]).items()
        }
        if figures.keys() != experiment.figures.keys() or any(
            one.keys() != experiment.arms.keys() for one in figures.values()
        ):
            self.bad("figures", "are not those of the experiment and its arms.")
        said = self.listed("expectations", keys["expectations"])
        if len(said) != len(experiment.expectations):
            self.bad("expectations", "are not those of the experiment.")
        return Results(
            experiment=experiment,
            seeds=tuple(int(self.number(where, one)) for where, one in self.listed("seeds", keys["seeds"])),
            command=self.text("command", keys["command"]),
            recipe=self.text("recipe", keys["recipe"]),
            base=self.text("base", keys["base"]),
            figures={name: {arm: figures[name][arm] for arm in experiment.arms} for name in experiment.figures},
            runs={
                arm: {int(seed): self.text(arm, digest) for seed, digest in self.mapping(arm, runs).items()}
                for arm, runs in self.mapping("runs", keys["runs"]).items()
            },
            failures=int(self.number("failures", keys.get("failures", 0))),
            expectations=tuple(
                Judged(one, self.found(where, told))
                for one, (where, told) in zip(experiment.expectations, said, strict=True)
            ),
        )

    def found(self, where: str, value: object) -> tuple[Found, ...]:
        listed = self.listed(where, self.mapping(where, value).get("found"))
        if not listed:
            self.bad(where, "nothing was found.")
        found = []
        for at, one in listed:
            keys = self.mapping(at, one)
            arm, than = (self.text(at, keys.get(key), empty=True) for key in ("arm", "than"))
            holds, surely = keys.get("holds"), keys.get("surely")
            if not isinstance(holds, bool) or not isinstance(surely, bool):
                self.bad(at, "holds and surely are true or false.")
            found.append(Found(arm, than, self.estimate(at, keys), holds, surely))
        return tuple(found)

    def estimate(self, where: str, value: object) -> Estimate:
        keys = self.mapping(where, value)
        interval, by_seed = keys.get("interval"), self.listed(where, keys.get("by_seed"))
        bounds = None if interval is None else [self.number(at, one) for at, one in self.listed(where, interval)]
        if bounds is not None and len(bounds) != 2:
            self.bad(where, f"an interval has two bounds, not {reprlib.repr(interval)}.")
        return Estimate(
            self.perhaps(where, keys.get("value")),
            None if bounds is None else (bounds[0], bounds[1]),
            tuple(self.perhaps(at, one) for at, one in by_seed),
        )

    def perhaps(self, where: str, value: object) -> float:
        """A number, or NaN where there is none."""
        return math.nan if value is None else self.number(where, value)
