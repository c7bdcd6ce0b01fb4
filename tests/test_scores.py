"""Scores become preferences by the stated rule."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnireward.errors import RecipeError
from omnireward.scores import PairRule, scored_pairs
from omnireward.sources import with_settings

SCORES = st.lists(st.none() | st.integers(-4, 4).map(float), max_size=6)


def said(scores: list[float | None], rule: PairRule, **better: str) -> list[tuple[int, int, str]]:
    return [(pair.a, pair.b, pair.preference) for pair in scored_pairs(scores, rule, **better)]  # type: ignore[arg-type]


def test_margin_in_the_sources_own_units() -> None:
    """4 - 2 = 2 and 3.5 - 2 = 1.5 reach a margin of 1; 4 - 3.5 = 0.5 does not."""
    assert said([4.0, 2.0, 3.5], PairRule(margin=1.0)) == [(0, 1, "a"), (0, 2, "tie"), (1, 2, "b")]


def test_without_a_margin_only_equal_scores_tie() -> None:
    assert said([1.0, 1.0, 1.0 + 1e-9], PairRule()) == [(0, 1, "tie"), (0, 2, "b"), (1, 2, "b")]


def test_a_difference_of_exactly_the_margin_is_a_preference() -> None:
    assert said([3.0, 2.0], PairRule(margin=1.0)) == [(0, 1, "a")]


def test_means_that_differ_by_the_margin_are_not_tied_by_rounding() -> None:
    """13/3 - 10/3 is 1, and in floating point 0.9999999999999996; 13/3 - 11/3 is 2/3."""
    assert 13 / 3 - 10 / 3 < 1
    assert said([13 / 3, 10 / 3, 11 / 3], PairRule(margin=1.0)) == [(0, 1, "a"), (0, 2, "tie"), (1, 2, "tie")]


def test_lower_ranks_are_better() -> None:
    assert said([1.0, 3.0, 3.0], PairRule(), better="lower") == [(0, 1, "a"), (0, 2, "a"), (1, 2, "tie")]


def test_best_is_compared_with_each_other_and_is_the_first_of_equals() -> None:
    assert said([2.0, 5.0, 5.0, 1.0], PairRule(pairs="best")) == [(0, 1, "b"), (1, 2, "tie"), (1, 3, "a")]


def test_what_has_no_number_is_in_no_pair() -> None:
    assert said([None, float("nan"), float("inf"), 1.0], PairRule()) == []


@given(SCORES, st.sampled_from([0.0, 1.0, 2.5]))
def test_against_the_definition(scores: list[float | None], margin: float) -> None:
    wanted = []
    for a, b in combinations(range(len(scores)), 2):
        first, second = scores[a], scores[b]
        if first is not None and second is not None:
            gap = first - second
            better = "a" if gap > 0 else "b"
            wanted.append((a, b, better if gap != 0 and abs(gap) >= margin else "tie"))
    assert said(scores, PairRule(margin)) == wanted
    assert said(scores, PairRule(margin, ties=False)) == [one for one in wanted if one[2] != "tie"]


@pytest.mark.parametrize("wrong", [{"margin": -1.0}, {"margin": float("nan")}, {"pairs": "some"}])
def test_rules_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(RecipeError):
        PairRule(**wrong)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Settings:
    margin: float = 0.5
    most: int = 3
    ties: bool = True
    split: str = "train"


@pytest.mark.parametrize(
    ("location", "wanted"),
    [
        ("data/x", ("data/x", Settings())),
        ("data/x?", ("data/x", Settings())),
        ("?most=4", ("", Settings(most=4))),
        ("hub:a/b@c?margin=2&ties=no&split=te st", ("hub:a/b@c", Settings(2.0, 3, ties=False, split="te st"))),
    ],
)
def test_settings_of_a_location(location: str, wanted: tuple[str, Settings]) -> None:
    assert with_settings(location, Settings()) == wanted


@pytest.mark.parametrize(
    "wrong", ["margn=1", "margin=much", "margin=nan", "margin=inf", "most=1.5", "ties=maybe", "ties=", "most"]
)
def test_settings_that_cannot_be_read(wrong: str) -> None:
    with pytest.raises(RecipeError, match=wrong.partition("=")[0]):
        with_settings(f"data/x?{wrong}", Settings())


def test_a_folder_may_have_a_question_mark_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "what?most=1").mkdir()
    assert with_settings(f"{tmp_path}/what?most=1", Settings()) == (f"{tmp_path}/what?most=1", Settings())
