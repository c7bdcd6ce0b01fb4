"""Progress of long work, on stderr: a bar on a terminal, a line now and then in a log file."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

EVERY = 20.0  # seconds between lines where there is no terminal


class Progress:
    """A context manager that counts steps towards a total, which may be unknown.

    >>> with Progress("count", 2) as progress:
    ...     progress.advance()
    ...     progress.advance("almost done")
    >>> progress.done
    2
    """

    def __init__(self, title: str, total: int | None, done: int = 0) -> None:
        self.title, self.total, self.done = title, total, done
        self._bar: Bar | None = None
        self._began = self._said = time.monotonic()

    def __enter__(self) -> Progress:
        if sys.stderr.isatty():
            title, note = (  # a folder's name is no markup
                TextColumn(said, markup=False) for said in ("{task.description:<24}", "{task.fields[note]}")
            )
            times = (TimeElapsedColumn(), TimeRemainingColumn())
            self._bar = Bar(title, BarColumn(), MofNCompleteColumn(), *times, note, console=Console(stderr=True))
            self._task = self._bar.add_task(self.title, total=self.total, completed=self.done, note="")
            self._bar.start()
        else:
            self._began = self._said = time.monotonic()
            to_do = "" if self.total is None else f": {self.total - self.done} to do"
            sys.stderr.write(f"{self.title}{to_do}\n")
        return self

    def advance(self, note: str = "", by: int = 1) -> None:
        """Some steps on, with a word on how it goes."""
        self.done += by
        if self._bar:
            self._bar.update(self._task, completed=self.done, note=note)
        elif time.monotonic() - self._said > EVERY:
            self._said = time.monotonic()
            sys.stderr.write(f"{self.title}: {self._so_far()} {note}\n")

    def _so_far(self) -> str:
        return f"{self.done}" if self.total is None else f"{self.done}/{self.total}"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()
        else:
            sys.stderr.write(f"{self.title}: {self._so_far()} in {time.monotonic() - self._began:.0f} s\n")
