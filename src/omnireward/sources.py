"""Where samples come from: a plug-in's reader, at a folder or a pinned revision on the Hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from omnireward.errors import BadRowError
from omnireward.types import Sample


@dataclass(slots=True)
class BadRows:
    """What to do with rows that cannot be used: stop at the first (the default), or count and go on."""

    skip: bool = False
    errors: list[BadRowError] = field(default_factory=list)

    def add(self, error: BadRowError) -> None:
        """Raise the error, or note it when bad rows are skipped."""
        if not self.skip:
            raise error
        self.errors.append(error)


@dataclass(frozen=True, slots=True)
class SampleSource:
    """A dataset or a benchmark: how to read its samples.

    Attributes:
        summary: one line for `omnireward list`.
        read: `read(location, bad_rows)` yields samples in a fixed order. `location` is a folder, `hub:OWNER/REPO@REVISION`,
            or, for made-up sources, settings such as ``samples=90,seed=3``; the empty string means `home`.
        recognises: whether a local folder holds this source, so that a folder alone can be given.
        home: the location used when none is given; empty when the source needs none.
    """

    summary: str
    read: Callable[[str, BadRows], Iterator[Sample]]
    recognises: Callable[[Path], bool]
    home: str = ""
