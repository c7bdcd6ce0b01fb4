"""The noun of a check: what was looked at, how it is, and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "missing", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        area: a heading, such as ``extras``.
        name: what was looked at.
        state: `missing` is optional and not there; `note` works, but is worth knowing; a `problem` is broken.
        says: how it is.
        mend: what to do; empty where there is nothing to do.
    """

    area: str
    name: str
    state: State
    says: str
    mend: str = ""


def broken(findings: Iterable[Finding]) -> list[Finding]:
    """The problems."""
    return [finding for finding in findings if finding.state == "problem"]
