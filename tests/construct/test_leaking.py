"""Written before the patterns, by hand: what a person would say names one of the two responses, and what does not."""

from __future__ import annotations

import time

import pytest

from omnireward.construct.leaking import leaks

NAMED = (
    "Response A is clearer.",
    "It should be as short as response-b.",
    "The first answer is warmer.",
    "It should be lit like the left image.",
    "The image on the left should be sharper.",
    "Answer 1 gets the sum right.",
    '**Response** "A" stays on topic.',
    "ResponseA should be brief.",
    "RESPONSE B is formal.",
    "The second response explains more.",
    "The latter is more vivid.",
    "A should win since it is longer.",
    "A's tone should be warm.",
    "It should sound like ChatGPT.",
    "It should be in the style of GPT-4.",
    "Output #2 has the better rhymes.",
    "As model a does, it should be kind.",
    "Image A has more light.",
    "Ｒｅｓｐｏｎｓｅ Ａ is clear.",
    "The right-hand picture should be sharper.",
    "回答A更好",
    "左边的图更清晰",
    "It should be more polite than the other response.",
    "Video two moves smoothly.",
    "It should be neat, as response (b) is.",
    "The winning answer should be short.",
    "Response A’s style should be formal.",
    "response_a is fine in every line.",
    "Prefer B over A for its tone.",
)
UNNAMED = (
    "It should be warm from the first sentence on.",
    "The image should show a child on the left side.",
    "The answer should list three steps.",
    "The video should start with a sunrise.",
    "A response should cite its sources.",
    "The picture should have the cat on the right of the dog.",
    "The recording should have a calm voice.",
    "It should mention at least two reasons.",
    "A photograph of a cat should look natural.",
    "The answer should explain vitamin C deficiency.",
    "The response should give a second example.",
    "The image a viewer sees should be bright.",
    "The right tone for a child should be used.",
    "The object should be closed at the bottom.",
    "The model should have smooth surfaces.",
    "The first line should rhyme with the second line.",
    "图中应该有一只猫",
)


@pytest.mark.parametrize("criterion", NAMED)
def test_what_names_a_response_leaks(criterion: str) -> None:
    assert leaks(criterion)


@pytest.mark.parametrize("criterion", UNNAMED)
def test_what_does_not_is_let_through(criterion: str) -> None:
    assert not leaks(criterion)


def test_makers_that_the_source_names_leak() -> None:
    makers = frozenset({"zephyr-9b", "studio (v2)"})
    assert leaks("It should be as terse as Zephyr-9B.", makers)
    assert leaks("It should look like Studio (v2).", makers)
    assert not leaks("It should be as light as zephyr-9bc.", makers)


def test_time_is_linear_in_the_text() -> None:
    began = time.perf_counter()
    for text in ("response " * 2000, "a" * 20_000, "'s" * 10_000, "the first " * 2000, "[" * 20_000, "A " * 10_000):
        leaks(text)
    assert time.perf_counter() - began < 2
