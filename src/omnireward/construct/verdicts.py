"""What verifiers say of a sample, and whether that keeps it. Pure.

A verifier sees a sample in both orders. It says a, b or tie when it comes to the same result in both; otherwise it
abstains, because a verdict that turns with the order is about the order. The rules, with n verifiers:

* unanimity: all n say what the sample claims; who abstains does not.
* majority: more than n / 2 say what the sample claims, of all n, whether they abstain or not.

A sample that is not kept was contradicted, if a verifier said something else; or else it could not be read, or judging
it failed, or it is undecided. A sample is never given another preference: verification refuses, it does not relabel.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from omnireward import errors
from omnireward.types import Preference

Rule = Literal["unanimity", "majority"]
Say = Literal["a", "b", "tie", "inconsistent", "no verdict", "unable", "unreadable", "failed"]
ABSTENTIONS: tuple[Say, ...] = ("inconsistent", "no verdict", "unable", "unreadable", "failed")
CONTRADICTED, UNDECIDED, UNREADABLE, FAILED = "contradicted", "undecided", "unreadable", "failed"
_SIDES: tuple[Preference, ...] = ("a", "b", "tie")
_ERROR = re.compile(r"(\w+Error): ")


@dataclass(frozen=True, slots=True)
class Vote:
    """What one question gave: a choice between the sample's own sides, or None; `error` where judging failed."""

    choice: Preference | None
    error: str = ""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Vote:
        """From a record of the journal: the stated verdict, or the winner by the margin's sign."""
        verdict, margin = record["verdict"], record["margin"]
        if record["error"] or (verdict is None and margin is None):
            return cls(None, record["error"])
        return cls(verdict or ("tie" if margin == 0 else "a" if margin > 0 else "b"))

    @property
    def lasting(self) -> bool:
        """Whether another run would fail in the same way: a medium or a prompt is to blame, not the decoder's luck."""
        match = _ERROR.match(self.error)
        kind = getattr(errors, match[1], None) if match else None
        if not isinstance(kind, type) or not issubclass(kind, errors.MediaError | errors.PromptError):
            return False
        return not issubclass(kind, errors.DecoderCrashError)


def say(votes: Sequence[Vote]) -> Say:
    """What a verifier says by its votes in both orders; none where it cannot judge such samples.

    >>> say([Vote("a"), Vote("a")]), say([Vote("a"), Vote("b")]), say([Vote("a"), Vote(None)])
    ('a', 'inconsistent', 'no verdict')
    """
    if not votes:
        return "unable"
    if failed := [vote for vote in votes if vote.error]:
        return "unreadable" if all(vote.lasting for vote in failed) else "failed"
    choices = {vote.choice for vote in votes}
    if None in choices:
        return "no verdict"
    (first, *others) = choices
    return "inconsistent" if others or first is None else first


def verdict(says: Sequence[Say], claimed: Preference, rule: Rule) -> str:
    """Why a sample is refused; empty where it is kept.

    >>> verdict(["a", "a", "inconsistent"], "a", "majority"), verdict(["a", "a", "inconsistent"], "a", "unanimity")
    ('', 'undecided')
    >>> verdict(["a", "b", "b"], "a", "majority")
    'contradicted'
    """
    agreed = sum(one == claimed for one in says)
    if agreed == len(says) if rule == "unanimity" else 2 * agreed > len(says):
        return ""
    if any(one in _SIDES and one != claimed for one in says):
        return CONTRADICTED
    return next((reason for reason in (UNREADABLE, FAILED) if reason in says), UNDECIDED)
