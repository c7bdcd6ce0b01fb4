"""Judges: one file for each kind, each defining `JUDGE`, a `JudgeKind`.

A judge is named `KIND` or `KIND:ARGUMENT`, such as ``longer`` or ``reward:runs/quickstart``. How it is asked and called
is in its `JudgeOptions`; a kind says which of them it reads, and setting one that it does not read is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Protocol, runtime_checkable

from omnireward import plugins
from omnireward.errors import RecipeError, UnknownNameError
from omnireward.judges._options import ASKING, CALLING, SHOWING, AskOptions, JudgeOptions, Mode
from omnireward.types import Comparison, Judgement, Task

__all__ = [
    "ASKING",
    "CALLING",
    "SHOWING",
    "AskOptions",
    "Estimate",
    "ForesightedJudge",
    "Judge",
    "JudgeKind",
    "JudgeOptions",
    "Mode",
    "PatientJudge",
    "RepeatingJudge",
    "SelectiveJudge",
    "judge_kind",
    "open_judge",
    "refuse_argument",
]


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


@runtime_checkable
class RepeatingJudge(Judge, Protocol):
    """A judge that draws what it says: asked again, it may say something else."""

    def repeat(self, comparisons: Sequence[Comparison], repeats: Sequence[int]) -> list[Judgement]:
        """Judge each comparison, as its vote of this number, from 0; the same number says the same."""
        ...


@runtime_checkable
class ForesightedJudge(Judge, Protocol):
    """A judge that prepares what it will be asked next while it judges something else.

    Evaluation says what comes next before it asks for what came before: `expect(first)`, `expect(second)`, then
    ``judge(first)``, and so on. What is asked without having been expected is judged all the same.
    """

    def expect(self, comparisons: Sequence[Comparison]) -> None:
        """Begin to prepare for a call with just these comparisons. Fails with none of them: their judgements do."""
        ...

    def close(self) -> None:
        """Stop what is under way and forget what was expected. The judge can be used again; twice is harmless."""
        ...


@runtime_checkable
class SelectiveJudge(Judge, Protocol):
    """A judge that reads fewer options than its kind: evaluation writes down only those that it reads."""

    @property
    def reads(self) -> frozenset[str]:
        """The options that it reads besides the seed."""
        ...


@dataclass(frozen=True, slots=True)
class Estimate:
    """What judging would take: an upper bound. `paid` of the `calls` are in the file of finished calls already, and the
    tokens are those of the others. `cost` is None without prices.
    """

    calls: int = 0
    paid: int = 0
    prompt_tokens: int = 0
    answer_tokens: int = 0
    cost: float | None = None

    def times(self, count: int) -> Estimate:
        """So many of the same."""
        cost = None if self.cost is None else self.cost * count
        return Estimate(
            self.calls * count, self.paid * count, self.prompt_tokens * count, self.answer_tokens * count, cost
        )

    def plus(self, other: Estimate) -> Estimate:
        """The sum of two."""
        return Estimate(
            self.calls + other.calls,
            self.paid + other.paid,
            self.prompt_tokens + other.prompt_tokens,
            self.answer_tokens + other.answer_tokens,
            None if self.cost is None or other.cost is None else self.cost + other.cost,
        )


@runtime_checkable
class PatientJudge(Judge, Protocol):
    """A judge that waits for somebody else, and can wait for many answers at once.

    Evaluation keeps `window` comparisons submitted and writes each judgement down when it comes.
    """

    @property
    def window(self) -> int:
        """How many comparisons to keep submitted."""
        ...

    def submit(self, comparison: Comparison, repeat: int = 0) -> Future[Judgement]:
        """Begin to judge, as the vote of this number; the future does not fail with the comparison's own errors."""
        ...

    def estimate(self, comparison: Comparison, repeat: int = 0) -> Estimate:
        """What judging a comparison would take; sends nothing. Raises MediaError, PromptError, OSError."""
        ...

    def close(self) -> None:
        """Stop what is under way and let go of connections. Twice is harmless."""
        ...


@dataclass(frozen=True, slots=True)
class JudgeKind:
    """How to open a judge: `open(argument, options)`; `argument` is what follows the colon in its name.

    Attributes:
        summary: one line for `omnireward list`.
        open: makes the judge.
        example: makes what an argument must name, small and offline, in an empty folder, and returns the argument; None
            when the judge takes no argument. The contract tests open every judge with it.
        reads: the options that it reads besides the seed.
        tasks: the tasks that it can judge; None for all. Samples of others are skipped, counted and said so.
    """

    summary: str
    open: Callable[[str, JudgeOptions], Judge]
    example: Callable[[Path], str] | None = None
    reads: frozenset[str] = frozenset()
    tasks: frozenset[Task] | None = field(default=None)


def judge_kind(name: str) -> JudgeKind:
    """The kind in a judge's full name: ``KIND`` or ``KIND:ARGUMENT``, where KIND may be a dotted module path.

    Raises:
        UnknownNameError: there is no judge of that kind.
    """
    try:
        kind = plugins.load("judges", name.partition(":")[0])
    except UnknownNameError as error:
        if Path(name).is_dir():
            raise UnknownNameError(
                f"{name} is a folder. A judge begins with its kind: reward:{name}, or generative:{name} for one that "
                "writes its verdicts."
            ) from error
        raise
    if not isinstance(kind, JudgeKind):
        raise UnknownNameError(f"JUDGE of {name!r} is a {type(kind).__name__}; a judge plug-in defines a JudgeKind.")
    return kind


def open_judge(name: str, options: JudgeOptions | None = None) -> Judge:
    """Open a judge from its full name.

    Raises:
        UnknownNameError: there is no judge of that kind.
        RecipeError: the judge needs an argument, takes none, or cannot use this one; an option is set that it does not
            read.

    >>> open_judge("longer").fingerprint
    'longer:1'
    """
    kind, options = judge_kind(name), options or JudgeOptions()
    default = JudgeOptions()
    for option in fields(JudgeOptions):
        unread = option.name != "seed" and option.name not in kind.reads
        if unread and getattr(options, option.name) != getattr(default, option.name):
            flag = option.name.replace("_", "-")
            reads = ", ".join(sorted(kind.reads)).replace("_", "-") or "none"
            raise RecipeError(
                f"the judge {name!r} does not read --{flag}; leave it out. Options that it reads: {reads}."
            )
    return kind.open(name.partition(":")[2], options)


def refuse_argument(kind: str, argument: str) -> None:
    """For judges that take no argument.

    Raises:
        RecipeError: one was given.
    """
    if argument:
        raise RecipeError(f"the judge {kind!r} takes no argument, but was given {argument!r}. Write only: {kind}")
