"""Counts rows that cannot be used, by field and reason, and remembers only the first few."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

from omnireward.errors import BadRowError
from omnireward.sources import BadRows

SHOWN = 5
_KINDS = 200  # of (field, reason) that are counted apart: both may come from rows
_LONGEST = 100  # characters of a reason

# What differs from row to row: quoted text, numbers, and words with a slash in them.
_QUOTED = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_NUMBER = re.compile(r"\d[\d,.]*(?<![,.])")
_MISSING = re.compile(r"there is no file ")


@dataclass(frozen=True, slots=True)
class BadRow:
    """One of the first."""

    file: str
    row: int
    field: str
    problem: str


@dataclass(slots=True)
class CountedBadRows(BadRows):
    """Skips and counts. `missing` counts those whose media file is not there, by field."""

    skip: bool = True
    total: int = 0
    by_reason: Counter[tuple[str, str]] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    first: list[BadRow] = field(default_factory=list)

    def add(self, error: BadRowError) -> None:
        """Count a row."""
        self.total += 1
        reason = (error.field[:_LONGEST], reason_of(error.problem))
        self.by_reason[reason if reason in self.by_reason or len(self.by_reason) < _KINDS else ("…", "others")] += 1
        if _MISSING.match(error.problem):
            name = error.field[:_LONGEST]
            self.missing[name if name in self.missing or len(self.missing) < _KINDS else "…"] += 1
        if len(self.first) < SHOWN:
            self.first.append(BadRow(error.file, error.row, error.field, error.problem[:1000]))


def reason_of(problem: str) -> str:
    """What a problem has in common with others like it.

    >>> reason_of("there is no file 'a/b.png'. Tried: /data/a/b.png.")
    'there is no file …'
    """
    quoted = _QUOTED.sub("…", problem[:1000]).split(". ", 1)[0]
    words = ("…" if "/" in word or "\\" in word else _NUMBER.sub("…", word) for word in quoted.split())
    return " ".join(words).rstrip(".")[:_LONGEST]
