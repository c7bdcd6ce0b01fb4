"""A folder of samples: what every step of construction reads and writes, and training and evaluation read.

``samples.jsonl`` holds one sample a line; its media lie below ``media/`` and are named by their content, so that steps
can be repeated, run side by side, and share a medium without a word to each other::

    {"id": "…", "task": "TI2T", "prompt": [{"role": "user", "content": [
         {"kind": "image", "media": ["media/3f/3fa9….png"]}, {"kind": "text", "text": "What is this?"}]}],
     "response_a": [{"kind": "text", "text": "…"}], "response_b": […], "criterion": "…", "preference": "a",
     "cluster": "…", "groups": ["…"], "provenance": {"source": "…"}}

Parquet files with the same columns are read as well; a medium is then a struct of `bytes` and `path`, as the Hub has
it. ``"frames": true`` marks a part whose media are the frames of a video or the views of a mesh. Nothing of a sample is
lost on the way out and back.

A folder may have splits: ``samples-NAME.jsonl``, or Parquet named ``NAME-00000-of-00001.parquet``. ``DIR?split=NAME``
reads one; without it ``train`` is read, so that nobody trains on what was set apart, or the only split that there is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO, get_args

import numpy as np

from omnireward import atomic
from omnireward.errors import BadRowError, SourceError
from omnireward.media.encode import png
from omnireward.media_files import MediaFiles
from omnireward.media_store import MediaStore
from omnireward.parquet_files import parquet_files
from omnireward.rows import Row, columns, rows
from omnireward.sources import BadRows, local_root, with_settings
from omnireward.types import Comparison, Media, MediaKind, Part, Preference, Role, Sample, Task, Text, Turn

FILE = "samples.jsonl"
COLUMNS = frozenset({"id", "task", "prompt", "response_a", "response_b", "criterion", "preference", "cluster"})
TRAIN = "train"
_SPLIT = re.compile(r"samples-([\w.]+)\.jsonl|([\w.]+)-\d{5}-of-\d{5}\.parquet")
Keep = Callable[[Media], list[Any]]


class SampleWriter:
    """Writes a folder of samples. Use it as a context manager; ``samples.jsonl`` appears, whole, when it ends well.

    Args:
        folder: where; made if it is not there.
        name: of the file, for steps that write several.
        media: the folder below which media are kept, where it is not `folder`.
    """

    def __init__(self, folder: Path, name: str = FILE, media: Path | None = None) -> None:
        self.path = folder / name
        self.written = 0
        self._store = MediaStore(media or folder)
        self._stack = ExitStack()
        self._file: TextIO

    def __enter__(self) -> Self:
        self._file = self._stack.enter_context(atomic.whole(self.path))
        return self

    def add(self, sample: Sample) -> None:
        """Write one sample and keep its media. Raises OSError."""
        self._file.write(line(sample, self._store.keep))
        self.written += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


def write_samples(samples: Iterable[Sample], folder: Path) -> int:
    """Write a folder of samples, lazily; returns how many there were."""
    with SampleWriter(folder) as writer:
        for sample in samples:
            writer.add(sample)
    return writer.written


def line(sample: Sample, keep: Keep) -> str:
    """A sample as a line of JSON; what `keep` returns stands for a medium."""
    return json.dumps(to_row(sample, keep), ensure_ascii=False, separators=(",", ":")) + "\n"


def to_row(sample: Sample, keep: Keep) -> dict[str, Any]:
    """A sample as plain values. `keep` gives what stands for each piece of a medium: a path, or bytes and path."""

    def parts(content: Iterable[Part]) -> list[dict[str, Any]]:
        return [_part(part, keep) for part in content]

    comparison = sample.comparison
    return {
        "id": sample.id,
        "task": sample.task.short,
        "prompt": [{"role": turn.role, "content": parts(turn.content)} for turn in comparison.prompt],
        "response_a": parts(comparison.response_a),
        "response_b": parts(comparison.response_b),
        "criterion": comparison.criterion,
        "preference": sample.preference,
        "cluster": sample.cluster,
        "groups": list(sample.groups),
        "provenance": dict(sample.provenance),
    }


def from_row(row: Row, media: MediaFiles) -> Sample:
    """A sample back from a row.

    Raises:
        BadRowError: a field is missing or is something else, or a medium is not there.
    """
    try:
        task = Task.parse(row.text("task"))
    except KeyError as error:
        raise row.bad("task", str(error)) from error
    preference: Preference = _one_of(row, "preference", row.text("preference"), get_args(Preference))
    turns = tuple(_turn(row, turn, media) for turn in _list(row, "prompt", row.fields.get("prompt")))
    a, b = (_parts(row, field, row.fields.get(field), media) for field in ("response_a", "response_b"))
    for field, parts in (("response_a", a), ("response_b", b)):
        kinds = dict.fromkeys("text" if isinstance(part, Text) else part.kind for part in parts)
        if not kinds.keys() & set(task.outputs):  # more kinds than the task names do no harm
            wanted = " and ".join(task.outputs)
            raise row.bad(field, f"holds {' and '.join(kinds)}; a response of {task.short} is {wanted}.")
    return Sample(
        id=row.text("id"),
        task=task,
        comparison=Comparison(turns, a, b, row.text("criterion")),
        preference=preference,
        cluster=row.text("cluster"),
        groups=tuple(row.checked_text("groups", group) for group in _list(row, "groups", row.fields.get("groups"))),
        provenance=_provenance(row),
    )


@dataclass(frozen=True, slots=True)
class _Settings:
    split: str = ""


def splits(root: Path) -> dict[str, list[Path]]:
    """The files of each split of a folder, in name order; files whose names say no split are under the empty name.

    ``samples.jsonl`` alone if it is there, else ``samples-NAME.jsonl``, else Parquet with the columns of samples.
    """
    if (root / FILE).is_file():
        return {"": [root / FILE]}
    found = sorted(root.glob("samples-*.jsonl"))
    if not any(_SPLIT.fullmatch(path.name) for path in found):
        found = [path for path in parquet_files(root) if columns(path) >= COLUMNS]
    named: dict[str, list[Path]] = {}
    for path in found:
        match = _SPLIT.fullmatch(path.name)
        if match or path.suffix == ".parquet":
            named.setdefault("" if match is None else match[1] or match[2], []).append(path)
    return named


def read_samples(location: str, bad_rows: BadRows) -> Iterator[Sample]:
    """The samples of a folder, lazily, in the order of its files.

    Args:
        location: a folder, which ``?split=NAME`` may follow, or a file.
        bad_rows: told of each row that cannot be used.

    Raises:
        SourceError: there are none, there is no such split, or a file cannot be read on.
        BadRowError: a row cannot be used, and `bad_rows` says to stop.
    """
    location, settings = with_settings(location, _Settings())
    place = local_root(location, "")
    root = place.parent if place.is_file() else place
    media = MediaFiles((root,))
    for path in _files(place, settings.split):
        for row in rows(path, root, bad_rows):
            try:
                sample = from_row(row, media)
            except BadRowError as error:
                bad_rows.add(error)
            else:
                yield sample


def recognises(folder: Path) -> bool:
    """Whether a folder holds samples."""
    try:
        return any(columns(found[0]) >= COLUMNS for found in splits(folder).values())
    except SourceError:
        return False


def _files(root: Path, split: str) -> list[Path]:
    """The files of one split; where none is named, of ``train``, of no split, or of the only one that there is."""
    found = {"": [root]} if root.is_file() else splits(root)
    if not found:
        raise SourceError(f"{root} holds no samples: no {FILE}, and no .parquet file with the columns of one.")
    if not split and "" in found:
        return sorted([*found[""], *found.get(TRAIN, ())])  # and nothing that was set apart
    if not split and len(found) == 1:
        return next(iter(found.values()))
    if (wanted := split or TRAIN) not in found:
        known = ", ".join(sorted(filter(None, found))) or "none"
        raise SourceError(f"{root} has no split {wanted!r}; it has: {known}. Say which: samples:{root}?split=NAME")
    return found[wanted]


def _part(part: Part, keep: Keep) -> dict[str, Any]:
    if isinstance(part, Text):
        return {"kind": "text", "text": part.text}
    frames = {"frames": True} if isinstance(part.source, tuple) else {}
    return {"kind": part.kind, "media": keep(part), **frames}


def _turn(row: Row, turn: object, media: MediaFiles) -> Turn:
    if not isinstance(turn, Mapping):
        raise row.bad("prompt", f"holds a {type(turn).__name__} where a turn has role and content.")
    role: Role = _one_of(row, "prompt", turn.get("role"), get_args(Role))
    return Turn(role, _parts(row, "prompt", turn.get("content"), media))


def _parts(row: Row, field: str, value: object, media: MediaFiles) -> tuple[Part, ...]:
    return tuple(_read_part(row, field, part, media) for part in _list(row, field, value))


def _read_part(row: Row, field: str, part: object, media: MediaFiles) -> Part:
    if not isinstance(part, Mapping):
        raise row.bad(field, f"holds a {type(part).__name__} where a part has a kind.")
    if part.get("kind") == "text":
        return Text(row.checked_text(field, part.get("text")))
    kind: MediaKind = _one_of(row, field, part.get("kind"), get_args(MediaKind))
    pieces = tuple(media.source(row, field, piece) for piece in _list(row, field, part.get("media")))
    if part.get("frames"):
        return Media(kind, pieces)
    if len(pieces) != 1:
        raise row.bad(field, f"has {len(pieces)} files for one {kind}; only frames are several.")
    return Media(kind, pieces[0])


def _provenance(row: Row) -> dict[str, str]:
    value = row.fields.get("provenance") or {}
    pairs = value.items() if isinstance(value, Mapping) else _list(row, "provenance", value)  # Parquet: a map's pairs
    found = {}
    for pair in pairs:
        if isinstance(pair, Mapping):  # Parquet that the Hub reads, which has no maps
            pair = (pair.get("name"), pair.get("value"))
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise row.bad("provenance", "is not a mapping of text to text.")
        found[row.checked_text("provenance", pair[0])] = row.checked_text("provenance", pair[1])
    return found


def _list(row: Row, field: str, value: object) -> list[Any]:
    """A list; only groups and provenance may be empty, and groups missing."""
    optional = field in ("groups", "provenance")
    if optional and value is None:
        return []
    if field not in row.fields:
        raise row.missing(field)
    if not isinstance(value, list):
        raise row.bad(field, f"holds a {type(value).__name__} where a list is needed.")
    if not value and not optional:
        raise row.bad(field, "holds an empty list.")
    return value


def _one_of(row: Row, field: str, value: object, known: tuple[str, ...]) -> Any:
    if value not in known:
        raise row.bad(field, f"has {str(value)[:80]!r}; known are {', '.join(known)}.")
    return value


def write_example(folder: Path) -> None:
    """The smallest folder of samples that shows a medium and a tie."""
    dots = [png(np.full((32, 32, 3), level, np.uint8)) for level in (40, 200)]
    bright, dark = (Media("image", dot) for dot in reversed(dots))
    drawn = Comparison((Turn("user", (Text("Draw a light square."),)),), (bright,), (dark,), "It should be bright.")
    said = Comparison((Turn("user", (Text("Name a river."),)),), (Text("The Nile."),), (Text("The Danube."),))
    write_samples(
        (
            Sample("one", Task.T2I, drawn, "a", "squares", ("drawn",), {"source": "example"}),
            Sample("two", Task.T2T, said, "tie", "rivers"),
        ),
        folder,
    )
