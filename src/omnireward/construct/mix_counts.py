"""What a mixture is made of, in numbers. Everything else that is counted is a sum of these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from omnireward.construct.parts import Part


@dataclass(frozen=True, slots=True)
class Portion:
    """The samples of one source, task and split.

    Attributes:
        source: the place, as it is written down.
        task: its short name.
        split: where they went.
        samples: how many.
        a: how many of them prefer the first response, as they are written.
        ties: how many prefer neither.
        criteria: how many have a criterion.
    """

    source: str
    task: str
    split: str
    samples: int
    a: int
    ties: int
    criteria: int

    @property
    def b(self) -> int:
        """How many prefer the second response."""
        return self.samples - self.a - self.ties


@dataclass(frozen=True, slots=True)
class LeftOut:
    """How many samples of a source and task were left out for one reason."""

    source: str
    task: str
    reason: str
    samples: int


@dataclass(frozen=True, slots=True)
class Origin:
    """How many samples say of themselves that they come from somewhere, and its licence; empty: unknown."""

    name: str
    licence: str
    samples: int


@dataclass(frozen=True, slots=True)
class Mixed:
    """What `mix` did.

    Attributes:
        out: the folder.
        files: the files that hold the samples, below `out`; none after a dry run, and while parts are missing.
        portions: what was taken.
        left_out: what was not.
        read: source -> samples read; rows that cannot be used are not among them.
        kept_out: benchmark -> samples read.
        not_compared: how many of them could not be read as far as comparing needs.
        bad_rows: source or benchmark -> rows that cannot be used, where there are any.
        first_bad: the first of them, in words.
        licences: source -> licence; empty where it states none.
        homes: source -> what it reads where the place names no location, with its revision.
        origins: where samples say that they come from, the most frequent first.
        waiting: parts of the first pass that are still missing; nothing was chosen yet.
    """

    out: Path
    files: tuple[str, ...] = ()
    portions: tuple[Portion, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    read: Mapping[str, int] = field(default_factory=dict)
    kept_out: Mapping[str, int] = field(default_factory=dict)
    not_compared: int = 0
    bad_rows: Mapping[str, int] = field(default_factory=dict)
    first_bad: tuple[str, ...] = ()
    licences: Mapping[str, str] = field(default_factory=dict)
    homes: Mapping[str, str] = field(default_factory=dict)
    origins: tuple[Origin, ...] = ()
    waiting: tuple[Part, ...] = ()

    @property
    def samples(self) -> int:
        """How many were taken."""
        return sum(portion.samples for portion in self.portions)

    def reasons(self) -> dict[str, int]:
        """Why samples were left out, the most frequent reason first."""
        found: dict[str, int] = {}
        for left in self.left_out:
            found[left.reason] = found.get(left.reason, 0) + left.samples
        return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))
