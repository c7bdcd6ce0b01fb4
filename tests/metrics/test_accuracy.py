from __future__ import annotations

import pytest

from omnireward.metrics import accuracy_without_ties, agrees

# By hand. Not ties: samples 0 to 5. Right: 0 and 1. Margin 0: sample 2 (6 is a tie). No margin: 4 and 5.
MARGINS = [2.0, -1.0, 0.0, 3.0, None, None, 0.0, 5.0]
PREFERENCES = ["a", "b", "a", "b", "a", "b", "tie", "tie"]


def test_counts_by_hand() -> None:
    found = accuracy_without_ties(MARGINS, PREFERENCES)
    assert (found.correct, found.samples, found.judged, found.exact_zero) == (2, 6, 4, 1)
    assert found.accuracy == pytest.approx(2 / 6)
    assert found.judged_accuracy == pytest.approx(2 / 4)


def test_agrees_is_false_for_ties_zeros_and_missing_margins() -> None:
    assert agrees(MARGINS, PREFERENCES).tolist() == [True, True] + [False] * 6


def test_all_ties_have_no_accuracy_instead_of_a_division_by_zero() -> None:
    found = accuracy_without_ties([1.0, None], ["tie", "tie"])
    assert found.accuracy is None
    assert found.judged_accuracy is None


def test_nothing_judged_is_wrong_in_the_headline_and_unknown_beside_it() -> None:
    found = accuracy_without_ties([None, None], ["a", "b"])
    assert found.accuracy == 0.0
    assert found.judged_accuracy is None


def test_swapping_every_sample_changes_nothing() -> None:
    other = {"a": "b", "b": "a", "tie": "tie"}
    swapped = accuracy_without_ties([None if m is None else -m for m in MARGINS], [other[p] for p in PREFERENCES])
    assert swapped == accuracy_without_ties(MARGINS, PREFERENCES)


@pytest.mark.parametrize(
    ("margins", "preferences", "message"),
    [
        ([1.0], ["a", "b"], "1 margins but 2 preferences"),
        ([1.0], ["A"], "unknown preference 'A'"),
        ([float("nan")], ["a"], "margin 0 is nan"),
        ([0.0, float("-inf")], ["a", "b"], "margin 1 is -inf"),
    ],
)
def test_refuses_bad_input(margins: list[float], preferences: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        accuracy_without_ties(margins, preferences)
