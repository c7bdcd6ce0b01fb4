"""Judges: one file for each kind, each defining `JUDGE`, a `JudgeKind`.

A judge is named `KIND` or `KIND:ARGUMENT`, such as ``longer`` or ``reward:runs/quickstart``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from omnireward import plugins
from omnireward.errors import RecipeError, UnknownNameError
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
    """How to open a judge: `open(argument, seed)`; `argument` is what follows the colon in its name.

    `example` makes what an argument must name, small and offline, in an empty folder, and returns the argument; None
    when the judge takes no argument. The contract tests open every judge with it.
    """

    summary: str
    open: Callable[[str, int], Judge]
    example: Callable[[Path], str] | None = None


def open_judge(name: str, seed: int) -> Judge:
    """Open a judge from its full name: ``KIND`` or ``KIND:ARGUMENT``, where KIND may be a dotted module path.

    Raises:
        UnknownNameError: there is no judge of that kind.
        RecipeError: the judge needs an argument, takes none, or cannot use this one.

    >>> open_judge("longer", seed=0).fingerprint
    'longer:1'
    """
    kind_name, _, argument = name.partition(":")
    kind = plugins.load("judges", kind_name)
    if not isinstance(kind, JudgeKind):
        raise UnknownNameError(
            f"JUDGE of {kind_name!r} is a {type(kind).__name__}; a judge plug-in defines a JudgeKind."
        )
    return kind.open(argument, seed)


def refuse_argument(kind: str, argument: str) -> None:
    """For judges that take no argument.

    Raises:
        RecipeError: one was given.
    """
    if argument:
        raise RecipeError(f"the judge {kind!r} takes no argument, but was given {argument!r}. Write only: {kind}")
