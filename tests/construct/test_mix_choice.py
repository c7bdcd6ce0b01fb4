"""How many samples of each source and task are taken: by hand, and what must hold for any wishes."""

from __future__ import annotations

from fractions import Fraction

import hypothesis
from hypothesis import strategies as st

from omnireward.construct.mix_choice import Cell, Wishes, quotas, split_quotas

AVAILABLE: dict[Cell, int] = {("a", "T2I"): 60, ("a", "T2T"): 40, ("b", "T2T"): 10}


def test_without_wishes_everything_is_taken() -> None:
    assert quotas(AVAILABLE, Wishes({"a": 1.0, "b": 1.0})) == AVAILABLE


def test_weights_are_relative_to_each_other() -> None:
    """Rates 2 : 1: all of a, half of b. Rates of 20 : 10 are the same."""
    expected = {("a", "T2I"): 60, ("a", "T2T"): 40, ("b", "T2T"): 5}
    assert quotas(AVAILABLE, Wishes({"a": 2.0, "b": 1.0})) == expected
    assert quotas(AVAILABLE, Wishes({"a": 20.0, "b": 10.0})) == expected


def test_weights_of_tasks_multiply() -> None:
    """Rates: a T2I 1 x 0.5, a T2T 1 x 1, b T2T 0.2 x 1; the highest is whole."""
    found = quotas(AVAILABLE, Wishes({"a": 1.0, "b": 0.2}, tasks={"T2I": 0.5}))
    assert found == {("a", "T2I"): 30, ("a", "T2T"): 40, ("b", "T2T"): 2}


def test_a_total_is_shared_by_size() -> None:
    """55 of 110 is half of each."""
    found = quotas(AVAILABLE, Wishes({}, total=55))
    assert found == {("a", "T2I"): 30, ("a", "T2T"): 20, ("b", "T2T"): 5}


def test_what_is_used_up_leaves_its_place_to_the_others() -> None:
    """B at ten times the rate is whole when the others are at a tenth (10 of 100); the other 50 - 10 go 60 : 40."""
    found = quotas(AVAILABLE, Wishes({"a": 1.0, "b": 10.0}, total=50))
    assert found == {("a", "T2I"): 24, ("a", "T2T"): 16, ("b", "T2T"): 10}


def test_caps_of_sources_and_tasks() -> None:
    """A stops at 50, 30 and 20 of its tasks; b goes on to 10. With T2T capped at 15: growth stops it at 12 + 3."""
    assert quotas(AVAILABLE, Wishes({}, source_caps={"a": 50})) == {
        ("a", "T2I"): 30,
        ("a", "T2T"): 20,
        ("b", "T2T"): 10,
    }
    assert quotas(AVAILABLE, Wishes({}, task_caps={"T2T": 15})) == {
        ("a", "T2I"): 60,
        ("a", "T2T"): 12,
        ("b", "T2T"): 3,
    }


def test_what_rounding_leaves_goes_to_the_largest_remainders() -> None:
    """10 of 110: shares 5.45, 3.64, 0.91; two are left for the remainders .91 and .64."""
    found = quotas(AVAILABLE, Wishes({}, total=10))
    assert found == {("a", "T2I"): 5, ("a", "T2T"): 4, ("b", "T2T"): 1}


def test_nothing_available() -> None:
    assert quotas({}, Wishes({"a": 1.0}, total=3)) == {}
    assert quotas({("a", "T2T"): 3}, Wishes({"a": 1.0}, source_caps={"a": 0})) == {("a", "T2T"): 0}


weights = st.sampled_from([0.1, 0.3, 1.0, 2.5, 7.0])
caps = st.integers(0, 40)


@hypothesis.given(
    available=st.dictionaries(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz")), st.integers(1, 50)),
    sources=st.dictionaries(st.sampled_from("abc"), weights),
    tasks=st.dictionaries(st.sampled_from("xyz"), weights),
    source_caps=st.dictionaries(st.sampled_from("abc"), caps),
    task_caps=st.dictionaries(st.sampled_from("xyz"), caps),
    total=st.one_of(st.none(), st.integers(1, 200)),
)
@hypothesis.settings(max_examples=150, deadline=None)
def test_no_limit_is_passed_and_shares_keep_their_ratios(
    available: dict[Cell, int],
    sources: dict[str, float],
    tasks: dict[str, float],
    source_caps: dict[str, int],
    task_caps: dict[str, int],
    total: int | None,
) -> None:
    wishes = Wishes(sources, tasks, source_caps, task_caps, total)
    found = quotas(available, wishes)
    assert found.keys() == available.keys()
    assert all(0 <= found[cell] <= count for cell, count in available.items())
    for place, names in ((0, source_caps), (1, task_caps)):
        for name, cap in names.items():
            assert sum(count for cell, count in found.items() if cell[place] == name) <= cap
    if total is not None:
        assert sum(found.values()) <= total
    if not source_caps and not task_caps and total is None and available:
        highest = max(wishes.rate(cell) for cell in available)
        assert all(abs(found[cell] - available[cell] * wishes.rate(cell) / highest) < 1 for cell in available)
    if not source_caps and not task_caps and total is not None:
        assert sum(found.values()) == min(total, sum(available.values()))


@hypothesis.given(
    cells=st.dictionaries(st.tuples(st.sampled_from("abcdef"), st.sampled_from("xyz")), st.integers(1, 30), min_size=1),
    shares=st.dictionaries(st.sampled_from(["one", "two", "three"]), weights, min_size=1),
)
@hypothesis.settings(max_examples=100, deadline=None)
def test_splits_have_their_share_to_within_one(cells: dict[Cell, int], shares: dict[str, float]) -> None:
    """However small the cells are: by the exact share of the sum."""
    whole = sum(Fraction(repr(share)) for share in shares.values())
    for split, room in split_quotas(cells, shares).items():
        assert abs(sum(room.values()) - sum(cells.values()) * Fraction(repr(shares[split])) / whole) <= Fraction(1, 2)
        assert all(count >= 0 for count in room.values())
