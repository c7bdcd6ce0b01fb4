from __future__ import annotations

from collections import Counter
from itertools import product

import pytest

from omnireward.construct.verdicts import Rule, Say, Vote, say, verdict

SAYS: tuple[Say, ...] = ("a", "b", "tie", "inconsistent", "no verdict", "unable", "unreadable", "failed")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_rules_against_counting(count: int) -> None:
    """Every combination of says, against the rules in their own words."""
    for says in product(SAYS, repeat=count):
        counted = Counter(says)
        assert (verdict(says, "a", "unanimity") == "") == (set(says) == {"a"})
        assert (verdict(says, "a", "majority") == "") == (counted["a"] > count / 2)
        rules: tuple[Rule, ...] = ("unanimity", "majority")
        for rule in rules:
            if why := verdict(says, "a", rule):
                assert (why == "contradicted") == bool(counted["b"] or counted["tie"])


def _record(**more: object) -> dict[str, object]:
    return {"verdict": None, "margin": None, "error": "", **more}


def test_votes_are_read_from_records() -> None:
    assert Vote.of(_record(verdict="tie", margin=0.0)) == Vote("tie")
    assert Vote.of(_record(margin=-0.3)) == Vote("b")
    assert Vote.of(_record(margin=0.0)) == Vote("tie")
    assert Vote.of(_record()) == Vote(None)
    assert Vote.of(_record(error="CallFailedError: no")) == Vote(None, "CallFailedError: no")


def test_what_a_verifier_says() -> None:
    assert say([Vote("b"), Vote("b")]) == "b"
    assert say([Vote("tie"), Vote("b")]) == "inconsistent"
    assert say([Vote(None), Vote("b")]) == "no verdict"
    assert say([]) == "unable"
    broken = Vote(None, "UnreadableMediaError: not an image")
    assert say([broken, broken]) == "unreadable"
    assert say([broken, Vote(None, "CallFailedError: no answer")]) == "failed"
    assert say([Vote(None, "DecoderCrashError: out of time"), Vote("a")]) == "failed"
    assert say([Vote(None, "something else"), Vote("a")]) == "failed"
