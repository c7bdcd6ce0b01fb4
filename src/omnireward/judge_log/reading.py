"""The groups that a page shows: the newest, and some of all that came before, so that learning is seen.

Unusual: rollouts.jsonl may have gigabytes, so lines are found first and only those that are shown are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from omnireward.errors import BadRowError
from omnireward.judge_log.rollouts import FILE, RolloutGroup, from_line

NEWEST, EARLIER = 300, 200
"""Groups that a page shows: the newest of all, and as many as that, evenly spread, of those before."""


@dataclass(frozen=True, slots=True)
class Groups:
    """`shown`, newest first, of `total` in the file; `broken` ones were to be shown and cannot be read."""

    shown: Sequence[RolloutGroup]
    total: int
    broken: int


def read_groups(out: Path) -> Groups:
    """The groups of a run to show; none where there is no file."""
    path = out / FILE
    if not path.is_file():
        return Groups((), 0, 0)
    starts = _starts(path)
    shown, broken = [], 0
    with path.open("rb") as file:
        for number in reversed(_chosen(len(starts))):
            file.seek(starts[number])
            try:
                shown.append(from_line(file.readline(), number))
            except BadRowError:
                broken += 1
    return Groups(shown, len(starts), broken)


def _starts(path: Path) -> list[int]:
    """Where each whole line begins: the last one may be torn, or be written at this moment."""
    starts, place = [], 0
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                starts.append(place)
            place += len(line)
    return starts


def _chosen(count: int) -> list[int]:
    """The numbers of lines to show, of so many.

    >>> from omnireward.judge_log import reading
    >>> len(_chosen(500)), _chosen(2), len(_chosen(10_000)), _chosen(10_000)[:3], _chosen(10_000)[-1]
    (500, [0, 1], 500, [0, 48, 97], 9999)
    """
    before = max(0, count - NEWEST)
    spread = range(before) if before <= EARLIER else [place * before // EARLIER for place in range(EARLIER)]
    return [*spread, *range(before, count)]
