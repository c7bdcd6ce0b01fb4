"""Where samples come from: a plug-in's reader, at a folder or a pinned revision on the Hub.

A *place* is what a user types: ``NAME``, ``NAME:LOCATION``, ``FOLDER``, ``hub:OWNER/REPO@REVISION``, or either of the
first two with a dotted module path for NAME; settings may follow behind a question mark. A folder alone is shown to
every plug-in, and the one that recognises its layout reads it. Unusual: a Hub location without a revision is an error,
because numbers must say what they were measured on.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from omnireward.errors import BadRowError, MissingExtraError, RecipeError, SourceError, UnknownNameError
from omnireward.official import Judged, Official
from omnireward.parquet_files import walked_once
from omnireward.plugins import load, names, suggest
from omnireward.types import Sample, Task

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

SourceFolder = Literal["datasets", "benchmarks"]
Settings = TypeVar("Settings", bound="DataclassInstance")

_HUB = re.compile(r"hub:(?P<repo>[^/@\s]+/[^/@\s]+)(?:@(?P<revision>[^\s?]+))?")  # no revision has a question mark
_LISTED = 12  # entries of a folder that an error message shows


@dataclass(slots=True)
class BadRows:
    """What to do with rows that cannot be used: stop at the first (the default), or count and go on."""

    skip: bool = False
    errors: list[BadRowError] = field(default_factory=list)

    def add(self, error: BadRowError) -> None:
        """Raise the error, or note it when bad rows are skipped."""
        if not self.skip:
            raise error
        self.errors.append(error)


@dataclass(frozen=True, slots=True)
class SampleSource:
    """A dataset or a benchmark: how to read its samples.

    Attributes:
        summary: one line for `omnireward list`.
        read: `read(location, bad_rows)` yields samples in a fixed order, lazily. `location` is a folder,
            `hub:OWNER/REPO@REVISION`, or, for made-up sources, settings such as ``samples=90,seed=3``; the empty
            string means `home`.
        recognises: whether a local folder holds this source, so that a folder alone can be given. Looks at names and
            first rows only.
        home: the location used when none is given; empty when the source needs none.
        licence: the data's terms as their publisher states them, such as ``cc-by-nc-4.0``; empty where none are stated.
        looks_for: what `recognises` looks for, in words; shown when a folder fits no source.
        example: writes the smallest valid folder of this layout into an existing empty folder. Readers see by it what
            the layout is, and the contract tests read it, so that a new source brings its own test data. None for
            sources that make their samples up.
        official: how the benchmark's authors count, given every judged sample in the benchmark's order; None where
            they count as everybody does. Must not mind samples that are missing (`--limit`, `--tasks`).
    """

    summary: str
    read: Callable[[str, BadRows], Iterator[Sample]]
    recognises: Callable[[Path], bool]
    home: str = ""
    licence: str = ""
    looks_for: str = ""
    example: Callable[[Path], None] | None = None
    official: Callable[[Sequence[Judged]], Official] | None = None


def read_place(folder: SourceFolder, place: str, bad_rows: BadRows) -> Iterator[Sample]:
    """The samples at a place, lazily and in a fixed order.

    Args:
        folder: the plug-in folder in which names are looked up.
        place: see `open_place`.
        bad_rows: told of each row that cannot be used.

    Raises:
        UnknownNameError, SourceError: as `open_place`; SourceError also while reading.
    """
    _, source, location = open_place(folder, place)
    return source.read(location, bad_rows)


def open_place(folder: SourceFolder, place: str) -> tuple[str, SampleSource, str]:
    """Find out who reads a place: (name, source, location for `source.read`).

    The exact name of a plug-in means the plug-in, even beside a folder of that name (write ``./name`` for the folder).
    Any other existing folder means the folder, even if it has a colon in it.

    Raises:
        UnknownNameError: no plug-in has that name; says the nearest ones.
        SourceError: a folder that no plug-in, or more than one, recognises; a folder or file that does not exist.
    """
    known = names(folder)
    if place in known:
        return place, _load(folder, place), ""
    path = _path(place)
    if place and path.is_dir():
        return _recognise(folder, path, place)
    if (bare := place.rpartition("?")[0]) and (bare in known or bare.startswith("hub:") or _path(bare).is_dir()):
        name, source, location = open_place(folder, bare)
        return name, source, location + place.removeprefix(bare)
    name, colon, location = place.partition(":")
    if name == "hub" and colon:
        return _recognise(folder, local_root(place, ""), place)
    if place and path.is_file():
        raise SourceError(f"{place} is a file. Say who reads it: NAME:{place}, NAME being one of {', '.join(known)}.")
    if name in known or ("." in name and not _looks_like_path(place)):
        return name, _load(folder, name), location
    if not place or _looks_like_path(place):
        raise SourceError(f"{_no_such_place(place)} Known names: {', '.join(known)}.")
    try:
        return name, _load(folder, name), location
    except UnknownNameError as error:  # it names the nearest ones
        raise UnknownNameError(f"{error} There is no folder {place!r} here either.") from error


def local_root(location: str, home: str) -> Path:
    """The folder (or single file) that a location means, downloaded first if it is on the Hub.

    Args:
        location: a folder, a file, or `hub:OWNER/REPO@REVISION` (commit, tag or branch); empty means `home`.
        home: the source's own location.

    Raises:
        SourceError: nothing is there, the Hub cannot deliver it, or the revision is not given.
        MissingExtraError: a Hub location without the `hf` extra.
    """
    where = location or home
    path = _path(where)
    if where and path.exists():
        return path
    if where.startswith("hub:"):
        return _hub_snapshot(where)
    raise SourceError(_no_such_place(where))


def with_settings(location: str, defaults: Settings) -> tuple[str, Settings]:
    """A location and the settings behind its last question mark: ``FOLDER?margin=0.5&ties=no``.

    Args:
        location: as given to `SampleSource.read`.
        defaults: a dataclass whose fields are the settings: numbers, text, or yes and no.

    Raises:
        RecipeError: a setting that does not exist, or a value that cannot be read.

    >>> @dataclass(frozen=True)
    ... class Rule:
    ...     margin: float = 0.0
    ...     ties: bool = True
    >>> with_settings("data/mine?margin=0.5&ties=no", Rule())
    ('data/mine', Rule(margin=0.5, ties=False))
    """
    where, mark, written = location.rpartition("?")
    if not mark or _path(location).exists():  # a folder may have a question mark in its name
        return location, defaults
    known = {field.name: getattr(defaults, field.name) for field in fields(defaults)}
    changed: dict[str, Any] = {}
    for setting in filter(None, written.split("&")):
        name, equals, value = setting.partition("=")
        if name not in known:
            raise RecipeError(f"{location!r}: there is no setting {name!r}. {suggest(name, list(known))}")
        if name in changed or not equals:
            raise RecipeError(f"{location!r}: a setting is said once, as {name}=…; separate several by &.")
        changed[name] = _setting(location, name, value, known[name])
    return where, replace(defaults, **changed)


def _setting(location: str, name: str, value: str, default: object) -> object:
    try:
        if isinstance(default, bool):
            return {"yes": True, "no": False}[value]
        if isinstance(default, int | float):
            # int() of what is not finite raises, and so checks floats too.
            return (number := type(default)(value)) + 0 * int(number)
    except (KeyError, ValueError, OverflowError) as error:
        kind = {bool: "yes or no", int: "a whole number"}.get(type(default), "a number")
        raise RecipeError(f"{location!r}: the setting {name!r} is {kind}; got {value!r}.") from error
    return value


def prompt_cluster(task: Task, *pieces: str) -> str:
    """Name a prompt by its words and media names, so that samples which share it can be treated as dependent.

    >>> prompt_cluster(Task.T2T, "ab", "c") == prompt_cluster(Task.T2T, "a", "bc")
    False
    """
    sha = hashlib.sha256()
    for piece in pieces:
        data = piece.encode()
        sha.update(len(data).to_bytes(8, "big"))  # or "ab", "c" would equal "a", "bc"
        sha.update(data)
    return f"{task.short}:{sha.hexdigest()[:16]}"


def _load(folder: SourceFolder, name: str) -> SampleSource:
    source = load(folder, name)
    if not isinstance(source, SampleSource):
        raise UnknownNameError(f"{name} defines a {type(source).__name__} where {folder} need a SampleSource.")
    return source


def _recognise(folder: SourceFolder, path: Path, place: str) -> tuple[str, SampleSource, str]:
    sources = {name: _load(folder, name) for name in names(folder)}
    with walked_once():
        fitting = [name for name, source in sources.items() if source.recognises(path)]
    if len(fitting) == 1:
        return fitting[0], sources[fitting[0]], place
    if fitting:
        raise SourceError(f"{place} could be {' or '.join(fitting)}. Say which: {fitting[0]}:{place}")
    looked_for = "; ".join(f"{name}: {source.looks_for}" for name, source in sources.items() if source.looks_for)
    raise SourceError(f"none of the {folder} recognises {place}. {_inside(path)} Looked for: {looked_for}.")


def _inside(path: Path) -> str:
    entries = sorted(entry.name + "/" * entry.is_dir() for entry in path.iterdir())
    more = f" and {len(entries) - _LISTED} more" if len(entries) > _LISTED else ""
    return f"{path} holds {', '.join(entries[:_LISTED]) or 'nothing'}{more}."


def _looks_like_path(place: str) -> bool:
    """Also true of a Windows path with a drive, which is not the location of a plug-in called C."""
    return (
        place.startswith(("/", "./", "../", "~", "\\"))
        or re.match(r"[A-Za-z]:[\\/]", place) is not None
        or (":" not in place and ("/" in place or "\\" in place))
    )


def _path(place: str) -> Path:
    try:
        return Path(place).expanduser()
    except RuntimeError as error:  # ~nobody
        raise SourceError(f"cannot tell which folder {place!r} is: {error}") from error


def _no_such_place(where: str) -> str:
    if not where:
        return "no location given, and this source has no home. Give a folder, or hub:OWNER/REPO@REVISION."
    path = _path(where).absolute()
    parent = next(folder for folder in path.parents if folder.is_dir())
    return f"there is no folder or file {where!r}. {_inside(parent)}"


def _hub_snapshot(location: str) -> Path:
    match = _HUB.fullmatch(location)
    if match is None:
        raise SourceError(f"cannot read {location!r} as a Hub location. It is written hub:OWNER/REPO@REVISION.")
    repo, revision = match["repo"], match["revision"]
    if revision is None:
        raise SourceError(
            f"{location} names no revision, so nobody could say later what was read. Pin one: {location}@COMMIT "
            f"(commits: https://huggingface.co/datasets/{repo}/commits/main)."
        )
    try:
        from httpx2 import HTTPError  # what huggingface_hub speaks through; a broken connection surfaces as this
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ImportError as error:
        raise MissingExtraError(f"reading {location}", "hf") from error
    try:
        return Path(snapshot_download(repo, repo_type="dataset", revision=revision))
    except (HfHubHTTPError, HFValidationError, HTTPError, OSError) as error:
        raise SourceError(
            f"the Hub did not deliver {location}: {type(error).__name__}: {error} What to do: check the name and the "
            "revision; for a gated dataset run `hf auth login`; without a network, or with HF_HUB_OFFLINE=1, give a "
            "folder with a copy instead."
        ) from error
