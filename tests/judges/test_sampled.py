"""Several answers to one comparison vote: every count, share and margin here is worked out by hand."""

from __future__ import annotations

import pytest

from omnireward.errors import RecipeError
from omnireward.judges import JudgeOptions
from omnireward.judges._sampled import Draw, draws, voted
from omnireward.prompts import Answer, Form
from omnireward.types import Judgement

TIES = Form("pairwise", critique=True, ties=True)
NO_TIES = Form("pairwise", critique=True, ties=False)


def _said(letters: str, form: Form = TIES) -> Judgement:
    """A, B and T are verdicts; ? has none; ! failed; small letters were shown the responses exchanged."""
    words = {"A": "VERDICT: A", "B": "VERDICT: B", "T": "VERDICT: TIE", "?": "Who can tell?"}
    answers: list[Answer | str] = [
        f"CallError: number {i}" if letter == "!" else Answer(f"Number {i}.\n{words[letter.upper()]}")
        for i, letter in enumerate(letters)
    ]
    return voted(form, [Draw(letter.islower(), i) for i, letter in enumerate(letters)], answers)


@pytest.mark.parametrize(
    ("letters", "probabilities", "margin", "verdict"),
    [
        ("AAAA", (1.0, 0.0, 0.0), 1.0, "a"),
        ("AABT", (0.5, 0.25, 0.25), 0.25, "a"),
        ("ABBBT", (0.2, 0.2, 0.6), -0.4, "b"),
        ("ATTBT", (0.2, 0.6, 0.2), 0.0, "tie"),
        ("AABBT", (0.4, 0.2, 0.4), 0.0, "tie"),  # equally many say A and B
        ("ATAT", (0.5, 0.5, 0.0), 0.5, "tie"),  # equally many say A and that neither is better
        ("ABT", (1 / 3, 1 / 3, 1 / 3), 0.0, "tie"),
        ("A??B?B", (1 / 3, 0.0, 2 / 3), -1 / 3, "b"),  # of those that have a verdict
        ("!A!!", (1.0, 0.0, 0.0), 1.0, "a"),
    ],
)
def test_shares_are_probabilities_and_the_most_is_the_verdict(
    letters: str, probabilities: tuple[float, float, float], margin: float, verdict: str
) -> None:
    found = _said(letters)
    assert found.probabilities == pytest.approx(probabilities)
    assert found.margin == pytest.approx(margin)
    assert (found.verdict, found.error) == (verdict, "")


def test_without_ties_an_even_split_has_no_verdict_and_no_margin_but_says_how_even() -> None:
    found = _said("AABB", NO_TIES)
    assert (found.margin, found.verdict, found.probabilities) == (None, None, (0.5, 0.0, 0.5))
    assert found.rationale == "(Of 4 answers: 2 A, 0 TIE, 2 B.)"


def test_without_ties_a_verdict_of_a_tie_is_none() -> None:
    found = _said("ATT", NO_TIES)
    assert (found.margin, found.verdict, found.probabilities) == (1.0, "a", (1.0, 0.0, 0.0))
    assert found.rationale.endswith("(Of 3 answers: 1 A, 0 TIE, 0 B, 2 without a verdict.)")


def test_no_verdict_in_any_answer_is_no_number_and_an_error_only_where_one_failed() -> None:
    silent, failed = _said("??"), _said("?!!")
    assert silent == Judgement(
        None, rationale="Number 0.\nWho can tell?\n(Of 2 answers: 0 A, 0 TIE, 0 B, 2 without a verdict.)"
    )
    assert (failed.margin, failed.verdict, failed.probabilities) == (None, None, None)
    assert failed.error == "CallError: number 1"
    assert _said("!!").rationale == "(Of 2 answers: 0 A, 0 TIE, 0 B, 2 failed.)"


def test_an_answer_that_was_cut_off_has_no_verdict() -> None:
    answers = [Answer("VERDICT: A", cut_off=True), Answer("VERDICT: B")]
    assert voted(TIES, [Draw(False, 0), Draw(False, 1)], answers).probabilities == (0.0, 0.0, 1.0)


def test_what_was_shown_exchanged_is_turned_back() -> None:
    """Of A, A and, exchanged, A, T: two say a, one b, one a tie."""
    found = _said("AAat")
    assert found.probabilities == (0.5, 0.25, 0.25)
    assert (found.margin, found.verdict) == (0.25, "a")


def test_the_rationale_is_an_answer_that_agrees_rather_one_in_the_comparison_s_order() -> None:
    assert _said("BAAba").rationale == "Number 1.\nVERDICT: A\n(Of 5 answers: 3 A, 0 TIE, 2 B.)"
    only_exchanged = _said("A?bb")  # b of the exchanged is a
    assert only_exchanged.rationale.startswith("Number 0.")
    turned = _said("A?aa").rationale
    assert turned.splitlines()[:2] == ["(Here the responses were shown exchanged: A is B, and B is A.)", "Number 2."]
    assert turned.endswith("(Of 4 answers: 1 A, 0 TIE, 2 B, 1 without a verdict.)")


def test_exchanging_the_responses_exchanges_what_half_swapped_samples_say() -> None:
    """The same answers come back under the other order."""
    there, back = _said("AATbta"), _said("BTAaat")
    assert there.probabilities == back.swap().probabilities
    assert there.margin == back.swap().margin
    assert there.verdict == back.swap().verdict


def test_each_vote_and_each_of_its_samples_draws_with_a_number_of_its_own() -> None:
    options = JudgeOptions(samples=3, temperature=1)
    numbers = [draw.number for repeat in range(4) for draw in draws(options, repeat)]
    assert numbers == list(range(12))
    assert draws(JudgeOptions(), 5) == [Draw(False, 5)]


def test_both_orders_draw_from_the_same_seeds() -> None:
    options = JudgeOptions(samples=4, temperature=1, swap_half=True)
    assert draws(options) == [Draw(False, 0), Draw(False, 1), Draw(True, 0), Draw(True, 1)]
    assert [draw.number for draw in draws(options, 1)] == [2, 3, 2, 3]


def test_one_in_each_order_needs_no_temperature() -> None:
    assert len(draws(JudgeOptions(samples=2, swap_half=True))) == 2
    with pytest.raises(RecipeError, match=r"would all be the same answer.*--temperature 1"):
        JudgeOptions(samples=4, swap_half=True)
