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
    "Favor A for its tone.",
    "Both responses should be polite, but A more so.",
    "Between responses A and B, the polite one wins.",
    "The response labelled B should be shorter.",
    "It should be the one shown first.",
    "It should be the response shown on the left.",
    "The image on the right side should be brighter.",
    "It should be the longer of both answers.",
    "The better of the two should be short.",
    "The right image should be brighter.",
    "It should be as concise as Claude 3 Opus.",
    "It should sound like Claude.",
    "Die Antwort A sollte kürzer sein.",
    "Das erste Bild sollte heller sein.",
    "Antwort 1 sollte freundlicher sein.",
    "第二个回答更好",
    "回答一更好",
    "图片1更清晰",
    "后者更清楚",
    "右の画像は明るい",
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
    "It should arrive at the right answer.",
    "It should explain why the right choice depends on age.",
    "The response answers two of the user's questions.",
    "It edits one thing only: the sky.",
    "The video tracks one subject throughout.",
    "The result one would expect should be stated first.",
    "It should leave all other objects unchanged.",
    "The recording should be free of other sounds.",
    "It should offer other options as well.",
    "The object on the left should be a red cup.",
    "The picture on the right wall should hang straight.",
    "It should have lower image quality, as an old film has.",
    "It should match the requested image. A child should be in it.",
    "A can of soda should stand on the table.",
    "It should cover the topic from A to Z.",
    "It should mention that vitamin B is found in meat.",
    "It should name the former president.",
    "It should name the winning team.",
    "The photo should be a close-up of one flower.",
    "It should be in the style of Claude Monet.",
    "It should look like a painting by Kandinsky.",
    "The llama should stand on grass.",
    "It should name the Gemini constellation.",
    "La imagen debe mostrar un gato.",
    "L'image doit montrer un chat sur un canapé.",
    "Die Antwort sollte alle drei Fragen des Nutzers beantworten.",
    "Das Bild sollte links einen Baum und rechts ein Haus zeigen.",
    "图片一定要清晰",
    "图像一眼就能看出是猫",
    "视频一开始应该是日出",
    "视频1080p以上的分辨率",
    "左边的图案应该对称",
    "图片AI生成感不能太强",
    "回答一步一步地解释",
    "回答1个问题就够了",
    "画像には猫が写っているべきだ",
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
