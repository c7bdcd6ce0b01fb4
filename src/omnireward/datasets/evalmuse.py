"""EvalMuse: generated images with people's scores, joined into pairs (DY-Evalab/EvalMuse). Samples of text to image.

One row is one image. ``train_list.json`` holds each annotator's marks; ``train.json``, which the authors' script makes
of it, their averages. The first is read where both are there. Images lie in ``images/``, in ``images.zip``, or in the
parts of it that the repository has, ``images.zip.part-aa`` and so on::

    {"prompt": "…", "img_path": "SDXL-Turbo/00110.png", "total_score": [4, 5, 4], "promt_meaningless": [0, 0, 0], …}
    {"prompt": "…", "img_path": "SDXL-Turbo/00110.png", "total_score": 4.333333, "promt_meaningless": 0.0, "var": …}

Settings, as in ``evalmuse:FOLDER?margin=1&pairs=best``: `margin`, `ties` and `pairs`, see `omnireward.scores`. A score
is the mean of `total_score`; the margin is in its unit. With which margin Omni-RewardData joined its 2,944 pairs is not
published, so none is assumed: without a margin every difference counts.

Unusual:

* Nothing in the source is a pair. Images of two models belong together when the number in their names is the same *and*
  their prompts are; the rest of a name is the model. Other names are refused, and so is an image that comes twice.
* Pairing needs the whole file before the first sample. Rows wait in a temporary file on disk, in order of their
  numbers, so memory does not grow with them.
* ``promt_meaningless`` (its own spelling) is kept in the provenance and decides nothing. Elements are not read.
"""

from __future__ import annotations

import json
import re
import sqlite3
import statistics
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import groupby
from pathlib import Path

from omnireward.datasets._archived_media import ArchivedMedia, Packed
from omnireward.datasets._checked_lists import MOST, number_or_numbers, told
from omnireward.datasets._tiny_media import write_picture
from omnireward.errors import BadRowError, SourceError
from omnireward.media_files import MediaFiles
from omnireward.rows import Row, columns, rows
from omnireward.scores import PairRule, ScoredPair, scored_pairs
from omnireward.sources import BadRows, SampleSource, local_root, prompt_cluster, with_settings
from omnireward.types import Comparison, Media, Sample, Task, Text, Turn

HOME = "hub:DY-Evalab/EvalMuse"
FILES = ("train_list.json", "train.json")
COLUMNS = frozenset({"prompt", "img_path", "total_score"})
IMAGES, ARCHIVE = "images", "images.zip"
_NAME = re.compile(r"(?P<model>.+)/(?P<number>[0-9]{5})\.png")
_TABLE = """CREATE TABLE images (
    number INTEGER, prompt TEXT, row INTEGER, model TEXT, path TEXT, score REAL, told TEXT, UNIQUE (number, model))"""


def _read(location: str, bad_rows: BadRows) -> Iterator[Sample]:
    place, rule = with_settings(location, PairRule())
    root = local_root(place, HOME)
    file = _file(root)
    if file is None:
        raise SourceError(
            f"{root} holds no {' or '.join(FILES)}. Give a folder with a copy of the repository EvalMuse."
        )
    media = _media_files(root)
    with closing(sqlite3.connect("", check_same_thread=False)) as scratch:  # a file that is gone when this ends
        _gather(rows(root / file, root, bad_rows), scratch, bad_rows)
        ordered = scratch.execute("SELECT * FROM images ORDER BY number, prompt, row")
        for _, group in groupby(ordered, key=lambda image: image[:2]):
            yield from _samples(file, _few(file, group, bad_rows), media, rule, bad_rows)


def _gather(found: Iterator[Row], scratch: sqlite3.Connection, bad_rows: BadRows) -> None:
    scratch.execute(_TABLE)
    for row in found:
        try:
            image = _image(row)
            if scratch.execute("INSERT OR IGNORE INTO images VALUES (?, ?, ?, ?, ?, ?, ?)", image).rowcount == 0:
                raise row.bad("img_path", f"is {image[4]!r}, which an earlier row is about.")
        except BadRowError as error:
            bad_rows.add(error)


_Image = tuple[int, str, int, str, str, float, str]


def _image(row: Row) -> _Image:
    path = row.text("img_path")
    name = _NAME.fullmatch(path)
    if name is None:
        raise row.bad("img_path", f"is {path[:200]!r}, not <model>/<five digits>.png, by which images are joined.")
    scores = number_or_numbers(row, "total_score")
    told_of = {"scores": told(scores)}
    if row.fields.get("promt_meaningless") is not None:
        told_of["prompt_meaningless"] = told(number_or_numbers(row, "promt_meaningless"))
    mean = statistics.fmean(scores)
    return int(name["number"]), row.text("prompt"), row.number, name["model"], path, mean, json.dumps(told_of)


def _few(file: str, group: Iterator[_Image], bad_rows: BadRows) -> list[_Image]:
    """The images of one prompt; those beyond `MOST` are refused, because pairs grow with the square."""
    few: list[_Image] = []
    for image in group:
        if len(few) < MOST:
            few.append(image)
        else:
            problem = f"is image {MOST + 1} or later of one prompt; {MOST} are read."
            bad_rows.add(BadRowError(file, image[2], "img_path", problem))
    return few


def _samples(
    file: str, images: list[_Image], media: ArchivedMedia, rule: PairRule, bad_rows: BadRows
) -> Iterator[Sample]:
    shown: dict[int, Media] = {}
    there = []
    for image in images:
        try:
            shown[image[2]] = media.media(Row(file, image[2], {"img_path": image[4]}), "img_path", "image", image[4])
        except BadRowError as error:
            bad_rows.add(error)
        else:
            there.append(image)
    for pair in scored_pairs([image[5] for image in there], rule):
        yield _sample(file, (there[pair.a], there[pair.b]), shown, pair)


def _sample(file: str, images: tuple[_Image, _Image], shown: Mapping[int, Media], pair: ScoredPair) -> Sample:
    (number, prompt, *_), _ = images
    a, b = (image[2] for image in images)
    provenance = {"number": f"{number:05}", "file": file, **pair.provenance()}
    for side, image in zip("ab", images, strict=True):
        provenance |= {f"model_{side}": image[3], f"row_{side}": str(image[2])}
        provenance |= {f"{key}_{side}": value for key, value in json.loads(image[6]).items()}
    return Sample(
        id=f"{number:05}/{a}-{b}",
        task=Task.T2I,
        comparison=Comparison((Turn("user", (Text(prompt),)),), (shown[a],), (shown[b],)),
        preference=pair.preference,
        cluster=prompt_cluster(Task.T2I, prompt),
        provenance=provenance,
    )


def _media_files(root: Path) -> ArchivedMedia:
    folder = root / IMAGES
    packed = []
    if (root / ARCHIVE).is_file():
        packed.append(Packed((root / ARCHIVE,), folder))
    elif parts := tuple(sorted(root.glob(f"{ARCHIVE}.part-*"))):
        packed.append(Packed(parts, folder))
    return ArchivedMedia(MediaFiles((folder, folder / IMAGES, root)), packed)


def _file(root: Path) -> str | None:
    return next((name for name in FILES if (root / name).is_file()), None)


def _recognises(folder: Path) -> bool:
    file = _file(folder)
    try:
        return file is not None and columns(folder / file) >= COLUMNS
    except SourceError:
        return False


def _example(folder: Path) -> None:
    marks = {
        "element_score": "{'lamp (object)': [1, 1, 0]}",  # words, not an object, in the repository
        "promt_meaningless": [0, 0, 0],
        "split_confidence": [1, 1, 1],
        "attribute_confidence": [1, 1, 1],
    }
    table = []
    for model, level, scores in (("SDXL-Turbo", 220, [4, 5, 4]), ("SD_v2.1", 60, [2, 2, 3]), ("PixArt", 90, [4, 4, 5])):
        path = f"{model}/00110.png"
        write_picture(folder / IMAGES / path, level)
        table.append({"prompt": "A lit lamp.", "img_path": path, "total_score": scores, **marks})
    (folder / FILES[0]).write_text(json.dumps(table))


DATASET = SampleSource(
    summary="EvalMuse: generated images with people's scores; images of one prompt joined into pairs",
    read=_read,
    recognises=_recognises,
    home=HOME,
    licence="bsd-3-clause",
    looks_for="train_list.json or train.json with img_path and total_score",
    example=_example,
)
