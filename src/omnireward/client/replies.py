"""Replies become rewards, pairs, judgements and rankings, distrusted.

A reply that holds anything else than what was asked for is an error, and so is one to another request, a number that is
not finite, and numbers that contradict each other.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import combinations
from typing import Any, cast, get_args

from omnireward.errors import CallError, CallFailedError
from omnireward.ranking.groups import Strength
from omnireward.serve.asking import OWN_ID, SCHEMA, Problem, ProblemKind, Reward, TieSource
from omnireward.types import Judgement, Preference


@dataclass(frozen=True, slots=True)
class Pair:
    """How two responses compare.

    Attributes:
        a: the place of the one among the responses.
        b: the place of the other, which comes later.
        margin: the reward of a minus that of b.
        probabilities: that a is better, that neither is, and that b is; they sum to 1.
        tie_threshold: the margin up to which the server counts two responses as tied; None where it was told none.
        ties: where the probability of a tie comes from: `head`, the model itself; `threshold`, that margin; or None:
            then the probabilities are Bradley-Terry's, which knows no ties, and the 0 of a tie is nobody's finding.
    """

    a: int
    b: int
    margin: float
    probabilities: tuple[float, float, float]
    tie_threshold: float | None
    ties: TieSource | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """What a server found out about responses to one prompt by comparing two at a time.

    Attributes:
        strengths: of each response, by Bradley-Terry with a mean of 0; or why it has none.
        calls: comparisons that were asked.
        failed: how many of them gave nothing.
        without_verdict: how many were answered without a verdict.
    """

    strengths: tuple[Strength | Problem, ...]
    calls: int
    failed: int
    without_verdict: int


def parsed(content: bytes) -> object:
    """The JSON of a reply. Raises CallFailedError where it is none, or says that it is of another schema."""
    try:
        reply = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _strange("a body that is not JSON") from error
    if isinstance(reply, dict) and reply.get("schema", SCHEMA) != SCHEMA:
        raise _strange(f"a reply whose schema is {str(reply['schema'])[:50]!r}, not {SCHEMA!r}")
    return cast(object, reply)


def check_header(told: str | None, sent: str) -> None:
    """Raises CallFailedError where a reply's header names another request than the one of this id."""
    if sent not in (told or "").split(", "):  # a proxy may have added a header of its own
        raise _mixed_up(told)


def revision_of(reply: object, sent: str) -> str:
    """Which model a reply to the request of this id is of. Raises CallFailedError where it does not say."""
    told = reply if isinstance(reply, dict) else {}
    if told.get("id") != sent:
        raise _mixed_up(told.get("id"))
    revision = told.get("revision")
    if not isinstance(revision, str) or not revision:
        raise _strange("a reply without the revision of its model")
    return revision


def read_upload(reply: object) -> str:
    """The id under which the server keeps a medium. Raises CallFailedError where it is none."""
    name = reply.get("id") if isinstance(reply, dict) else None
    if not isinstance(name, str) or not name:
        raise _strange("a reply to an upload without its id")
    return name


def read_rewards(reply: object, count: int, discount: float = 0.0) -> list[Reward]:
    """A reward or a problem for each of so many responses, less so many deviations.

    Raises:
        CallFailedError: it is none, or deviations are to be taken off and the server says none.
    """
    rows = reply.get("rewards") if isinstance(reply, dict) else None
    if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], list) or len(rows[0]) != count:
        raise _strange(f"a reply without the {count} rewards that were asked for")
    if cast("dict[str, Any]", reply).get("raw") is not True:
        raise _strange("rewards that are not raw")
    return [_reward(each, discount) for each in rows[0]]


def read_pairs(reply: object, count: int) -> list[Pair]:
    """The pairs of those of so many responses that have a reward. Raises CallFailedError where it is none."""
    rewards = {place: one for place, one in enumerate(read_rewards(reply, count)) if not isinstance(one, Problem)}
    said = cast("dict[str, Any]", reply)
    rows, threshold = said.get("pairs"), said.get("tie_threshold")
    places = list(combinations(rewards, 2))
    if not isinstance(rows, list) or len(rows) != 1 or not isinstance(rows[0], list):
        raise _strange("a reply without the pairs that were asked for")
    if [(each.get("a"), each.get("b")) if isinstance(each, dict) else None for each in rows[0]] != places:
        raise _strange("other pairs than those of its rewards")
    known = None if threshold is None else _number(threshold)
    ties = said.get("ties", None if known is None else "threshold")  # servers of before say the threshold alone
    if ties not in (None, *get_args(TieSource)) or (ties == "threshold") != (known is not None):
        raise _strange("probabilities of a tie from nowhere")
    pairs = []
    for (a, b), each in zip(places, rows[0], strict=True):
        margin = _number(each.get("margin"))
        _check_margin(margin, (rewards[a], rewards[b]))
        chances = _chances(each.get("probabilities"))
        if chances is None:
            raise _strange("a pair without probabilities")
        pairs.append(Pair(a, b, margin, chances, known, ties))
    return pairs


def read_judgement(reply: object) -> Judgement:
    """A judgement; a problem is its error. Raises CallFailedError where it is none."""
    if isinstance(reply, dict) and "problem" in reply:
        return Judgement(None, error=str(_problem(reply["problem"])))
    found = reply.get("judgement") if isinstance(reply, dict) else None
    if not isinstance(found, dict) or "margin" not in found:
        raise _strange("a reply without a judgement")
    margin = None if found["margin"] is None else _number(found["margin"])
    verdict = found.get("verdict")
    if verdict not in (None, *get_args(Preference)):
        raise _strange("a verdict that is none")
    rewards = cast("tuple[float, float] | None", _named(found.get("rewards"), ("a", "b")))
    if margin is not None and rewards is not None:
        _check_margin(margin, rewards)
    return Judgement(
        margin,
        rewards=rewards,
        probabilities=_chances(found.get("probabilities")),
        verdict=cast("Preference | None", verdict),
        rationale=str(found.get("rationale", "")),
        deviation=_bounded(found.get("deviation"), math.inf),
        familiarity=_bounded(found.get("familiarity"), 1),
    )


def read_ranking(reply: object, count: int) -> Ranked:
    """Strengths of so many responses. Raises CallFailedError where it is none."""
    found = reply.get("ranking") if isinstance(reply, dict) else None
    rows = found.get("strengths") if isinstance(found, dict) else None
    if not isinstance(found, dict) or not isinstance(rows, list) or len(rows) != count:
        raise _strange(f"a reply without the {count} strengths that were asked for")
    counts = [found.get(name) for name in ("calls", "failed", "without_verdict")]
    if not all(type(one) is int and one >= 0 for one in counts):
        raise _strange("numbers of comparisons that are none")
    return Ranked(tuple(_strength(each) for each in rows), *cast("list[int]", counts))


def _strength(value: object) -> Strength | Problem:
    if isinstance(value, dict) and "problem" in value:
        return _problem(value["problem"])
    named = _named(value, ("value", "standard_error"))
    if named is None or named[1] < 0:
        raise _strange("a strength that is none")
    return Strength(*named)


def _reward(value: object, discount: float) -> Reward:
    if isinstance(value, dict) and "problem" in value:
        return _problem(value["problem"])
    reward = _number(value.get("value") if isinstance(value, dict) else None)
    if not discount:
        return reward
    deviation = _bounded(cast("dict[str, Any]", value).get("deviation"), math.inf)
    if deviation is None:
        raise CallFailedError(
            f"rewards are to be discounted by {discount:g} deviations, and the server's model does not know how far "
            "they may be off. Fit it with: omnireward uncertainty FOLDER --datasets ... Or leave the discount out."
        )
    return reward - discount * deviation


def _bounded(value: object, most: float) -> float | None:
    number = None if value is None else _number(value)
    if number is not None and not 0 <= number <= most:
        raise _strange(f"a number that does not lie between 0 and {most:g}")
    return number


def _problem(value: object) -> Problem:
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind not in get_args(ProblemKind):
        raise _strange("a problem of an unknown kind")
    return Problem(cast(ProblemKind, kind), str(cast("dict[str, object]", value).get("message", "")))


def _number(value: object) -> float:
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:  # a whole number too long for a float
        number = math.nan
    if not math.isfinite(number):
        raise _strange("a reward that is not a finite number")
    return number


def _named(value: object, names: tuple[str, ...]) -> tuple[float, ...] | None:
    if value is None:
        return None
    if not isinstance(value, dict) or set(value) != set(names):
        raise _strange(f"an object without just {', '.join(names)}")
    return tuple(_number(value[name]) for name in names)


def _chances(value: object) -> tuple[float, float, float] | None:
    chances = cast("tuple[float, float, float] | None", _named(value, ("a", "tie", "b")))
    if chances is not None and (min(chances) < 0 or not math.isclose(sum(chances), 1, abs_tol=1e-6)):
        raise _strange("probabilities that are none")
    return chances


def _check_margin(margin: float, rewards: tuple[float, float]) -> None:
    if not math.isclose(margin, rewards[0] - rewards[1], rel_tol=1e-6, abs_tol=1e-6):
        raise _strange("a margin that is not the difference of its rewards")


def _mixed_up(told: object) -> CallError:
    if told is None:
        return _strange("a reply that does not say which request it is to")
    return CallFailedError(
        f"the server sent a reply to another request, {str(told)[:50]!r}. A proxy in between must pass {OWN_ID} on "
        "as it is, and processes must not share a connection."
    )


def _strange(what: str) -> CallError:
    return CallFailedError(f"the server sent {what}. Is it an omnireward server, of a version near this one?")
