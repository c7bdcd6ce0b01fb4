"""Rows as each trainer reads them, written a row group at a time.

EasyR1: `problem` is one text, with the system turn before the rest, because it makes one user message of it; `answer`
is what the reward function is given; `images` are paths below the folder. verl: `prompt` is a list of messages, and
`images` are in the file.

Unusual: the files hold the Hub's description of their columns, so that verl's reader gives pictures, not bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from omnireward.questions.config import Trainer
from omnireward.questions.showing import Encoded, Shown

FILE = "train.parquet"
IMAGES = "images"
_GROUP_BYTES = 32 * 2**20
_GROUP_ROWS = 500


@dataclass(frozen=True, slots=True)
class QuestionRow:
    """One question: what is shown, what its answer is held against, and where it comes from."""

    shown: Shown
    truth: str
    id: str
    task: str
    source: str
    swapped: bool


_CELL = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_TRUTH = pa.struct([("style", pa.string()), ("ground_truth", pa.string())])
_EXTRA = pa.struct(
    [("index", pa.int64()), ("id", pa.string()), ("task", pa.string()), ("swapped", pa.bool_()), ("split", pa.string())]
)
_COLUMNS: Mapping[Trainer, Mapping[str, pa.DataType]] = MappingProxyType(
    {
        "easyr1": {
            "problem": pa.string(),
            "answer": pa.string(),
            "images": pa.list_(pa.string()),
            "id": pa.string(),
            "task": pa.string(),
            "swapped": pa.bool_(),
        },
        "verl": {
            "data_source": pa.string(),
            "prompt": _MESSAGES,
            "images": pa.list_(_CELL),
            "ability": pa.string(),
            "reward_model": _TRUTH,
            "extra_info": _EXTRA,
        },
    }
)


class RowWriter:
    """Writes ``train.parquet``, and for EasyR1 ``images/``. A context manager; the file is whole when it has ended."""

    def __init__(self, folder: Path, trainer: Trainer) -> None:
        self._folder, self._trainer = folder, trainer
        self._path = folder / FILE
        self._rows: list[dict[str, Any]] = []
        self._held = 0
        self._pictures = 0
        self.written = 0

    def __enter__(self) -> Self:
        self._writer = pq.ParquetWriter(self._path, _schema(self._trainer), compression="zstd")
        return self

    def add(self, row: QuestionRow) -> None:
        """Write one row. Raises OSError."""
        made = self._easyr1(row) if self._trainer == "easyr1" else self._verl(row)
        size = sum(len(text) for _, text in row.shown.turns) + sum(len(one.data) for one in row.shown.pictures)
        if self._rows and (self._held + size > _GROUP_BYTES or len(self._rows) == _GROUP_ROWS):
            self._flush()
        self._rows.append(made)
        self._held += size
        self._pictures += len(row.shown.pictures)
        self.written += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._writer:
            if error is None:
                self._flush()
        if error is None and self._trainer == "easyr1" and not self._pictures:
            self._drop_images()

    def _easyr1(self, row: QuestionRow) -> dict[str, Any]:
        return {
            "problem": "\n\n".join(text for _, text in row.shown.turns),
            "answer": row.truth,
            "images": [self._kept(one) for one in row.shown.pictures],
            "id": row.id,
            "task": row.task,
            "swapped": row.swapped,
        }

    def _verl(self, row: QuestionRow) -> dict[str, Any]:
        return {
            "data_source": row.source,
            "prompt": [{"role": role, "content": text} for role, text in row.shown.turns],
            "images": [{"bytes": one.data, "path": None} for one in row.shown.pictures],
            "ability": row.task,
            "reward_model": {"style": "rule", "ground_truth": row.truth},
            "extra_info": {
                "index": self.written,
                "id": row.id,
                "task": row.task,
                "swapped": row.swapped,
                "split": "train",
            },
        }

    def _kept(self, picture: Encoded) -> str:
        digest = hashlib.sha256(picture.data).hexdigest()
        name = f"{IMAGES}/{digest[:2]}/{digest}.{picture.suffix}"
        path = self._folder / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(picture.data)
        return name

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, _schema(self._trainer)))
            self._rows, self._held = [], 0

    def _drop_images(self) -> None:
        """Without the column EasyR1 needs no processor, so a text model can be trained."""
        plain = self._path.with_suffix(".text")
        schema = _schema("easyr1", without=("images",))
        with pq.ParquetFile(self._path) as file, pq.ParquetWriter(plain, schema, compression="zstd") as writer:
            for batch in file.iter_batches(_GROUP_ROWS, columns=schema.names):
                writer.write_batch(batch.cast(schema))
        plain.replace(self._path)


def _schema(trainer: Trainer, without: tuple[str, ...] = ()) -> pa.Schema:
    columns = {name: kind for name, kind in _COLUMNS[trainer].items() if name not in without}
    described = {"info": {"features": {name: _feature(kind) for name, kind in columns.items()}}}
    return pa.schema(columns.items(), metadata={"huggingface": json.dumps(described)})


def _feature(kind: pa.DataType) -> Any:
    """A column's type as the Hub's libraries write it; a list is a list of one, which old and new ones read."""
    if kind == _CELL:
        return {"_type": "Image"}
    if pa.types.is_list(kind):
        return [_feature(kind.value_type)]
    if pa.types.is_struct(kind):
        return {kind.field(i).name: _feature(kind.field(i).type) for i in range(kind.num_fields)}
    return {"dtype": str(kind), "_type": "Value"}
