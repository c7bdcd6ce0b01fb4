"""The folder of a run, read strictly: run.json, judgements.jsonl and shown.jsonl.

Judging may have been killed and resumed, so two things in judgements.jsonl are no errors: a last line without its line
break is work that never finished, and a later line under the same key supersedes the earlier one (a retry). Fields that
earlier versions did not write (votes, settings) may be missing, not wrong. And texts may hold half a surrogate pair,
which JSON can spell: one such text must not cost the report of a thousand others.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar, cast, get_args

from omnireward.errors import SourceError, UnknownNameError
from omnireward.metrics import are_probabilities
from omnireward.report.records import BadRow, Record, Run, Shown, ShownKind, ShownPart, ShownTurn
from omnireward.rows import Row
from omnireward.types import Preference, Task

RUN, JUDGEMENTS, SHOWN = "run.json", "judgements.jsonl", "shown.jsonl"
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class RunFolder:
    """All that a report is made from."""

    run: Run
    records: tuple[Record, ...]
    shown: tuple[Shown, ...]


def read(folder: Path) -> RunFolder:
    """Read what `omnireward evaluate` left in a folder. shown.jsonl may be missing.

    Raises:
        SourceError: run.json or judgements.jsonl is missing or is not JSON.
        BadRowError: a field is missing or has the wrong type; names file, line (from 0) and field.
    """
    run = _run(Row(RUN, 0, _object(RUN, 0, _text(folder / RUN))))
    latest = {record.key: record for record in map(_record, _rows(folder / JUDGEMENTS))}
    shown = tuple(map(_shown, _rows(folder / SHOWN))) if (folder / SHOWN).exists() else ()
    return RunFolder(run, tuple(latest.values()), shown)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SourceError(
            f"{path} does not exist. A report is made from a folder that `omnireward evaluate --out` wrote."
        ) from error
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is not UTF-8 text: {error}.") from error


def _object(file: str, number: int, text: str) -> dict[str, object]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{file}, line {number}: not JSON ({error}). Restore the file, or evaluate again.") from error
    if not isinstance(value, dict):
        raise SourceError(f"{file}, line {number}: expected an object, given {type(value).__name__}.")
    return value


def _rows(path: Path) -> Iterator[Row]:
    # Not splitlines(): it also splits at separators that JSON allows inside strings.
    whole_lines = _text(path).split("\n")[:-1]
    for number, line in enumerate(whole_lines):
        yield Row(path.name, number, _object(path.name, number, line))


def _run(row: Row) -> Run:
    return Run(
        judge=_text_of(row, "judge"),
        benchmark=_text_of(row, "benchmark"),
        command=_text_of(row, "command"),
        seed=_whole(row, "seed"),
        samples=_whole(row, "samples"),
        bad_rows=_each(row, "bad_rows", _bad_row),
        version=_optional(row, "version"),
        settings=_settings(row),
        skipped={task: _count(row, "skipped", number) for task, number in _mapping(row, "skipped").items()},
    )


def _settings(row: Row) -> Mapping[str, object]:
    settings = _mapping(row, "settings")
    try:
        json.dumps(settings, allow_nan=False)  # they go into report.json as they are
    except ValueError as error:
        raise row.bad("settings", f"holds a number that is not finite ({error}).") from error
    return settings


def _bad_row(row: Row) -> BadRow:
    return BadRow(_text_of(row, "file"), _whole(row, "row"), _text_of(row, "field"), _text_of(row, "problem"))


def _record(row: Row) -> Record:
    margin, error, verdict = row.fields.get("margin"), _optional(row, "error"), _verdict(row)
    if margin is not None and error:
        raise row.bad("margin", f"is {margin} beside an error ({error}); a failure has no margin.")
    if margin is None and verdict is not None:
        raise row.bad("verdict", f"is {verdict!r} without a margin; a verdict has one.")
    rewards, probabilities = _numbers(row, "rewards", 2), _numbers(row, "probabilities", 3)
    if probabilities is not None and not are_probabilities(probabilities):
        raise row.bad("probabilities", f"are {probabilities}; P(a), P(tie) and P(b) lie in [0, 1] and sum to 1.")
    deviation, familiarity = _at_most(row, "deviation", math.inf), _at_most(row, "familiarity", 1)
    words, seconds = row.fields.get("criterion_words"), row.fields.get("media_seconds")
    return Record(
        key=_text_of(row, "key"),
        index=_whole(row, "index"),
        id=_text_of(row, "id"),
        task=_task(row),
        cluster=_text_of(row, "cluster"),
        groups=_texts(row, "groups"),
        preference=_preference(row),
        margin=None if margin is None else _number(row, "margin", margin),
        rewards=None if rewards is None else (rewards[0], rewards[1]),
        probabilities=None if probabilities is None else (probabilities[0], probabilities[1], probabilities[2]),
        rationale=_optional(row, "rationale"),
        error=error,
        verdict=verdict,
        swapped=_flag(row, "swapped"),
        repeat=_count(row, "repeat", row.fields.get("repeat", 0)),
        provenance={name: _checked(row, "provenance", text) for name, text in _mapping(row, "provenance").items()},
        criterion_words=None if words is None else _count(row, "criterion_words", words),
        media_seconds=None if seconds is None else _number(row, "media_seconds", seconds),
        deviation=deviation,
        familiarity=familiarity,
    )


def _at_most(row: Row, field: str, most: float) -> float | None:
    """A number of at least 0 that may be missing."""
    value = row.fields.get(field)
    number = None if value is None else _number(row, field, value)
    if number is not None and not 0 <= number <= most:
        raise row.bad(field, f"is {number}; it lies between 0 and {most:g}.")
    return number


def _task(row: Row) -> Task:
    try:
        return Task.parse(_text_of(row, "task"))
    except UnknownNameError as error:
        raise row.bad("task", str(error)) from error


def _preference(row: Row, field: str = "preference") -> Preference:
    value = _text_of(row, field)
    if value not in get_args(Preference):
        raise row.bad(field, f"is {value!r}. Known: {', '.join(get_args(Preference))}.")
    return cast(Preference, value)


def _verdict(row: Row) -> Preference | None:
    return None if row.fields.get("verdict") is None else _preference(row, "verdict")


def _shown(row: Row) -> Shown:
    return Shown(
        index=_whole(row, "index"),
        criterion=_text_of(row, "criterion"),
        prompt=_each(row, "prompt", lambda turn: ShownTurn(_text_of(turn, "role"), _each(turn, "content", _part))),
        response_a=_each(row, "response_a", _part),
        response_b=_each(row, "response_b", _part),
    )


def _part(row: Row) -> ShownPart:
    kind = _text_of(row, "kind")
    if kind not in get_args(ShownKind):
        raise row.bad("kind", f"is {kind!r}. Known: {', '.join(get_args(ShownKind))}.")
    if kind == "text":
        return ShownPart("text", text=_text_of(row, "text"))
    return ShownPart(
        cast(ShownKind, kind),
        pictures=_texts(row, "pictures"),
        media=_optional(row, "media"),
        error=_optional(row, "error"),
    )


def _each(row: Row, field: str, make: Callable[[Row], _T]) -> tuple[_T, ...]:
    """A list of objects inside a field, each read as a row of its own at the same place."""
    inner = []
    for item in _list(row, field):
        if not isinstance(item, dict):
            raise row.bad(field, f"holds {type(item).__name__}; it is a list of objects.")
        inner.append(make(Row(row.file, row.number, item)))
    return tuple(inner)


def _text_of(row: Row, field: str) -> str:
    if field not in row.fields:
        raise row.missing(field)
    return _checked(row, field, row.fields[field])


def _optional(row: Row, field: str) -> str:
    value = row.fields.get(field)
    return "" if value is None else _checked(row, field, value)


def _texts(row: Row, field: str) -> tuple[str, ...]:
    return tuple(_checked(row, field, item) for item in _list(row, field))


def _checked(row: Row, field: str, value: object) -> str:
    if not isinstance(value, str):
        raise row.bad(field, f"is {type(value).__name__}, not text.")
    return value


def _list(row: Row, field: str) -> list[object]:
    value = row.fields.get(field)
    if not isinstance(value, list):
        raise row.bad(field, f"is {type(value).__name__}, not a list.")
    return value


def _mapping(row: Row, field: str) -> dict[str, object]:
    """An object inside a field; empty where the field is missing, as in the folders of older versions."""
    value = row.fields.get(field, {})
    if not isinstance(value, dict):
        raise row.bad(field, f"is {type(value).__name__}, not an object.")
    return value


def _flag(row: Row, field: str) -> bool:
    value = row.fields.get(field, False)
    if not isinstance(value, bool):
        raise row.bad(field, f"is {value!r}, not true or false.")
    return value


def _count(row: Row, field: str, value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise row.bad(field, f"is {value!r}, not a whole number of at least 0.")
    return value


def _whole(row: Row, field: str) -> int:
    value = row.fields.get(field)
    if not isinstance(value, int) or isinstance(value, bool):
        raise row.bad(field, f"is {value!r}, not a whole number.")
    return value


def _number(row: Row, field: str, value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise row.bad(field, f"is {value!r}, not a finite number.")
    return float(value)


def _numbers(row: Row, field: str, count: int) -> list[float] | None:
    if row.fields.get(field) is None:
        return None
    values = _list(row, field)
    if len(values) != count:
        raise row.bad(field, f"holds {len(values)} numbers, not {count}.")
    return [_number(row, field, value) for value in values]
