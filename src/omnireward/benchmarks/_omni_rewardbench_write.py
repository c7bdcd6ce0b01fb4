"""Samples written in either of Omni-RewardBench's forms, so that its readers, ours and others', can use them.

Unusual: media files are named by their content. A medium shared by several samples is written once, and reading back
finds that they share it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from omnireward.benchmarks._omni_rewardbench_layout import (
    LABELS,
    MEDIA_FOLDER,
    RESPONSES,
    json_name,
    medium,
    prompt_medium,
)
from omnireward.errors import SourceError
from omnireward.types import Media, Part, Sample, Task, Text

Form = Literal["json", "parquet"]

_WORDS = {preference: label for label, preference in LABELS.items()}
_MEDIA_CELL = pa.struct({"bytes": pa.binary(), "path": pa.string()})
_ROW_GROUP = 64  # rows; a row may hold three images
_SIGNATURES = (  # (offset, bytes, suffix)
    (0, b"\x89PNG", ".png"),
    (0, b"\xff\xd8\xff", ".jpg"),
    (8, b"WEBP", ".webp"),
    (8, b"WAVE", ".wav"),
    (0, b"fLaC", ".flac"),
    (0, b"OggS", ".ogg"),
    (0, b"ID3", ".mp3"),
    (4, b"ftyp", ".mp4"),
    (0, b"\x1aE\xdf\xa3", ".webm"),
    (0, b"glTF", ".glb"),
)


def write_omni_rewardbench(samples: Iterable[Sample], folder: Path, form: Form = "json") -> int:
    """Write samples as Omni-RewardBench lies on disk; returns how many rows were written.

    ``json``: one ``<task>_preferences.json`` per task, media below ``media_data/``. ``parquet``: one config per task,
    images, sounds and 3D renders inside the rows, videos below ``media_data/``. Rows keep the samples' order within
    each task. A mesh given as a file is written as that file; the published benchmark has pictures in its place.

    Args:
        samples: read once; rows are held in memory per task (JSON) or per row group (Parquet).
        folder: made if absent; must be empty.
        form: which of the two.

    Raises:
        SourceError: the folder is not empty, or a sample is not expressible: the layout has one user turn of text with
            at most one medium, and one part per response, each in one file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise SourceError(f"{folder} is not empty. Give a new folder, so that old and new rows cannot mix.")
    return _write_json(samples, folder) if form == "json" else _write_parquet(samples, folder)


def _write_json(samples: Iterable[Sample], folder: Path) -> int:
    written: dict[Task, list[dict[str, object]]] = {}
    for sample in samples:
        cells = {column: _filed(part, sample.task, folder) for column, part in _parts(sample).items()}
        written.setdefault(sample.task, []).append(_words(sample) | cells)
    for task, table in written.items():
        text = json.dumps(table, ensure_ascii=False, indent=1)
        (folder / json_name(task)).write_text(text + "\n", encoding="utf-8")
    return sum(map(len, written.values()))


def _write_parquet(samples: Iterable[Sample], folder: Path) -> int:
    count = 0
    pending: dict[Task, list[dict[str, object]]] = {}
    with ExitStack() as stack:
        writers: dict[Task, pq.ParquetWriter] = {}
        for sample in samples:
            task, count = sample.task, count + 1
            if task not in writers:
                path = folder / task.value / "test-00000-of-00001.parquet"
                path.parent.mkdir()
                writers[task] = stack.enter_context(pq.ParquetWriter(path, _schema(task)))
            pending.setdefault(task, []).append(_words(sample) | _parquet_cells(sample, folder))
            if len(pending[task]) == _ROW_GROUP:
                writers[task].write_table(pa.Table.from_pylist(pending.pop(task), _schema(task)))
        for task, table in pending.items():
            writers[task].write_table(pa.Table.from_pylist(table, _schema(task)))
    return count


def _schema(task: Task) -> pa.Schema:
    """Column names and types of a config, as the card lists them: videos are paths, other media structs."""
    kinds = {column: medium(task.output) for column in RESPONSES}
    if (shown := prompt_medium(task)) is not None:
        kinds[shown] = shown
    fields = {name: pa.string() for name in ("id", "prompt", "model1", "model2", "criteria", "criteria_preference")}
    for column, kind in kinds.items():
        fields[column] = pa.string() if kind in (None, "video") else _MEDIA_CELL
        if kind not in (None, "video"):
            fields[f"{column}_path"] = pa.string()
    return pa.schema(fields)


def _parquet_cells(sample: Sample, folder: Path) -> dict[str, object]:
    cells: dict[str, object] = {}
    for column, part in _parts(sample).items():
        if isinstance(part, Text) or part.kind == "video":
            cells[column] = _filed(part, sample.task, folder)
        else:
            data, name = _file(part, sample.task)
            cells |= {column: {"bytes": data, "path": name}, f"{column}_path": name}
    return cells


def _words(sample: Sample) -> dict[str, object]:
    turns = sample.comparison.prompt
    texts = [part.text for turn in turns for part in turn.content if isinstance(part, Text)]
    if len(turns) != 1 or len(texts) != 1:
        raise SourceError(f"sample {sample.id}: Omni-RewardBench rows have one user turn with one text.")
    return {
        "id": sample.id,
        "prompt": texts[0],
        "model1": sample.provenance.get("model1", ""),
        "model2": sample.provenance.get("model2", ""),
        "criteria": sample.comparison.criterion,
        "criteria_preference": _WORDS[sample.preference],
    }


def _parts(sample: Sample) -> Mapping[str, Part]:
    """The cells that may hold media, by column."""
    comparison = sample.comparison
    shown = [part for turn in comparison.prompt for part in turn.content if isinstance(part, Media)]
    column = prompt_medium(sample.task)
    if [part.kind for part in shown] != ([] if column is None else [column]):
        raise SourceError(f"sample {sample.id}: the prompt of a {sample.task.short} row holds {column or 'no media'}.")
    parts: dict[str, Part] = {} if column is None else {column: shown[0]}
    for name, response in zip(RESPONSES, (comparison.response_a, comparison.response_b), strict=True):
        if len(response) != 1 or (response[0].kind if isinstance(response[0], Media) else "text") != sample.task.output:
            raise SourceError(f"sample {sample.id}: a response of {sample.task.short} is one {sample.task.output}.")
        parts[name] = response[0]
    return parts


def _filed(part: Part, task: Task, folder: Path) -> str:
    """The cell of the JSON form: text itself, or the path of the media file, which is written unless it is there."""
    if isinstance(part, Text):
        return part.text
    data, name = _file(part, task)
    path = folder / MEDIA_FOLDER / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_bytes(data)
    return name


def _file(part: Media, task: Task) -> tuple[bytes, str]:
    """The bytes of a medium and its path below the media folder."""
    pieces = part.pieces()
    if len(pieces) != 1 or (isinstance(part.source, tuple) and part.kind != "mesh"):
        raise SourceError(
            f"Omni-RewardBench keeps one file per {part.kind}; this one has {len(pieces)} pieces. Join them."
        )
    (piece,) = pieces
    data = piece if isinstance(piece, bytes) else piece.read_bytes()
    known = [suffix for offset, mark, suffix in _SIGNATURES if data[offset:].startswith(mark)]
    suffix = known[0] if known else (piece.suffix if isinstance(piece, Path) else ".bin")
    return data, f"{task.value}/{hashlib.sha256(data).hexdigest()[:20]}{suffix}"
