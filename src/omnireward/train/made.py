"""What a trained model's folder says of how it was made, for its card; and what a report's folder says of its figures.

Cards are published, so a path of this machine is told by its last part only.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePath
from typing import Any, cast

import yaml
from safetensors import SafetensorError, safe_open

from omnireward import __version__, atomic, checkpoint_json, provenance, recipes
from omnireward.checkpoint import recorded_base, recorded_layout
from omnireward.errors import CheckpointError, RecipeError, SourceError
from omnireward.flags import from_flags, to_flags
from omnireward.model_card import OURS, Figure, Line, Made, Results, model_card
from omnireward.reward_model import RECORD
from omnireward.train.config import TrainConfig
from omnireward.uncertainty import FILE as FITTED

CARD, CONFIG, DATA, REPORT = "README.md", "config.yaml", "data.json", "report.json"
_ABSOLUTE = re.compile(r"(?:^|(?<=[:=]))(?:/(?!/)|~).*", re.DOTALL)
PACKAGES = ("torch", "transformers", "accelerate", "peft")
COUNTS = {
    "pairs": "pairs used",
    "ties": "ties among them",
    "ties_left_out": "ties left out",
    "left_out": "samples of other tasks or criteria left out",
    "bad_rows": "bad rows",
}


def versions() -> dict[str, str]:
    """Of this package and those that a training rests on."""
    found = {"omnireward": __version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def write_card(folder: Path, reports: Sequence[Path] = (), terms: str = "") -> str:
    """Write the card into a model's folder, unless its author has edited it; returns the card that is there now."""
    card = card_of(folder, reports, terms)
    atomic.write_text(folder / CARD, card)
    return card


def card_of(folder: Path, reports: Sequence[Path] = (), terms: str = "") -> str:
    """The author's own card, if there is one, or a new one. Raises as `compose`."""
    path = folder / CARD
    there = path.read_text(encoding="utf-8") if path.is_file() else OURS
    return compose(folder, reports, terms) if OURS in there else there


def compose(folder: Path, reports: Sequence[Path] = (), terms: str = "") -> str:
    """The card of a model's folder, with the figures of `reports`, or of those that lie in the folder.

    Raises:
        CheckpointError: the folder holds no reward model.
        SourceError: a report that cannot be read.
    """
    record = folder / RECORD
    family = checkpoint_json.read_json(record).get("family")
    if not isinstance(family, str):
        raise CheckpointError(f"{record} names no family of backbones; is {folder} a reward model's folder?")
    found = reports or sorted(path.parent for path in (*folder.glob(REPORT), *folder.glob(f"*/{REPORT}")))
    return model_card(
        family,
        recorded_layout(record, "paper"),
        parameters(folder),
        recorded_base(record),
        made(folder),
        [results(report) for report in found],
        terms,
    )


def parameters(folder: Path) -> int:
    """How many numbers the folder's weights hold; read off the files' heads."""
    count = 0
    for path in sorted(set(folder.glob("*.safetensors")) - {folder / FITTED}):
        try:
            with safe_open(path, framework="numpy") as file:
                count += sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path} cannot be read as safetensors: {error}") from error
    return count


def made(folder: Path) -> Made | None:
    """How a folder's model was trained; None where that was not here, or its config is gone."""
    path = folder / CONFIG
    if not path.is_file():
        return None
    try:
        flags = recipes.flags(str(path), "train", TrainConfig)
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        unsaid = {name: value for name, value in TrainConfig.BEFORE.items() if name not in values}
        config = from_flags(TrainConfig, [*flags, *to_flags(unsaid, TrainConfig)], "omnireward train", "")
    except (RecipeError, SystemExit) as error:  # of an older version, or edited
        raise CheckpointError(f"{path} is no config of a training run: {error}") from error
    data = checkpoint_json.read_json(folder / DATA) if (folder / DATA).is_file() else {}
    counts = {said: data[name] for name, said in COUNTS.items() if isinstance(data.get(name), int)}
    told = data.get("versions")
    return Made(
        command=shlex.join(map(public, shlex.split(provenance.command("train", config, config.out)))),
        recipe=yaml.safe_dump(_public(values), sort_keys=True, allow_unicode=True),
        model=public(config.model),
        datasets={public(place): weight for place, weight in config.datasets.items()},
        counts=counts,
        versions={str(name): str(of) for name, of in told.items()} if isinstance(told, Mapping) else {},
    )


def results(folder: Path) -> Results:
    """The figures in a report's folder, tasks in its order and the macro mean last.

    Raises:
        SourceError: there is no report, or it is none of a reward model.
    """
    path = folder / REPORT
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        lines = [_line(name, block) for name, block in told["tasks"].items()]
        macro = told["macro"] | {"samples": told["samples"]}
        found = Results(public(str(told["benchmark"])), str(told["command"]), (*lines, _line("macro", macro)))
        judge, failed = str(told["judge"]), int(told["failures"])
        fitted = any(block["with_ties"].get("threshold") is not None for block in told["tasks"].values())
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise SourceError(
            f"{path} is no report of 'omnireward evaluate': {type(error).__name__}: {error}. Give the folder that its "
            "--out named."
        ) from error
    if not judge.startswith("reward:"):
        raise SourceError(
            f"{path} is about the judge {judge}, not about a reward model, so it is not put into its card."
        )
    command = shlex.join(map(public, shlex.split(found.command)))
    return Results(found.benchmark, command, found.lines, failed, fitted)


def public(text: str) -> str:
    """A name or place without the folders of this machine.

    >>> public("--out=/home/me/a:b/run"), public("https://example.org/a/b")
    ('--out=run', 'https://example.org/a/b')
    >>> public("/home/me/data"), public("omni_rewarddata:/data/OmniRewardData"), public("hub:a/b@1"), public("out/run")
    ('data', 'omni_rewarddata:OmniRewardData', 'hub:a/b@1', 'out/run')
    """
    found = _ABSOLUTE.search(text)
    return text[: found.start()] + PurePath(found[0]).name if found else text


def _public(value: Any) -> Any:
    if isinstance(value, str):
        return public(value)
    if isinstance(value, Mapping):
        return {public(str(key)): _public(item) for key, item in value.items()}
    return [_public(item) for item in value] if isinstance(value, list) else value


def _line(name: str, block: Mapping[str, Any]) -> Line:
    return Line(name, int(block["samples"]), _figure(block["without_ties"]), _figure(block["with_ties"]))


def _figure(told: Mapping[str, Any]) -> Figure:
    accuracy, interval = told["accuracy"], told["interval"]
    ends = None if interval is None else (float(interval[0]), float(interval[1]))
    return Figure(None if accuracy is None else float(cast(float, accuracy)), ends)
