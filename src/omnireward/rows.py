"""Rows of JSON, JSON Lines and Parquet files, one at a time, each knowing where it stands.

Unusual: a JSON list is decoded row by row while the file is read, so that its size does not matter and the first row
of a large file can be looked at alone. Files come from strangers: what one row may take is limited before decoding.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from omnireward.errors import BadRowError, SourceError
from omnireward.sources import BadRows

MAX_ROW_CHARACTERS = 64 * 2**20  # one JSON row; media are files beside it, so a row is words
MAX_ROW_GROUP_BYTES = 8 * 2**30  # uncompressed, as the Parquet footer states it; decoding happens a group at a time
_CHUNK = 2**20
_PARQUET_BATCH = 16  # rows held at once; a row may hold images
_NAMED = 20  # fields that a message names
_SPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Row:
    """A raw row: the file's name below its root, the row's position counted from 0, and the named fields."""

    file: str
    number: int
    fields: Mapping[str, object]

    def bad(self, field: str, problem: str) -> BadRowError:
        """The error for one field of this row."""
        return BadRowError(self.file, self.number, field, problem)

    def missing(self, field: str) -> BadRowError:
        """The error for a field that is not there."""
        # Not joined as they are: names of fields are as untrusted as their values, and a row may have very many.
        names = [reprlib.repr(name) for name in islice(self.fields, _NAMED)]
        more = f" and {len(self.fields) - _NAMED} more" if len(self.fields) > _NAMED else ""
        return self.bad(field, f"is missing; the row has {', '.join(names) or 'no fields'}{more}.")

    def text(self, field: str) -> str:
        """A field that must be text (it may be empty).

        Raises:
            BadRowError: it is missing, not a string, or not valid Unicode.
        """
        if field not in self.fields:
            raise self.missing(field)
        return self.checked_text(field, self.fields[field])

    def optional_text(self, field: str) -> str:
        """A field that may be missing or null, which reads as the empty string."""
        value = self.fields.get(field)
        return "" if value is None else self.checked_text(field, value)

    def checked_text(self, field: str, value: object) -> str:
        """A value found inside a field, which must be text.

        Raises:
            BadRowError: it is not a string, or not valid Unicode.
        """
        if not isinstance(value, str):
            raise self.bad(field, f"is {reprlib.repr(value)}, not text.")
        try:
            value.encode()  # JSON can spell half a surrogate pair, which no tokenizer or file takes
        except UnicodeEncodeError as error:
            raise self.bad(field, f"is not valid Unicode: {error}.") from error
        return value


@dataclass(frozen=True, slots=True)
class _Broken:
    """Stands for a line that cannot be decoded although its neighbours can."""

    problem: str


def rows(path: Path, root: Path, bad_rows: BadRows) -> Iterator[Row]:
    """The rows of a file, lazily, in file order.

    Args:
        path: a .json (one list of objects), .jsonl or .parquet file.
        root: the folder below which the file is named in messages.
        bad_rows: told of each row that is not an object.

    Raises:
        SourceError: the file cannot be read on: another format, broken structure, a row larger than the limits.
    """
    name = path.relative_to(root).as_posix()
    for number, value in enumerate(_values(path, name)):
        if isinstance(value, dict):
            yield Row(name, number, value)
        else:
            problem = value.problem if isinstance(value, _Broken) else f"is {reprlib.repr(value)}, not an object."
            bad_rows.add(BadRowError(name, number, "(row)", problem))


def columns(path: Path) -> frozenset[str]:
    """The field names of a file's first row (JSON) or schema (Parquet); none when there are no rows.

    Raises:
        SourceError: as `rows`.
    """
    if path.suffix == ".parquet":
        with _parquet(path, path.name) as file:
            return frozenset(file.schema_arrow.names)
    first = next(_values(path, path.name), None)
    return frozenset(first) if isinstance(first, dict) else frozenset()


def _values(path: Path, name: str) -> Iterator[object]:
    if path.suffix == ".parquet":
        yield from _parquet_values(path, name)
    elif path.suffix in (".json", ".jsonl"):
        with path.open(encoding="utf-8-sig") as stream:  # files from Windows begin with a byte order mark
            try:
                yield from _ListReader(stream, name).values() if path.suffix == ".json" else _line_values(stream, name)
            except UnicodeDecodeError as error:
                raise SourceError(f"{name} is not UTF-8: {error}.") from error
    else:
        raise SourceError(f"cannot read rows of {name}: known are .json, .jsonl and .parquet.")


def _line_values(stream: TextIO, name: str) -> Iterator[object]:
    while line := stream.readline(MAX_ROW_CHARACTERS + 1):
        if len(line) > MAX_ROW_CHARACTERS:
            raise SourceError(
                f"{name}: the line that begins {reprlib.repr(line)} has over {MAX_ROW_CHARACTERS} characters."
            )
        if not line.strip():
            continue  # a blank line, usually the last, is no row
        try:
            value: object = json.loads(line)
        except (ValueError, RecursionError) as error:
            value = _Broken(f"is not valid JSON: {error}.")
        yield value


class _ListReader:
    """Decodes one top-level JSON list value by value, holding little more than one value."""

    def __init__(self, stream: TextIO, name: str) -> None:
        self.stream, self.name = stream, name
        self.buffer, self.at = "", 0
        self.decoder = json.JSONDecoder()

    def values(self) -> Iterator[object]:
        mark = self._peek()
        if mark != "[":
            raise SourceError(f"{self.name} must be a list of objects, [{{...}}, ...]; it begins with {mark!r}.")
        self.at += 1
        if self._peek() == "]":
            self.at += 1
        else:
            for row in count():
                yield self._value(row)
                mark = self._peek()
                self.at += 1
                if mark == "]":
                    break
                if mark != ",":
                    raise SourceError(f"{self.name}, after row {row}: expected ',' or ']', found {mark!r}.")
                self._peek()
        if self._peek():
            raise SourceError(f"{self.name} goes on after its list ends. Is it JSON Lines? Then name it .jsonl.")

    def _value(self, row: int) -> object:
        while True:
            problem = "the file ends before the list does"
            try:
                value, end = self.decoder.raw_decode(self.buffer, self.at)
                if end < len(self.buffer):  # or a number could go on in the next chunk
                    self.at = end
                    return value
            except json.JSONDecodeError as error:
                problem = f"{error.msg}, {error.pos - self.at} characters into the row"
            except (ValueError, RecursionError) as error:
                raise SourceError(f"{self.name}, row {row}: not valid JSON: {error}.") from error
            if len(self.buffer) - self.at > MAX_ROW_CHARACTERS:
                raise SourceError(f"{self.name}, row {row}: longer than {MAX_ROW_CHARACTERS} characters, or {problem}.")
            if not self._more():
                raise SourceError(f"{self.name}, row {row}: not valid JSON: {problem}.")

    def _peek(self) -> str:
        """The next character that is not white space, or '' at the end of the file."""
        while True:
            space = _SPACE.match(self.buffer, self.at)
            self.at = space.end() if space else self.at
            if self.at < len(self.buffer):
                return self.buffer[self.at]
            if not self._more():
                return ""

    def _more(self) -> bool:
        """Read as much again as is being looked at, so that decoding a long row stays linear."""
        rest = self.buffer[self.at :]
        chunk = self.stream.read(max(_CHUNK, len(rest)))
        self.buffer, self.at = rest + chunk, 0
        return bool(chunk)


def _parquet(path: Path, name: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path, memory_map=True)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # the last: a column's name
        raise SourceError(f"{name} is not a readable Parquet file: {error}") from error


def _parquet_values(path: Path, name: str) -> Iterator[object]:
    with _parquet(path, name) as file:
        for group in range(file.num_row_groups):
            size = file.metadata.row_group(group).total_byte_size
            if size > MAX_ROW_GROUP_BYTES:
                raise SourceError(f"{name}: row group {group} holds {size} bytes; the limit is {MAX_ROW_GROUP_BYTES}.")
        try:
            for batch in file.iter_batches(batch_size=_PARQUET_BATCH, use_threads=False):
                yield from batch.to_pylist()
        # ValueError (which UnicodeDecodeError is) and OverflowError: dates that Python has no word for.
        except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
            raise SourceError(f"{name} cannot be read on: {error}") from error
