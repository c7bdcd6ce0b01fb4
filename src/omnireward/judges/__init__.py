"""Judges: one file for each kind, each defining `JUDGE`, a `JudgeKind`.

A judge is named `KIND` or `KIND:ARGUMENT`, such as ``longer`` or ``reward:runs/quickstart``. How it is asked and called
is in its `JudgeOptions`; a kind says which of them it reads, and setting one that it does not read is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

from omnireward import plugins
from omnireward.errors import RecipeError, UnknownNameError
from omnireward.types import Comparison, Judgement, Task

Mode = Literal["pairwise", "pointwise"]


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


@dataclass(frozen=True, kw_only=True)
class JudgeOptions:
    """How a judge is asked, and how it is called. Each kind of judge reads some of them."""

    seed: int = 0
    """Seed for judges that draw, for answer order, and sent with every call; part of what identifies a run."""
    mode: Mode = "pairwise"
    """Show both responses and ask which is better, or show one at a time and ask for a score."""
    critique: bool = True
    """Ask for a critique before the verdict; otherwise for the verdict alone."""
    ties: bool = True
    """Allow the verdict that neither response is better."""
    logprobs: bool = False
    """Read P(a), P(tie), P(b) from the probabilities of the answer's first token; asks for the verdict alone."""
    temperature: float = 0.0
    """Of sampling; 0 takes the likeliest token."""
    max_tokens: int = 1024
    """Most tokens of one answer; an answer cut off has no verdict."""
    frames: int | None = None
    """Pictures of each video; by default 10 of one in the prompt and 5 of one in a response, as in the paper."""
    views: int = 4
    """Pictures of each 3D object."""
    picture_side: int = 768
    """Longest side of a picture that the judge is shown, in pixels."""
    join_audio: float | None = None
    """Join the clips of one question into one, with so many seconds of silence between; each is sent alone when not
    given."""
    base_url: str = ""
    """Endpoint of an API judge, such as http://127.0.0.1:8000/v1; the environment's OPENAI_BASE_URL when empty."""
    api_key_env: str = "OPENAI_API_KEY"
    """Environment variable that holds the endpoint's key."""
    concurrency: int = 64
    """Most calls under way at once; fewer while the endpoint says that it is overloaded."""
    timeout: float = 120.0
    """Seconds that one try of a call may take."""
    tries: int = 8
    """Most tries of one call."""
    patience: float = 900.0
    """Most seconds for one call, all its tries and waits together."""
    budget: float | None = None
    """Most money for all that the file of calls holds of this model; needs both prices."""
    price_in: float | None = None
    """Price of a million prompt tokens."""
    price_out: float | None = None
    """Price of a million answer tokens."""
    calls: Path | None = None
    """File of finished calls; runs that name the same file pay once. By default calls.jsonl in the output folder."""

    def __post_init__(self) -> None:
        least = {"max_tokens": 1, "views": 1, "picture_side": 28, "concurrency": 1, "tries": 1, "temperature": 0}
        if self.frames is not None:
            least["frames"] = 1
        for name, value in least.items():
            if getattr(self, name) < value:
                raise RecipeError(f"{name} must be at least {value}, not {getattr(self, name)}.")
        for name in ("timeout", "patience"):
            if not getattr(self, name) > 0:
                raise RecipeError(f"{name} must be above 0 seconds, not {getattr(self, name)}.")
        for name in ("join_audio", "budget", "price_in", "price_out"):
            if (value := getattr(self, name)) is not None and not value >= 0:
                raise RecipeError(f"{name} must be at least 0, not {value}.")
        if self.budget is not None and (self.price_in is None or self.price_out is None):
            raise RecipeError("a budget needs prices: add --price-in and --price-out, for a million tokens each.")
        if self.logprobs and self.mode == "pointwise":
            raise RecipeError("logprobs reads the probability of a verdict; a pointwise judge gives a score instead.")


ASKING = frozenset({"mode", "critique", "ties", "logprobs", "max_tokens", "temperature"})
SHOWING = frozenset({"frames", "views", "picture_side"})
CALLING = frozenset(
    {"base_url", "api_key_env", "concurrency", "timeout", "tries", "patience", "budget", "price_in", "price_out"}
    | {"calls", "join_audio"}
)


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
            raise UnknownNameError(f"{name} is a folder. A judge begins with its kind: reward:{name}") from error
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
