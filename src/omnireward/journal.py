"""An append-only file of finished work: one JSON object per line, and nothing that is in it is ever paid for twice.

What is unusual:

* A batch is one `write` and one `fsync`: after a kill or a power cut, what `append` returned from is on the disk.
* Only the last line can be torn. Opening cuts it off; a broken line anywhere else is somebody's edit, and is refused.
* A record appended under a known key supersedes the earlier one: that is how a failure gives way to its retry. The
  older line stays until `compact` rewrites the file, in one atomic step.
* Two writers are refused by a lock that the operating system drops with its process, so none is left behind.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from omnireward.errors import JournalError

Record = Mapping[str, Any]


class Journal:
    """The journal at `path`, open for one writer.

    A record is a JSON object with a string under ``key``. Use it as a context manager; the lock is held inside.

    Raises:
        JournalError: the folder cannot be written to, another process is writing, or a line other than the last is
            not a record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._records: dict[str, Record] = {}
        self._lines = 0

    def __enter__(self) -> Self:
        # The lock has a file of its own, because `compact` replaces the journal's. It is never removed: removing
        # it while somebody waits for it would hand out two locks.
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._lock = self.path.with_name(f".{self.path.name}.lock").open("a")
        except OSError as error:
            raise JournalError(f"cannot write to the folder {self.path.parent}: {error}. Choose another.") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise JournalError(
                f"{self.path}: another process is writing to it. Wait for it to end, or choose another folder."
            ) from error
        try:
            self._file = self.path.open("a+b")
        except OSError as error:
            self._lock.close()
            raise JournalError(f"cannot write to {self.path}: {error}. Choose another folder.") from error
        try:
            self._load()
        except JournalError:
            self._file.close()
            self._lock.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._lock.close()

    def get(self, key: str) -> Record | None:
        """The latest record under a key, or None."""
        return self._records.get(key)

    def __iter__(self) -> Iterator[Record]:
        """The latest record under each key, in the order in which the keys first came."""
        return iter(self._records.values())

    def __len__(self) -> int:
        """How many keys there are."""
        return len(self._records)

    def append(self, records: Iterable[Record]) -> None:
        """Add records; when this returns they are on the disk.

        Raises:
            ValueError: a record holds a number that JSON has no word for (NaN, infinity). Nothing is written.
        """
        batch = list(records)
        if not batch:
            return
        self._file.write(b"".join(map(_line, batch)))
        self._file.flush()
        os.fsync(self._file.fileno())
        self._lines += len(batch)
        self._records.update((record["key"], record) for record in batch)

    def compact(self) -> None:
        """Drop superseded lines. A journal without any is left as it is, byte for byte."""
        if self._lines == len(self._records):
            return
        fresh = self.path.with_name(f".{self.path.name}.new")
        with fresh.open("wb") as file:
            file.write(b"".join(map(_line, self._records.values())))
            file.flush()
            os.fsync(file.fileno())
        self._file.close()
        fresh.replace(self.path)
        self._file = self.path.open("a+b")
        self._lines = len(self._records)

    def _load(self) -> None:
        self._file.seek(0)
        sound = 0
        for number, line in enumerate(self._file, start=1):
            if not line.endswith(b"\n"):
                self._file.truncate(sound)
                break
            record = _record(self.path, number, line)
            self._records[record["key"]] = record
            self._lines += 1
            sound += len(line)
        self._file.seek(0, os.SEEK_END)


def _line(record: Record) -> bytes:
    return json.dumps(record, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _record(path: Path, number: int, line: bytes) -> Record:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise JournalError(
            f"{path}, line {number}: not JSON ({error}). A kill can tear only the last line, so this file was "
            "changed by other means. Restore it, or remove the line: its work is then done again."
        ) from error
    if not isinstance(record, dict) or not isinstance(record.get("key"), str):
        raise JournalError(f"{path}, line {number}: a record is a JSON object with a string under 'key'.")
    return record
