"""What people said becomes a folder: samples with preferences, all votes, all criteria, and a report.

    samples.jsonl, media/   one sample for each criterion that has a preference (a majority's, or the adjudicator's)
    votes.jsonl, .parquet   every vote ever given, those taken back too, as a, b or tie
    criteria.jsonl          every criterion, who wrote it, and what became of it
    report.json             yield, agreement, and each person's pace and votes on gold samples

Names are replaced by person-1, person-2, … unless asked for. May be made while people work: it is a snapshot.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from omnireward import atomic
from omnireward.annotate import agreement, figures, tables
from omnireward.errors import RecipeError, SourceError
from omnireward.media_files import MediaFiles
from omnireward.rows import Row
from omnireward.sample_rows import SampleWriter, from_row
from omnireward.types import Sample

Report = dict[str, Any]
_VOTES = pa.schema(
    [
        ("person", pa.string()),
        ("kind", pa.string()),
        ("item", pa.string()),
        ("sample", pa.string()),
        ("criterion", pa.int64()),
        ("gold", pa.bool_()),
        ("left", pa.string()),
        ("choice", pa.string()),
        ("seconds", pa.float64()),
        ("at", pa.timestamp("ms", tz="UTC")),
        ("taken_back_at", pa.timestamp("ms", tz="UTC")),
    ]
)


def export(folder: Path, out: Path, *, names: bool) -> Report:
    """Write what is in the annotations of a folder; returns the report.

    Args:
        folder: that `omnireward annotate --out` was given.
        out: a new or an empty folder.
        names: people's names instead of pseudonyms.

    Raises:
        SourceError: there are no annotations.
        RecipeError: `out` has files in it.
        OSError: something cannot be written.
    """
    if out.is_dir() and any(out.iterdir()):
        raise RecipeError(f"{out} is not empty; give a new folder.")
    db = tables.opened(folder, fresh=False)
    try:
        with tables.snapshot(db):  # one moment for all files
            return _export(db, folder, out, _called(db, names=names))
    finally:
        db.close()


def _export(db: sqlite3.Connection, folder: Path, out: Path, called: Callable[[str], str]) -> Report:
    found = figures.criteria(db)
    report = report_of(db, found, called)
    with SampleWriter(out) as writer:
        for sample in samples(db, folder, found, called):
            writer.add(sample)
    votes = [_vote(row, called) for row in db.execute(_ALL_VOTES)]
    _write_lines(out / "votes.jsonl", votes)
    times = ("at", "taken_back_at")
    typed = [vote | {name: vote[name] and datetime.fromisoformat(vote[name]) for name in times} for vote in votes]
    pq.write_table(pa.Table.from_pylist(typed, _VOTES), out / "votes.parquet")
    ids = {row["number"]: row["id"] for row in db.execute("SELECT number, id FROM sample")}
    _write_lines(out / "criteria.jsonl", (_criterion(one, ids, called) for one in found))
    atomic.write_text(out / "report.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    return report


def samples(
    db: sqlite3.Connection, folder: Path, found: Iterable[figures.Criterion], called: Callable[[str], str]
) -> Iterable[Sample]:
    """A sample for each criterion that has a preference."""
    media = MediaFiles((folder,))
    place: Counter[int] = Counter()
    for one in found:
        place[one.sample] += 1
        if one.decided is None:
            continue
        row = db.execute("SELECT row FROM sample WHERE number = ?", (one.sample,)).fetchone()
        sample = from_row(Row(tables.FILE, one.sample, json.loads(row["row"])), media)
        counts = Counter(one.votes.values())
        said = {
            "annotated": "adjudicated" if one.fate == "adjudicated" else "majority",
            "votes": ", ".join(f"{value} {counts[value]}" for value in ("a", "b", "tie")),
            "annotators": ", ".join(map(called, one.votes)),
        }
        for role, name in (("writer", one.writer), ("checker", one.checker), ("adjudicator", one.adjudicator)):
            if name:
                said[role] = called(name)
        yield replace(
            sample,
            # A criterion that came along leaves its sample what it was.
            id=f"{sample.id}#{place[one.sample]}" if one.writer else sample.id,
            comparison=replace(sample.comparison, criterion=one.text),
            preference=one.decided,
            provenance={**sample.provenance, **said},
        )


def report_of(db: sqlite3.Connection, found: list[figures.Criterion], called: Callable[[str], str]) -> Report:
    """Yield, agreement and people, as plain values."""
    counts, units = figures.the_yield(found), figures.units(found)
    alpha = agreement.agreement(units)
    broken = db.execute("SELECT id, broken FROM sample WHERE broken <> ''").fetchall()
    return {
        "source": tables.setting(db, "folder"),
        "overlap": int(tables.setting(db, "overlap") or 0),
        "yield": asdict(counts),
        "said": figures.said(counts),
        "fates": dict(sorted(Counter(one.fate for one in found).items())),
        "agreement": None if alpha is None else asdict(alpha),
        "pairs": [
            {"who": [called(name) for name in pair.who], "same": pair.same, "both": pair.both}
            for pair in agreement.pairs(units)
        ],
        "people": [asdict(replace(worker, name=called(worker.name))) for worker in figures.workers(db)],
        "not_shown": {row["id"]: row["broken"] for row in broken},
    }


_ALL_VOTES = """
SELECT person.name, item.kind, item.id AS item, sample.id AS sample, item.criterion, item.gold, shown.left,
       answer.choice, answer.seconds, answer.at, undo.at AS gone
FROM answer JOIN item ON item.number = answer.item JOIN sample ON sample.number = item.sample
JOIN person ON person.number = answer.person JOIN shown ON shown.person = answer.person AND shown.item = answer.item
LEFT JOIN undo ON undo.answer = answer.number
WHERE item.kind IN ('vote', 'adjudicate') ORDER BY answer.number
"""


def _vote(row: sqlite3.Row, called: Callable[[str], str]) -> dict[str, Any]:
    return {
        "person": called(row["name"]),
        "kind": row["kind"],
        "item": row["item"],
        "sample": row["sample"],
        "criterion": row["criterion"],
        "gold": bool(row["gold"]),
        "left": row["left"],
        "choice": row["choice"],
        "seconds": row["seconds"],
        "at": _time(row["at"]),
        "taken_back_at": None if row["gone"] is None else _time(row["gone"]),
    }


def _criterion(one: figures.Criterion, ids: Mapping[int, str], called: Callable[[str], str]) -> dict[str, Any]:
    people = {role: called(name) if name else "" for role, name in (("writer", one.writer), ("checker", one.checker))}
    return {
        "criterion": one.number,
        "sample": ids[one.sample],
        "text": one.text,
        **people,
        "verdict": one.verdict,
        "note": one.note,
        "fate": one.fate,
        "preference": one.decided,
    }


def _called(db: sqlite3.Connection, *, names: bool) -> Callable[[str], str]:
    if names:
        return lambda name: name
    people = db.execute("SELECT name, number FROM person").fetchall()
    if not people:
        raise SourceError("nobody has annotated anything here yet.")
    return {row["name"]: f"person-{row['number']}" for row in people}.__getitem__


def _write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    atomic.write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
