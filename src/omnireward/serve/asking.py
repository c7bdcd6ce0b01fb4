"""What a request asks, whatever shape it came in, and what one of several shapes is made of.

    body ── Route.read ──▶ Asks ──▶ the queue ──▶ rewards ── Route.write ──▶ reply

Every shape becomes `Ask`s before anything is queued, so all of them share one queue, one model and one set of limits.
A reward that could not be had is a `Problem`, in every shape that has room for one; it never becomes a number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

from omnireward.errors import MediaError, OmniRewardError, PromptError
from omnireward.types import Media, MediaKind, Part, Turn

if TYPE_CHECKING:
    from omnireward.metrics import PairProbabilities
    from omnireward.uncertainty import Doubt

OWN_ID = "X-Omnireward-Id"
"""Header of a request's id, of our client: proxies often put an id of their own into X-Request-Id."""

ProblemKind = Literal["media", "prompt", "deadline", "failed"]

SCHEMA: Literal["omnireward/1"] = "omnireward/1"
"""The form of the native replies, which each of them names. What is added to them leaves it; what is changed, not."""


class RequestError(OmniRewardError, ValueError):
    """A request that cannot be answered as a whole. `field` is where it lies, `status` the HTTP status: from 400 to 499
    where the request is to blame.
    """

    def __init__(self, problem: str, *, field: str = "", status: int = 422) -> None:
        super().__init__(f"{field}: {problem}" if field else problem)
        self.status, self.field = status, field


class OverloadedError(RequestError):
    """Too much is under way; the same request may work later."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, status=429)


@dataclass(frozen=True, slots=True)
class Ask:
    """Responses to one prompt under one criterion (empty: overall quality), each to be given a reward."""

    prompt: tuple[Turn, ...]
    responses: tuple[tuple[Part, ...], ...]
    criterion: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why one response has no reward: broken media, a conversation that cannot be expressed, no time left, a fault."""

    kind: ProblemKind
    message: str

    @classmethod
    def of(cls, error: MediaError | PromptError) -> Problem:
        """What stopped a response from being read."""
        return cls("media" if isinstance(error, MediaError) else "prompt", str(error))

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


Reward = float | Problem


@dataclass(frozen=True, slots=True)
class Scored:
    """A raw reward, and beside it the leeway of a model that has a tie head (see `tie_head`), and the distance of one
    that knows where its training's responses lie (see `uncertainty`).
    """

    reward: float
    leeway: float | None = None
    distance: float | None = None


TieSource = Literal["threshold", "head"]
"""What says how likely a tie is: a threshold that the server was told, or the model itself."""


class Inline(Protocol):
    """Turns what a request says of a medium into a `Media`, within the server's limits. Raises RequestError."""

    def base64(self, kind: MediaKind, data: str, field: str) -> Media:
        """Bytes that stand in the request, as base64, with or without a ``data:`` URL around them."""
        ...

    def url(self, kind: MediaKind, url: str, field: str) -> Media:
        """A ``data:`` URL, the id of an upload (``upload:ID``), or a URL of an allowed host. Never a local path."""
        ...


@dataclass(frozen=True, slots=True)
class Served:
    """What replies say of the server.

    Attributes:
        model: its name, as listed and echoed.
        revision: digest of weights, tokenizer and settings.
        request: the id of the request that is being answered.
        created: seconds since the epoch.
        tie_threshold: the margin up to which two responses count as tied; None where the server was told none.
        ties: what says how likely a tie is; None where nothing does.
        chances: the probabilities of two responses, where the model itself says them: the place of their Ask, and
            theirs in it. Both must have a reward.
        doubt: how familiar a response is and how far its reward may be off, where the model knows: the place of its
            Ask, and its own in it. It must have a reward.
    """

    model: str
    revision: str
    request: str
    created: int
    tie_threshold: float | None = None
    ties: TieSource | None = None
    chances: Callable[[int, int, int], PairProbabilities] | None = None
    doubt: Callable[[int, int], Doubt] | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """One path of a shape.

    Attributes:
        path: such as ``/get_reward``.
        read: a parsed JSON body to what it asks. Raises RequestError where a field is missing or of another type.
        write: the body, the rewards of each Ask in order, and the server, to the JSON reply. Raises RequestError for a
            `Problem` that the reply has no place for.
        method: a GET has no body: `read` gets an empty one and asks nothing, and `write` answers.
        keys: several shapes may have one path. A body belongs to the one of whose keys it has any.
    """

    path: str
    read: Callable[[Mapping[str, Any], Inline], Sequence[Ask]]
    write: Callable[[Mapping[str, Any], Sequence[Sequence[Reward]], Served], Any]
    method: Literal["GET", "POST"] = "POST"
    keys: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Shape:
    """A request shape that other software speaks: the constant `PROTOCOL` of a file in `serve/protocols`.

    Attributes:
        summary: one line for `omnireward list`: whose client sends it.
        routes: its paths.
        example: for each path of a POST a body that must be answered, for the contract tests.
        on_problem: what becomes of a response without a reward: its own place in the reply, or, where the shape has
            none, the whole request fails: with status 422, or 504 where no time was left and 500 for a fault, which may
            not come again.
    """

    summary: str
    routes: tuple[Route, ...]
    example: Mapping[str, Mapping[str, Any]]
    on_problem: Literal["in the reply", "whole request fails"]
