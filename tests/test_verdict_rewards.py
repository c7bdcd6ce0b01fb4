"""What answers earn. Expected rewards are worked out by hand from the words at the top of the module."""

from __future__ import annotations

import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnireward.verdict_rewards import SCRIPTS, RewardTerms, Scored, scored, script_of, words_of

LENGTH = RewardTerms(accuracy=0.7, format=0.1, length=0.2, shortest=4, longest=8)
LANGUAGE = RewardTerms(accuracy=0.7, format=0.1, language=0.2)
ANSWERS = st.one_of(
    st.text(max_size=80),
    st.lists(
        st.sampled_from(
            ["A is warmer.", "<think>", "</think>", "VERDICT: A", "VERDICT: B", "VERDICT: TIE", "```", "漢字"]
        ),
        max_size=6,
    ).map("\n".join),
)


def _earned(answer: str, preference: str = "a", **changed: object) -> Scored:
    asked: dict[str, object] = {"ties": True, "critique": True, **changed}
    return scored(answer, preference, **asked)  # type: ignore[arg-type]


def _of(words: int) -> str:
    return "word " * words + "\nVERDICT: A"


@pytest.mark.parametrize(
    ("answer", "preference", "earned"),
    [
        ("A is warmer.\nVERDICT: A", "a", (1.0, 1.0, 1.0, "a")),
        ("A is warmer.\nVERDICT: A", "b", (0.1, 0.0, 1.0, "a")),
        ("A is warmer.\nVERDICT: A", "tie", (0.1, 0.0, 1.0, "a")),
        ("Both are warm.\nVERDICT: TIE", "tie", (1.0, 1.0, 1.0, "tie")),
        ("Both are warm.\nVERDICT: TIE", "b", (0.1, 0.0, 1.0, "tie")),
        ("VERDICT: B", "b", (0.9, 1.0, 0.0, "b")),
        ("VERDICT: B", "a", (0.0, 0.0, 0.0, "b")),
        ("<think>\n</think>\nVERDICT: B", "b", (0.9, 1.0, 0.0, "b")),
        ("7 : 3 !\n---\nVERDICT: B\nVERDICT: B", "b", (0.9, 1.0, 0.0, "b")),
        ("```text\nVERDICT: B\n```", "b", (0.9, 1.0, 0.0, "b")),
        ("好\nVERDICT: B", "b", (1.0, 1.0, 1.0, "b")),
        ("A is warmer.", "a", (0.0, 0.0, 0.0, None)),
        ("", "a", (0.0, 0.0, 0.0, None)),
        ("A is warmer.\nVERDICT: A or B", "a", (0.0, 0.0, 0.0, None)),
    ],
)
def test_accuracy_and_format(answer: str, preference: str, earned: tuple[float, float, float, str | None]) -> None:
    found = _earned(answer, preference)
    assert (found.reward, found.accuracy, found.format, found.verdict) == earned


def test_without_a_critique_a_verdict_is_all_that_is_asked_for() -> None:
    assert _earned("VERDICT: A", critique=False).reward == 1.0
    assert _earned("VERDICT: A", "b", critique=False).reward == 0.1
    assert _earned("A", critique=False).reward == 0.0


def test_an_answer_that_was_cut_off_earns_nothing_whatever_it_says() -> None:
    assert _earned("A is warmer.\nVERDICT: A", cut_off=True) == Scored(0.0, 0.0, 0.0, 0.0, 0.0, None)


def test_a_tie_is_no_verdict_where_none_is_allowed() -> None:
    assert _earned("Both.\nVERDICT: TIE", "a", ties=False).verdict is None


@pytest.mark.parametrize(
    ("words", "length"),
    [(0, 0.0), (1, 0.25), (3, 0.75), (4, 1.0), (8, 1.0), (10, 0.75), (15, 0.125), (16, 0.0), (99, 0.0)],
)
def test_length_falls_in_straight_lines(words: int, length: float) -> None:
    found = _earned(_of(words), terms=LENGTH)
    assert found.length == length
    assert found.reward == pytest.approx(0.7 + 0.1 * (words > 0) + 0.2 * length)


def test_no_longest_means_no_limit() -> None:
    terms = RewardTerms(accuracy=0.8, format=0.1, length=0.1, shortest=2)
    assert [_earned(_of(words), terms=terms).length for words in (0, 1, 2, 1000)] == [0.0, 0.5, 1.0, 1.0]


@pytest.mark.parametrize(
    ("critique", "script", "criterion", "share"),
    [
        ("A is warmer", "latin", "", 1.0),
        ("A is warmer", "", "", 1.0),
        ("A is warmer", "", "1 : 2", 1.0),
        ("A is warmer", "", "哪一个更好？", 0.0),
        ("更好 A", "", "哪一个更好？", 2 / 3),
        ("更好 A", "latin", "哪一个更好？", 1 / 3),
        ("Теплее", "cyrillic", "", 1.0),
        ("ＡＢ ﾃｽﾄ", "latin", "", 2 / 5),
        ("どちらも鮮明", "kana", "", 1.0),
        ("どちらも鮮明", "", "どちらの画像が鮮明か", 1.0),
        ("どちらも鮮明", "han", "", 2 / 6),
        ("더 좋다", "hangul", "", 1.0),
        ("7 : 3 !", "latin", "", 0.0),
    ],
)
def test_language_is_the_share_of_letters(critique: str, script: str, criterion: str, share: float) -> None:
    terms = RewardTerms(accuracy=0.7, format=0.1, language=0.2, script=script)
    assert _earned(f"{critique}\nVERDICT: A", terms=terms, criterion=criterion).language == share


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("a b", 2),
        ("it's 3-fold, 7 !", 2),
        ("A更好", 3),
        ("ひらカナ", 4),
        ("더 좋다", 2),
        ("- * 1.", 0),
        ("\x00a\x00", 1),
    ],
)
def test_words(text: str, count: int) -> None:
    assert words_of(text) == count


def test_every_script_that_can_be_wanted_has_letters() -> None:
    letters = {script_of(chr(code)) for code in range(0x20000) if chr(code).isalpha()}
    assert set(SCRIPTS) <= letters


@given(ANSWERS, st.sampled_from(["a", "b", "tie"]), st.sampled_from([RewardTerms(), LENGTH, LANGUAGE]))
def test_a_reward_is_the_weighted_sum_and_from_0_to_1(answer: str, preference: str, terms: RewardTerms) -> None:
    found = _earned(answer, preference, terms=terms)
    terms_of = (found.accuracy, found.format, found.length, found.language)
    weights = (terms.accuracy, terms.format, terms.length, terms.language)
    assert all(0 <= term <= 1 for term in (*terms_of, found.reward))
    assert found.reward == pytest.approx(sum(map(math.prod, zip(weights, terms_of, strict=True))))
    if found.verdict is None:
        assert terms_of == (0, 0, 0, 0)


@given(ANSWERS, st.sampled_from(["a", "b", "tie"]))
def test_with_the_usual_weights_it_is_easyr1s_overall(answer: str, preference: str) -> None:
    found = _earned(answer, preference)
    assert found.reward == pytest.approx((1 - 0.1) * found.accuracy + 0.1 * found.format)


@given(ANSWERS)
def test_exactly_one_preference_is_right_where_there_is_a_verdict(answer: str) -> None:
    right = [_earned(answer, preference).accuracy for preference in ("a", "b", "tie")]
    assert sum(right) == (_earned(answer).verdict is not None)


HOSTILE = {
    "words": "a " * 500_000,
    "angles": "<" * 10**6,
    "tags": "<a" * 500_000,
    "NULs": "\x00" * 10**6,
    "surrogates": "\ud800" * 10**6,
    "Han": "漢" * 10**6,
    "one word": "x" * 10**6,
    "digits": "1" * 10**6,
    "fences": "```\n" * 250_000,
    "brackets": "[" * 10**6,
    "verdicts": "VERDICT: A\n" * 90_000,
    "every letter": "".join(map(chr, range(0x110000))),
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_answers_earn_what_they_say_in_time(text: str) -> None:
    """About a second here for the slowest; a quadratic rule would take minutes."""
    begun = time.process_time()
    assert _earned(f"It is.\n{text}\nVERDICT: A").verdict in ("a", None)
    assert time.process_time() - begun < 10


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"accuracy": 0.9, "format": 0.2}, "sum to 1.1"),
        ({"accuracy": -0.1, "format": 1.1}, "from 0 to 1"),
        ({"accuracy": math.nan}, "from 0 to 1"),
        ({"accuracy": 0.8, "length": 0.1}, "no bounds"),
        ({"shortest": 9, "longest": 8}, "enclose nothing"),
        ({"shortest": -1}, "enclose nothing"),
        ({"script": "Latn"}, "latin"),
    ],
)
def test_terms_that_mean_nothing_are_refused(settings: dict[str, float], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        RewardTerms(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("preference", ["A", "", "c", "TIE"])
def test_what_is_no_preference_is_refused(preference: str) -> None:
    with pytest.raises(ValueError, match="no preference here"):
        _earned("VERDICT: A", preference)


def test_a_tie_is_refused_where_none_is_allowed() -> None:
    with pytest.raises(ValueError, match="ties are not allowed"):
        _earned("VERDICT: A", "tie", ties=False)


@pytest.mark.parametrize("terms", [LENGTH, LANGUAGE], ids=["length", "language"])
def test_a_critique_that_counts_must_be_asked_for(terms: RewardTerms) -> None:
    with pytest.raises(ValueError, match="none is asked for"):
        _earned("VERDICT: A", critique=False, terms=terms)
