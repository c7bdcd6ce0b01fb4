"""align-anything: people's choices between two responses, in eight tasks (PKU-Alignment/align-anything).

Each config is a folder of Parquet or JSON files, whose media are in the rows or in archives beside them. A row has two
responses, which one is the better overall, and the better one by each of several questions, with marks and reasons::

    text-to-audio/train_12k.parquet   {"prompt": "…", "response_1": audio, "response_2": audio, "overall_audio": 1,
                                       "p_audio": 1, "prompt_following_rate_1": 3, "prompt_following_rate_2": 2, …}
    text-video-to-text/train_10k.json {"prompt": "…<video>", "video_path": "./videos/7.mp4", "response_1": "…",
                                       "response_2": "…", "overall_response": 2, …}

Settings, as in ``align_anything:FOLDER?config=text-to-audio&dimensions=yes``:

* ``config``: one of the folders' names; by default all that are there.
* ``split``: ``train`` (the default), ``val`` or ``example``, by the file's name.
* ``dimensions``: ``yes`` makes a further sample of each question that was asked besides the overall one, with a
  criterion in this project's words. By default there is the overall choice only, under no criterion.
* ``overall``: the column of the overall choice, where it has another name.

Unusual:

* The columns of text-to-text, text-to-image and text-to-video are taken to be as those of the other configs (see
  `_align_anything_shapes`). A file whose columns fit no shape of its config is not read, and reported with its columns.
* Choices other than 1 and 2 say nothing that is documented. Such rows are left out, as the authors do, and counted in
  the log. So there are no ties.
* Marks, where they are known, stand in the provenance of the samples of their question.
* In text-image-to-text-image the better response comes first, by the names of its columns, in one of two known shapes.
"""

from __future__ import annotations

import json
import logging
import reprlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from omnireward.datasets import _row_files
from omnireward.datasets._align_anything_files import RowFile, archived_media, row_files
from omnireward.datasets._align_anything_shapes import CONFIGS, Dimension, Shape, dimensions_of
from omnireward.datasets._archived_media import ArchivedMedia
from omnireward.datasets._tiny_media import write_clip
from omnireward.datasets._tiny_sounds import sound
from omnireward.errors import BadRowError, RecipeError, SourceError
from omnireward.rows import Row
from omnireward.sources import BadRows, SampleSource, local_root, prompt_cluster, with_settings
from omnireward.types import Comparison, Media, MediaKind, Part, Preference, Sample, Task, Text, Turn

HOME = "hub:PKU-Alignment/align-anything"
SPLITS = ("train", "val", "example")
MODELS = ("model_1", "model_2", "res_1_from", "res_2_from", "image_1_model", "image_2_model")
_MOST = 20  # pictures of one cell
_SHOWN = 40  # columns that a message lists
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Settings:
    """Which configs and split, which questions, and what the choice is called."""

    config: str = ""
    split: str = "train"
    dimensions: bool = False
    overall: str = ""

    def __post_init__(self) -> None:
        if self.config not in ("", *CONFIGS):
            raise RecipeError(f"config is one of {', '.join(CONFIGS)}; got {self.config!r}.")
        if self.split not in SPLITS:
            raise RecipeError(f"split is one of {', '.join(SPLITS)}; got {self.split!r}.")


def _read(location: str, bad_rows: BadRows) -> Iterator[Sample]:
    typed, settings = with_settings(location, Settings())
    place = local_root(typed, HOME)
    there = [file for file in row_files(place, settings.overall) if settings.config in ("", file.config)]
    # A single file is what the user wants, whatever its name.
    found = there if place.is_file() else [file for file in there if file.split == settings.split]
    if not found:
        splits = ", ".join(sorted({f"{file.split} of {file.config}" for file in there})) or "none of its files"
        raise SourceError(
            f"{place} holds no {settings.split} of {settings.config or 'align-anything'}: there is {splits}. Give a "
            f"folder with a copy of the repository, with the folders {', '.join(CONFIGS)} or some of them."
        )
    root = _row_files.root_of(place)
    for file in found:
        if file.shape is None:
            bad_rows.add(BadRowError(file.path.relative_to(root).as_posix(), 0, "(columns)", _unknown(file)))
            continue
        left_out: Counter[str] = Counter()
        reader = _Reader(root, file.shape, settings.dimensions, archived_media(root, file.path.parent), left_out)
        yield from _row_files.read((file.path,), root, bad_rows, partial(_samples, reader))
        if left_out:
            _log.info("%s: left out because of their choice: %s", file.path, dict(left_out.most_common(_MOST)))


def _unknown(file: RowFile) -> str:
    names = ", ".join(sorted(map(reprlib.repr, file.columns))[:_SHOWN]) or "none"
    return (
        f"are of no known shape of {file.config}; they are {names}. If one of them says 1 or 2 for the better response "
        "overall, name it: align_anything:FOLDER?overall=COLUMN. To pass over the file, name the config to read: "
        "align_anything:FOLDER?config=…"
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    """How the rows of one file become samples; `left_out` counts the choices of those that become none."""

    root: Path
    shape: Shape
    dimensions: bool
    media: ArchivedMedia
    left_out: Counter[str]


def _samples(reader: _Reader, row: Row) -> Iterator[Sample]:
    shape = reader.shape
    asked: list[tuple[str, Dimension | None]] = [(shape.choice, None)]
    if reader.dimensions:
        asked += dimensions_of(shape, frozenset(row.fields))
    # A question besides the overall one may be unanswered.
    chosen = [
        (column, one, None if one and row.fields[column] is None else _choice(row, column, reader.left_out))
        for column, one in asked
    ]
    if all(preference is None for _, _, preference in chosen):
        return
    prompt, cluster = _prompt(row, reader)
    first, second = (_response(row, side, reader) for side in (0, 1))
    if first == second:
        raise row.bad("(row)", "has the same response twice.")
    for _, one, preference in chosen:
        if preference is None:
            continue
        marks = [f"{one.name}_rate_{number}" for number in (1, 2)] if one else []
        yield Sample(
            id=f"{row.file}:{row.number}" + (f":{one.name}" if one else ""),
            task=shape.task,
            comparison=Comparison((Turn("user", prompt),), first, second, one.words if one else ""),
            preference=preference,
            cluster=cluster,
            groups=(shape.config, one.name if one else "overall"),
            provenance={field: row.optional_text(field) for field in MODELS if field in row.fields}
            | {mark: repr(value) for mark in marks if isinstance(value := row.fields.get(mark), int | float)}
            | {"file": row.file, "row": str(row.number)},
        )


def _choice(row: Row, column: str, left_out: Counter[str]) -> Preference | None:
    """Which response is better; None where the choice is another number."""
    if not column:
        return "a"
    value = row.fields.get(column)
    if isinstance(value, str) and value.strip().lstrip("-").isdecimal() and len(value) < _MOST:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value // 1:
        raise row.bad(column, f"is {reprlib.repr(value)}, not the number of a response.")
    if value in (1, 2):
        return "a" if value == 1 else "b"
    said = reprlib.repr(value)
    left_out[said if said in left_out or len(left_out) < _MOST else "others"] += 1
    return None


def _prompt(row: Row, reader: _Reader) -> tuple[tuple[Part, ...], str]:
    """The parts of the prompt, media first, and the name of the prompt."""
    shape, words = reader.shape, row.text(reader.shape.prompt)
    if shape.task is Task.TV2T:
        words = words.replace("<video>", "").strip()
    if not words.strip():
        raise row.bad(shape.prompt, "is empty.")
    shown = _media(row, *shape.shown, reader) if shape.shown else ()
    names = [_row_files.identity(one, reader.root) for one in shown]
    return (*shown, Text(words)), prompt_cluster(shape.task, words, *names)


def _response(row: Row, side: int, reader: _Reader) -> tuple[Part, ...]:
    """A response's parts, media first as the authors put them."""
    shape = reader.shape
    if shape.media is None:
        return (Text(row.text(shape.texts[side])),) if shape.texts else ()
    kind, *fields = shape.media
    parts: tuple[Part, ...] = _media(row, kind, fields[side], reader)
    if shape.texts and (words := row.optional_text(shape.texts[side])):
        parts += (Text(words),)
    if not parts:
        raise row.bad(fields[side], "holds no picture, and there are no words either.")
    return parts


def _media(row: Row, kind: MediaKind, field: str, reader: _Reader) -> tuple[Media, ...]:
    """The media of a cell: one; or any number, none too, where words and pictures alternate."""
    if field not in row.fields:
        raise row.missing(field)
    value = row.fields[field]
    if reader.shape.task is not Task.TI2TI:
        return (reader.media.media(row, field, kind, value),)
    cells = value if isinstance(value, list) else [] if value in (None, "", {"bytes": None, "path": None}) else [value]
    if len(cells) > _MOST:
        raise row.bad(field, f"has {len(cells)} pictures; up to {_MOST} are read.")
    return tuple(reader.media.media(row, field, kind, cell) for cell in cells)


def _recognises(folder: Path) -> bool:
    try:
        return any(file.shape for file in row_files(folder, ""))
    except SourceError:
        return False


def _example(folder: Path) -> None:
    """Two configs: one with media in its Parquet file, one of JSON with media beside it."""
    table = [
        {
            "prompt": f"A loud hum, take {better}.",
            "response_1": {"bytes": sound(0.9 if better == 1 else 0.1), "path": "1.wav"},
            "response_2": {"bytes": sound(0.9 if better == 2 else 0.1), "path": "2.wav"},
            "res_1_from": "one",
            "res_2_from": "two",
            "p_audio": better,
            "prompt_following_rate_1": 3 if better == 1 else 1,
            "prompt_following_rate_2": 3 if better == 2 else 1,
            "overall_audio": better,
        }
        for better in (1, 2)
    ]
    (folder / "text-to-audio").mkdir()
    pq.write_table(pa.Table.from_pylist(table), folder / "text-to-audio" / "train_12k.parquet")
    row = {
        "prompt": "What is seen?\n<video>",
        "video_path": "./videos/7.mp4",
        "response_1": "A grey area.",
        "response_2": "A dog.",
        "model_1": "one",
        "model_2": "two",
        "overall_response": 1,
    }
    home = folder / "text-video-to-text"
    write_clip(home / "videos" / "7.mp4", 120)
    (home / "train_10k.json").write_text(json.dumps([row]))


DATASET = SampleSource(
    summary="align-anything: people's choices between responses in text, image, video and audio, without ties",
    read=_read,
    recognises=_recognises,
    home=HOME,
    licence="cc-by-nc-4.0",
    looks_for="folders such as text-to-audio or text-image-to-text with rows that have a column overall_audio, "
    "overall_response or the like",
    example=_example,
)
