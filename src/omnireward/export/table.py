"""CSV and Parquet: one row for each vote, in the benchmark's order, with stable columns.

Nothing is counted here: votes on one sample are rows of their own, and a sample that lacks votes is not left out. The
criterion is known for the samples that the report shows, and empty elsewhere.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from omnireward.export.texts import encodable
from omnireward.report.export import inert
from omnireward.report.folder import RunFolder
from omnireward.report.records import Record

SCHEMA = pa.schema(
    [
        pa.field("index", pa.int64(), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("cluster", pa.string(), nullable=False),
        pa.field("groups", pa.list_(pa.string()), nullable=False),
        pa.field("preference", pa.string(), nullable=False),
        pa.field("swapped", pa.bool_(), nullable=False),
        pa.field("repeat", pa.int64(), nullable=False),
        pa.field("verdict", pa.string()),
        pa.field("margin", pa.float64()),
        pa.field("reward_a", pa.float64()),
        pa.field("reward_b", pa.float64()),
        pa.field("probability_a", pa.float64()),
        pa.field("probability_tie", pa.float64()),
        pa.field("probability_b", pa.float64()),
        pa.field("deviation", pa.float64()),
        pa.field("familiarity", pa.float64()),
        pa.field("error", pa.string(), nullable=False),
        pa.field("rationale", pa.string(), nullable=False),
        pa.field("criterion", pa.string()),
        pa.field("criterion_words", pa.int64()),
        pa.field("media_seconds", pa.float64()),
        pa.field("provenance", pa.map_(pa.string(), pa.string()), nullable=False),
        pa.field("key", pa.string(), nullable=False),
    ]
)
Cells = Mapping[str, object]


def write_csv(found: RunFolder, out: Path) -> int:
    """Write CSV. Lists and mappings are JSON; an empty cell is "none"; text that a spreadsheet would run is quoted."""
    rows = _rows(found)
    with out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=SCHEMA.names, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in row.items()} for row in rows)
    return len(rows)


def write_parquet(found: RunFolder, out: Path) -> int:
    """Write Parquet with the types of `SCHEMA`; what is not known is null."""
    rows = _rows(found)
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), out)
    return len(rows)


def _rows(found: RunFolder) -> list[Cells]:
    criteria = {shown.index: encodable(shown.criterion) for shown in found.shown}
    votes = sorted(found.records, key=lambda vote: (vote.index, vote.repeat, vote.swapped))
    return [_row(vote, criteria.get(vote.index)) for vote in votes]


def _row(vote: Record, criterion: str | None) -> Cells:
    rewards, probabilities = vote.rewards or (None, None), vote.probabilities or (None, None, None)
    return {
        "index": vote.index,
        "id": encodable(vote.id),
        "task": vote.task.short,
        "cluster": encodable(vote.cluster),
        "groups": [encodable(group) for group in vote.groups],
        "preference": vote.preference,
        "swapped": vote.swapped,
        "repeat": vote.repeat,
        "verdict": vote.verdict,
        "margin": vote.margin,
        "reward_a": rewards[0],
        "reward_b": rewards[1],
        "probability_a": probabilities[0],
        "probability_tie": probabilities[1],
        "probability_b": probabilities[2],
        "deviation": vote.deviation,
        "familiarity": vote.familiarity,
        "error": encodable(vote.error),
        "rationale": encodable(vote.rationale),
        "criterion": criterion,
        "criterion_words": vote.criterion_words,
        "media_seconds": vote.media_seconds,
        "provenance": {encodable(name): encodable(text) for name, text in vote.provenance.items()},
        "key": encodable(vote.key),
    }


def _cell(value: object) -> object:
    if isinstance(value, str):
        return inert(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
