"""Texts that say the same, and nearly the same."""

from __future__ import annotations

import random
import time

import pytest

from omnireward.fingerprints import NEAR_JACCARD, jaccard, normalised, text_signature

WORDS = [f"{a}{b}{c}" for a in "bdfgklmnprst" for b in "aeiou" for c in "bdlmnrst"]


def sentence(words: int, seed: int) -> list[str]:
    return random.Random(seed).choices(WORDS, k=words)


def pieces(text: str) -> set[str]:
    return {text[i : i + 5] for i in range(max(1, len(text) - 4))}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Draw a cat.", "  draw A cat "),
        ("draw\u00a0a\u2009cat\n", "draw a cat"),
        ("don’t — stop!", "DON'T STOP"),
        ("ﬁne ½", "fine 1⁄2"),
        ("Straße", "STRASSE"),
        ("ca\u200bt", "cat"),
    ],
)
def test_the_same_words(one: str, other: str) -> None:
    assert normalised(one).replace(" t ", "t ") == normalised(other).replace(" t ", "t ")


@pytest.mark.parametrize(
    ("one", "other"), [("a cat", "a bat"), ("1 + 2", "1 2"), ("?", "!"), ("क", "कि"), ("cat", "c at")]
)
def test_other_words(one: str, other: str) -> None:
    assert normalised(one) != normalised(other)


def test_nothing_is_nothing() -> None:
    assert normalised(" \n\t") == ""
    assert text_signature(" \n\t") == ()
    assert len(text_signature("?")) == len(text_signature("猫")) == 16


def test_the_share_of_pieces_is_told_within_its_error() -> None:
    """Against the share counted exactly; the error of 128 draws is sqrt(J (1 - J) / 128), at most .045."""
    for changed in (0, 2, 8, 25, 60):
        errors = []
        for seed in range(12):
            words = sentence(60, seed)
            other = [*words]
            for place in random.Random(seed).sample(range(60), changed):
                other[place] = "changed"
            one, two = " ".join(words), " ".join(other)
            exact = len(pieces(one) & pieces(two)) / len(pieces(one) | pieces(two))
            errors.append(jaccard(text_signature(one), text_signature(two)) - exact)
        assert abs(sum(errors) / 12) < 0.045 * 3 / 12**0.5
        assert max(map(abs, errors)) < 0.045 * 4


def test_an_edited_text_is_near_and_another_is_not() -> None:
    words = sentence(40, 1)
    text = text_signature(" ".join(words))
    assert jaccard(text, text_signature("Please: " + " ".join(words).upper() + "!")) >= NEAR_JACCARD
    assert jaccard(text, text_signature(" ".join([*words[:20], "but", *words[20:]]))) >= NEAR_JACCARD
    assert jaccard(text, text_signature(" ".join(sentence(40, 2)))) < 0.3


def test_signatures_do_not_change() -> None:
    """They are kept in files: the first number as it was first computed."""
    assert text_signature("a cat on a mat")[0] == FIRST


def test_odd_text_costs_neither_errors_nor_time() -> None:
    began = time.process_time()
    for text in ("\ud800 half a pair", "\x00\x1b[2J", "x" * 5_000_000, "\u0301" * 1_000_000):
        assert len(text_signature(text)) == 16
    assert time.process_time() - began < 5


FIRST = 2989133038216964497
