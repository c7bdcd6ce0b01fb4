"""3DRewardDB: pictures of generated 3D objects with rewards (yejunliang23/3DRewardDB). Samples of text to 3D.

A folder holds what was made for one prompt, each object a picture of its rendered views::

    prompt.json              the prompts
    data/17/0.png, 1.png …   4 to 10 objects
    data/17/reward.json      their rewards
    data/17/camera.json      where the views are seen from; not read

Settings, as in ``threed_rewarddb:FOLDER?margin=0.5&pairs=best``: `margin`, `ties` and `pairs`, see `omnireward.scores`;
and ``better``: ``higher`` or ``lower``, where it must be said (below).

Unusual:

* What reward.json and prompt.json look like is not documented. Two shapes of each leave no doubt, and are read.
  Rewards: a list of numbers, one for each of 0.png, 1.png, …, in this order; or an object from names, ``0`` or
  ``0.png``, to numbers, with exactly the pictures that are there. Prompts: a list of texts, number 17 (from 0) for
  data/17; or an object from names of folders to texts. Anything else is refused, with what was found.
* A higher reward is better. But whole numbers from 0 to n for n objects may be ranks, with ties among them: they are
  refused until the settings say which end is better.
* As in Omni-RewardBench, which takes prompts from here, an object is a mesh given by one picture.
* 1,000 of the 2,530 prompts were published.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from omnireward.datasets._checked_lists import MOST, numbers
from omnireward.errors import BadRowError, RecipeError, SourceError
from omnireward.media.encode import png
from omnireward.media_files import MediaFiles
from omnireward.rows import Row
from omnireward.scores import PairRule, scored_pairs
from omnireward.sources import BadRows, SampleSource, local_root, prompt_cluster, with_settings
from omnireward.types import Comparison, Media, Sample, Task, Text, Turn

HOME = "hub:yejunliang23/3DRewardDB"
PROMPTS, REWARDS, DATA = "prompt.json", "reward.json", "data"
_NUMBER = re.compile(r"0|[1-9][0-9]{0,8}")
_MOST_BYTES = {PROMPTS: 64 * 2**20, REWARDS: 2**20}


@dataclass(frozen=True, slots=True)
class Settings:
    """A rule for pairs, and which end of the rewards is better; empty: the higher, unless they look like ranks."""

    margin: float = 0.0
    ties: bool = True
    pairs: str = "all"
    better: str = ""

    def __post_init__(self) -> None:
        if self.better not in ("", "higher", "lower"):
            raise RecipeError(f"better is higher or lower; got {self.better!r}.")
        self.rule()

    def rule(self) -> PairRule:
        """How rewards become preferences. Raises RecipeError."""
        return PairRule(margin=self.margin, ties=self.ties, pairs=self.pairs)


def _read(location: str, bad_rows: BadRows) -> Iterator[Sample]:
    place, settings = with_settings(location, Settings())
    root = local_root(place, HOME)
    if not _recognises(root):
        raise SourceError(
            f"{root} holds no 3DRewardDB: {PROMPTS} and {DATA}/<number>/{REWARDS} are not there. Give a folder with a "
            "copy of the repository."
        )
    prompts = _Prompts(root)
    media = MediaFiles((root,))
    for number, folder in _folders(root):
        name = f"{DATA}/{folder.name}"
        try:
            prompt = prompts.of(name, number, folder.name)
            objects = _objects(folder, name, number, settings)
            found = list(_samples(name, prompt, objects, settings, media, number))
        except BadRowError as error:
            bad_rows.add(error)
        else:
            yield from found


def _folders(root: Path) -> list[tuple[int, Path]]:
    """The numbered folders in the order of their numbers; others are passed over."""
    numbered = (path for path in (root / DATA).iterdir() if _NUMBER.fullmatch(path.name) and path.is_dir())
    return sorted((int(path.name), path) for path in numbered)


class _Prompts:
    """What prompt.json says. Raises SourceError when it is of no known shape."""

    def __init__(self, root: Path) -> None:
        try:
            self._said = _json(root / PROMPTS, PROMPTS)
        except ValueError as error:
            raise SourceError(f"{root / PROMPTS} {error}") from error
        if not isinstance(self._said, list | dict):
            raise SourceError(
                f"{root / PROMPTS} is {_kind(self._said)}; known are a list of texts, number 17 for {DATA}/17, and an "
                "object from names of folders to texts."
            )

    def of(self, name: str, number: int, folder: str) -> str:
        """The prompt of a folder."""
        row = Row(name, number, {})
        prompt: object = None
        if isinstance(self._said, dict):
            prompt = self._said.get(folder)
        elif isinstance(self._said, list) and number < len(self._said):
            prompt = self._said[number]
        if not isinstance(prompt, str) or not prompt.strip():
            raise row.bad(PROMPTS, f"says {_kind(prompt)} where the text of {name} belongs, in {_kind(self._said)}.")
        return row.checked_text(PROMPTS, prompt)


def _objects(folder: Path, name: str, number: int, settings: Settings) -> list[tuple[str, float]]:
    """The pictures of a folder and their rewards, in the order of their numbers. Raises BadRowError."""
    row = Row(name, number, {})
    stems = sorted((path.stem for path in folder.glob("*.png") if _NUMBER.fullmatch(path.stem)), key=int)
    if len(stems) > MOST:
        raise row.bad("(files)", f"are {len(stems)} pictures; up to {MOST} are read.")
    try:
        said = _json(folder / REWARDS, REWARDS)
    except ValueError as error:
        raise row.bad(REWARDS, str(error)) from error
    if isinstance(said, list) and stems == [str(n) for n in range(len(said))]:
        values: list[object] = said
    elif isinstance(said, dict) and sorted(stems) == sorted(key.removesuffix(".png") for key in said):
        by_stem = {key.removesuffix(".png"): value for key, value in said.items()}
        values = [by_stem[stem] for stem in stems]
    else:
        pictures = f"{len(stems)} pictures, {', '.join(f'{stem}.png' for stem in stems[:12]) or 'none'}"
        raise row.bad(
            REWARDS,
            f"is {_kind(said)}, beside {pictures}. Known are a list of numbers, one for each picture from 0.png on, "
            "and an object from the pictures' names to numbers.",
        )
    rewards = numbers(row, REWARDS, values)
    if not settings.better and _maybe_ranks(rewards):
        raise row.bad(
            REWARDS,
            f"says {reprlib.repr(rewards)}, which may be ranks. If you know which end is better, say so: "
            "threed_rewarddb:FOLDER?better=lower for ranks, 1 being the best, or ?better=higher.",
        )
    return list(zip(stems, rewards, strict=True))


def _maybe_ranks(rewards: list[float]) -> bool:
    """Ranks are whole numbers, none over the number of objects; equal ones and gaps occur. All equal: ties."""
    return len(set(rewards)) > 1 and all(one.is_integer() and 0 <= one <= len(rewards) for one in rewards)


def _samples(
    name: str,
    prompt: str,
    objects: list[tuple[str, float]],
    settings: Settings,
    media: MediaFiles,
    number: int,
) -> Iterator[Sample]:
    row = Row(name, number, {})
    views = [Media("mesh", (media.source(row, stem, f"{name}/{stem}.png"),)) for stem, _ in objects]
    better: Literal["higher", "lower"] = "lower" if settings.better == "lower" else "higher"
    for pair in scored_pairs([reward for _, reward in objects], settings.rule(), better):
        a, b = objects[pair.a][0], objects[pair.b][0]
        yield Sample(
            id=f"{name}/{a}-{b}",
            task=Task.T23D,
            comparison=Comparison((Turn("user", (Text(prompt),)),), (views[pair.a],), (views[pair.b],)),
            preference=pair.preference,
            cluster=prompt_cluster(Task.T23D, prompt),
            provenance=pair.provenance() | {"file": f"{name}/{REWARDS}", "object_a": a, "object_b": b},
        )


def _json(path: Path, name: str) -> object:
    """A small JSON file. Raises ValueError, with words that follow its name."""
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES[name] + 1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}.") from error
    if len(data) > _MOST_BYTES[name]:
        raise ValueError(f"has over {_MOST_BYTES[name]} bytes.")
    try:
        value: object = json.loads(data, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not valid JSON: {error}") from error
    return value


def _once(pairs: list[tuple[str, object]]) -> Mapping[str, object]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name comes twice in an object.")
    return found


def _kind(value: object) -> str:
    """What something is, for a message: its kind, how much of it, and how it begins."""
    if isinstance(value, list | dict):
        kind = "a list" if isinstance(value, list) else "an object"
        return f"{kind} of {len(value)}, {reprlib.repr(value)}"
    return "nothing" if value is None else reprlib.repr(value)


def _recognises(folder: Path) -> bool:
    return (folder / PROMPTS).is_file() and any(
        _NUMBER.fullmatch(path.parent.name) for path in folder.glob(f"{DATA}/*/{REWARDS}")
    )


def _example(folder: Path) -> None:
    for number, rewards in enumerate(([0.4, 1.3, -0.2], [0.5, 0.5])):
        home = folder / DATA / str(number)
        home.mkdir(parents=True)
        for object_number in range(len(rewards)):
            view = np.full((32, 32, 3), 255, np.uint8)
            view[8:24, 8 + object_number : 24] = 60 + 10 * number  # views without a shape are refused as blank
            (home / f"{object_number}.png").write_bytes(png(view))
        (home / REWARDS).write_text(json.dumps(rewards))
        (home / "camera.json").write_text(json.dumps([[0.0, 0.0, 2.0]] * len(rewards)))
    (folder / PROMPTS).write_text(json.dumps(["A lit lamp.", "A chair."]))


DATASET = SampleSource(
    summary="3DRewardDB: generated 3D objects with rewards, joined into pairs",
    read=_read,
    recognises=_recognises,
    home=HOME,
    licence="apache-2.0",
    looks_for=f"{PROMPTS} and {DATA}/<number>/{REWARDS}",
    example=_example,
)
