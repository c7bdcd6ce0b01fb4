"""Open Image Preferences: people's votes between two models' images, binarized. Samples of text to image.

Parquet files of data-is-better-together/open-image-preferences-v1-binarized; one row is one pair::

    {"id": "3368-quality", "prompt": "…", "chosen": image, "rejected": image, "chosen_model": "…FLUX.1-dev",
     "rejected_model": "…stable-diffusion-3.5-large", "evolution": "quality", "category": "…", "sub_category": "…"}

Unusual:

* Votes could also be 'both good' and 'both bad'; pairs without a strict winner were left out by the publisher, so there
  are no ties. The raw votes are another repository (…-v1-results), which is not read.
* Chosen is always ``a``. Nothing here shuffles sides: whoever judges these pairs by position must.
* `id` is the publisher's; it is in the provenance. A sample is named by its file and row, because nothing promises
  that an id comes once.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from omnireward.datasets._row_files import read, root_of, tables
from omnireward.datasets._tiny_media import picture
from omnireward.errors import SourceError
from omnireward.media_files import MediaFiles
from omnireward.rows import Row
from omnireward.sources import BadRows, SampleSource, local_root, prompt_cluster
from omnireward.types import Comparison, Media, Sample, Task, Text, Turn

HOME = "hub:data-is-better-together/open-image-preferences-v1-binarized"
COLUMNS = frozenset({"id", "prompt", "chosen", "rejected", "chosen_model", "rejected_model", "evolution"})
STATED = ("id", "chosen_model", "rejected_model", "evolution", "category", "sub_category")


def _read(location: str, bad_rows: BadRows) -> Iterator[Sample]:
    place = local_root(location, HOME)
    found = tables(place, COLUMNS.issubset)
    if not found:
        raise SourceError(
            f"{place} holds no open-image-preferences: no .parquet file with the columns {', '.join(sorted(COLUMNS))}. "
            "Give a folder with a copy of the repository."
        )
    root = root_of(place)
    yield from read(found, root, bad_rows, partial(_samples, media=MediaFiles((root,))))


def _samples(row: Row, media: MediaFiles) -> Iterator[Sample]:
    prompt = row.text("prompt")
    stated = {key: row.optional_text(key) for key in STATED}
    chosen, rejected = (Media("image", media.source(row, key, row.fields.get(key))) for key in ("chosen", "rejected"))
    if chosen == rejected:
        raise row.bad("rejected", "is the same image as the chosen one.")
    yield Sample(
        id=f"{row.file}:{row.number}",
        task=Task.T2I,
        comparison=Comparison((Turn("user", (Text(prompt),)),), (chosen,), (rejected,)),
        preference="a",
        cluster=prompt_cluster(Task.T2I, prompt),
        groups=tuple(filter(None, (stated["evolution"], stated["category"]))),
        provenance=stated | {"file": row.file, "row": str(row.number)},
    )


def _recognises(folder: Path) -> bool:
    try:
        return bool(tables(folder, COLUMNS.issubset))
    except SourceError:
        return False


def _example(folder: Path) -> None:
    models = {
        "chosen_model": "black-forest-labs/FLUX.1-dev",
        "rejected_model": "stabilityai/stable-diffusion-3.5-large",
    }
    images = {
        name: {"bytes": picture(level), "path": f"{name}.png"} for name, level in (("chosen", 220), ("rejected", 60))
    }
    told = {"evolution": "quality", "category": "Cinematic", "sub_category": "Indoors"}
    row = {"id": "3368-quality", "prompt": "A lit lamp.", **images, **models, **told}
    (folder / "data").mkdir()
    pq.write_table(pa.Table.from_pylist([row]), folder / "data" / "train-00000-of-00001.parquet")


DATASET = SampleSource(
    summary="Open Image Preferences: votes between images of FLUX and Stable Diffusion, without ties",
    read=_read,
    recognises=_recognises,
    home=HOME,
    licence="apache-2.0",
    looks_for=".parquet files with the columns chosen, rejected, chosen_model, rejected_model and evolution",
    example=_example,
)
