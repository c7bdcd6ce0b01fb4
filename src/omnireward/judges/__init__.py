"""Judges: one file for each kind, each defining `JUDGE`, a `JudgeKind`.

A judge is named `KIND` or `KIND:ARGUMENT`, such as ``longer`` or ``reward:runs/quickstart``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from omnireward.types import Comparison, Judgement


class Judge(Protocol):
    """Comparisons in, judgements out, in order and of the same number.

    A comparison that cannot be judged gets a `Judgement` with `error` set; it does not stop the others.
    """

    @property
    def fingerprint(self) -> str:
        """What the judgements depend on besides the comparison: weights, settings, seed. Part of the journal's key."""
        ...

    def __call__(self, comparisons: Sequence[Comparison]) -> list[Judgement]:
        """Judge each comparison."""
        ...


@dataclass(frozen=True, slots=True)
class JudgeKind:
    """How to open a judge: `open(argument, seed)`; `argument` is what follows the colon in its name."""

    summary: str
    open: Callable[[str, int], Judge]
