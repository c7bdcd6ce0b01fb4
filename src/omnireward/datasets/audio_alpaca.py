"""Audio-alpaca: pairs of generated sounds for a description (declare-lab/audio-alpaca). Samples of text to audio.

Parquet files; one row is one pair. TangoFlux is trained on pairs in a JSON list, which is read too, wherever it is a
file of its own in the folder, whatever its name; its sounds are files, named from the folder on::

    {"prompt": "…", "chosen": {"bytes": …, "path": "…"}, "rejected": {"bytes": …, "path": "…"}, "strategy": "…"}
    {"captions": "…", "duration": 10.0, "chosen": "wavs/1_a.wav", "reject": "wavs/1_b.wav"}

Unusual:

* Nothing in the source is an id, so a sample is named by its file and row.
* Chosen is always ``a``, and there are no ties. Nothing here shuffles sides: whoever judges pairs by position must.
* Omni-RewardBench takes prompts from here. What is trained on these rows has seen some of its prompts.
* A training script of the authors names the repository ``declare-lab/audio_alpaca``, which is not its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from omnireward.datasets import _row_files
from omnireward.datasets._tiny_sounds import sound
from omnireward.errors import SourceError
from omnireward.media_files import MediaFiles
from omnireward.rows import Row, columns
from omnireward.sources import BadRows, SampleSource, local_root, prompt_cluster
from omnireward.types import Comparison, Media, Sample, Task, Text, Turn

HOME = "hub:declare-lab/audio-alpaca"
COLUMNS = frozenset({"prompt", "chosen", "rejected", "strategy"})
FLUX_COLUMNS = frozenset({"captions", "chosen", "reject"})


def _read(location: str, bad_rows: BadRows) -> Iterator[Sample]:
    place = local_root(location, HOME)
    found = _files(place)
    if not found:
        raise SourceError(
            f"{place} holds no Audio-alpaca: neither a .parquet file with the columns {', '.join(sorted(COLUMNS))} nor "
            f"a .json list with {', '.join(sorted(FLUX_COLUMNS))}. Give a folder with a copy of the repository."
        )
    root = _row_files.root_of(place)
    yield from _row_files.read(found, root, bad_rows, partial(_samples, media=MediaFiles((root,))))


def _samples(row: Row, media: MediaFiles) -> Iterator[Sample]:
    flux = "captions" in row.fields  # the other form has no such column
    prompt = row.text("captions" if flux else "prompt")
    if not prompt.strip():
        raise row.bad("captions" if flux else "prompt", "is empty.")
    worse = "reject" if flux else "rejected"
    chosen, rejected = (_sound(row, field, media) for field in ("chosen", worse))
    if chosen == rejected:
        raise row.bad(worse, "is the same sound as the chosen one.")
    duration = row.fields.get("duration")
    yield Sample(
        id=f"{row.file}:{row.number}",
        task=Task.T2A,
        comparison=Comparison((Turn("user", (Text(prompt),)),), (chosen,), (rejected,)),
        preference="a",
        cluster=prompt_cluster(Task.T2A, prompt),
        groups=tuple(filter(None, (row.optional_text("strategy"),))),
        provenance={
            "strategy": row.optional_text("strategy"),
            "duration": repr(duration) if isinstance(duration, int | float) else "",
            "file": row.file,
            "row": str(row.number),
        },
    )


def _sound(row: Row, field: str, media: MediaFiles) -> Media:
    if field not in row.fields:
        raise row.missing(field)
    return Media("audio", media.source(row, field, row.fields[field]))


def _files(place: Path) -> tuple[Path, ...]:
    lists = [place] if place.is_file() else sorted(place.glob("*.json"))
    flux = (path for path in lists if path.suffix == ".json" and _is_flux(path))
    return (*_row_files.tables(place, COLUMNS.issubset), *flux)


def _is_flux(path: Path) -> bool:
    try:
        return columns(path) >= FLUX_COLUMNS
    except SourceError:  # JSON of something else, such as settings, is no list
        return False


def _recognises(folder: Path) -> bool:
    try:
        return bool(_files(folder))
    except SourceError:
        return False


def _example(folder: Path) -> None:
    table = [
        {
            "prompt": "A loud hum.",
            "chosen": {"bytes": sound(0.9), "path": "chosen.wav"},
            "rejected": {"bytes": sound(0.1), "path": "rejected.wav"},
            "strategy": strategy,
        }
        for strategy in ("one", "two")
    ]
    (folder / "data").mkdir()
    pq.write_table(pa.Table.from_pylist(table), folder / "data" / "train-00000-of-00020.parquet")


DATASET = SampleSource(
    summary="Audio-alpaca: pairs of generated sounds for a description, without ties",
    read=_read,
    recognises=_recognises,
    home=HOME,
    licence="apache-2.0",
    looks_for=".parquet files with the columns prompt, chosen, rejected and strategy, or a .json list of captions, "
    "chosen and reject",
    example=_example,
)
