"""RLAIF-V: pairs of answers about a picture, told apart by open models. Samples of text and image to text.

Parquet of openbmb/RLAIF-V-Dataset; one row is one pair::

    {"ds_name": "…", "image": {"bytes": …, "path": "…"}, "question": "…", "chosen": "…", "rejected": "…",
     "origin_dataset": "…", "origin_split": JSON as text, "idx": "12", "image_path": "….jpg"}

Unusual:

* The question has no placeholder for the picture; the authors' training puts the picture before it, and so does this.
* Where a row holds no bytes, the picture is looked for below the folder: by the path beside them, else by `image_path`.
* `idx` is the publisher's and may come several times, since a question is asked of several models. A sample is named by
  its file and row.
* `origin_split` is kept as it is; the model that its JSON names is the `model` in the provenance.
* There are no scores and no ties. Chosen is always ``a``: whoever judges by position must swap at random.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from omnireward.datasets._row_files import identity, read, root_of, tables
from omnireward.datasets._tiny_media import picture
from omnireward.errors import SourceError
from omnireward.media_files import MediaFiles
from omnireward.rows import Row
from omnireward.sources import BadRows, SampleSource, local_root, prompt_cluster
from omnireward.types import Comparison, Media, Sample, Task, Text, Turn

HOME = "hub:openbmb/RLAIF-V-Dataset"
COLUMNS = frozenset({"ds_name", "image", "question", "chosen", "rejected", "origin_dataset"})
STATED = ("ds_name", "origin_dataset", "origin_split", "image_path")


def _read(location: str, bad_rows: BadRows) -> Iterator[Sample]:
    place = local_root(location, HOME)
    files = _files(place)
    if not files:
        raise SourceError(
            f"{place} holds no RLAIF-V: no .parquet file with the columns {', '.join(sorted(COLUMNS))}. Give a folder "
            "with a copy of the repository."
        )
    yield from read(
        files, root_of(place), bad_rows, partial(_samples, root=root_of(place), media=MediaFiles((root_of(place),)))
    )


def _samples(row: Row, root: Path, media: MediaFiles) -> Iterator[Sample]:
    question, chosen, rejected = (row.text(field) for field in ("question", "chosen", "rejected"))
    if chosen == rejected:
        raise row.bad("rejected", "says the same as the chosen response.")
    image = _image(row, media)
    stated = {field: row.optional_text(field) for field in STATED}
    told = stated | {"idx": _idx(row), "model": _model(stated["origin_split"])}
    yield Sample(
        id=f"{row.file}:{row.number}",
        task=Task.TI2T,
        comparison=Comparison((Turn("user", (image, Text(question))),), (Text(chosen),), (Text(rejected),)),
        preference="a",
        cluster=prompt_cluster(Task.TI2T, question, identity(image, root)),
        groups=(stated["origin_dataset"],) if stated["origin_dataset"] else (),
        provenance=told | {"file": row.file, "row": str(row.number)},
    )


def _image(row: Row, media: MediaFiles) -> Media:
    value = row.fields.get("image")
    held = [value.get("bytes"), value.get("path")] if isinstance(value, Mapping) else [value]
    field = "image" if any(held) or not row.fields.get("image_path") else "image_path"
    return Media("image", media.source(row, field, row.fields.get(field)))


def _idx(row: Row) -> str:
    value = row.fields.get("idx")
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else row.optional_text("idx")


def _model(origin: str) -> str:
    """The model that `origin_split` names; "" where it names none, which is no reason to lose the row."""
    try:
        told = json.loads(origin)
    except (ValueError, RecursionError):
        return ""
    model = told.get("model") if isinstance(told, dict) else None
    return model if isinstance(model, str) and model.isprintable() else ""  # JSON can spell half a surrogate pair


def _files(place: Path) -> tuple[Path, ...]:
    return tables(place, COLUMNS.issubset)


def _recognises(folder: Path) -> bool:
    try:
        return bool(_files(folder))
    except SourceError:
        return False


def _example(folder: Path) -> None:
    row = {
        "ds_name": "RLAIF-V",
        "image": {"bytes": picture(200, "JPEG"), "path": "llava1.5_7b_1.jpg"},
        "question": "What is shown?",
        "chosen": "A bright square.",
        "rejected": "A black cat.",
        "origin_dataset": "MSCOCO",
        "origin_split": json.dumps({"model": "llava-v1.5-7b", "type": "detail description"}),
        "idx": "12",
        "image_path": "llava1.5_7b_1.jpg",
    }
    pq.write_table(pa.Table.from_pylist([row]), folder / "RLAIF-V-Dataset_000.parquet")


DATASET = SampleSource(
    summary="RLAIF-V: pairs of answers about pictures, told apart by open models, without ties",
    read=_read,
    recognises=_recognises,
    home=HOME,
    licence="cc-by-nc-4.0",
    looks_for=f".parquet files with the columns {', '.join(sorted(COLUMNS))}",
    example=_example,
)
