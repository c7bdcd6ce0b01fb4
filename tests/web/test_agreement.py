"""The page and the server's schema agree: one reads what the other writes, in both directions."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
from tests.serve.protocols.plain import PlainInline
from tests.web.browser import Tab
from tests.web.fake import Fake, refusal
from tests.web.test_playground import ask, fill, rows

from omnireward.serve import replies, schema
from omnireward.serve.asking import Ask, Problem, Reward, Served
from omnireward.types import Comparison, Judgement, Media, Text, Turn

SERVED = Served(model="a-run", revision="0123456789abcdef", request="r-1", created=1_800_000_000)
SOUND = bytes(range(200))


def form(tab: Tab, folder: Path) -> None:
    (folder / "a.wav").write_bytes(SOUND)
    fill(tab, "Say hello.", ["hello", ""], "kind")
    tab.choose("#responses .composer:nth-child(2) input[type=file]", [folder / "a.wav"])
    tab.wait("document.querySelector('.no-preview')")


PROMPT = (Turn("user", (Text("Say hello."),)),)
RESPONSES = ((Text("hello"),), (Media("audio", SOUND),))


def test_about_rewards(tab: Tab, fake: Fake, tmp_path: Path) -> None:
    rewards: list[list[Reward]] = [[0.25, Problem("media", "the sound is broken.")]]
    fake.replies["/v1/rewards"] = 200, schema.REWARDS.write({}, rewards, SERVED)
    form(tab, tmp_path)
    ask(tab)
    ((path, body),) = fake.asked
    assert path == schema.REWARDS.path
    assert schema.REWARDS.read(body, PlainInline()) == [Ask(PROMPT, RESPONSES, "kind")]
    assert rows(tab) == ["kind A 0.250 B no reward: media: the sound is broken."]
    assert tab.text("#served") == "a-run · revision 0123456789ab"


def test_about_pairs(tab: Tab, fake: Fake) -> None:
    """With t = log 2 and a margin of 0, x = 2 and y = (sqrt(12) - 2) / 4 = 0.366: P(a) = y / (1 + y) = 0.268."""
    known = replace(SERVED, tie_threshold=math.log(2))
    for served, words in ((known, "A better 27 %, tie 46 %, B better 27 %"), (SERVED, "A better 50 %, B better 50 %")):
        fake.replies["/v1/rewards"] = 200, schema.REWARDS.write({"pairs": True}, [[0.25, 0.25]], served)
        fill(tab, "Say hello.", ["hello", "hi"], "kind")
        ask(tab)
        assert fake.asked[-1][1]["pairs"] is True
        assert schema.REWARDS.read(fake.asked[-1][1], PlainInline())
        assert rows(tab) == [f"kind A and B are equal A 0.250 B 0.250 {words}"]


@pytest.mark.parametrize(
    ("judgement", "words"),
    [
        (
            Judgement(0.0, probabilities=(0.25, 0.5, 0.25), verdict="tie", rationale="Both do."),
            "Neither is better: a tie",
        ),
        (Judgement(2.0, rewards=(1.5, -0.5)), "Response A is better margin, A − B 2.000 reward of A 1.500"),
        (Judgement(None), "No verdict"),
        (Judgement(None, error="no answer came."), "No verdict: failed: no answer came."),
        (Problem("deadline", "too late."), "No verdict: deadline: too late."),
    ],
)
def test_about_judgements(tab: Tab, fake: Fake, tmp_path: Path, judgement: Judgement | Problem, words: str) -> None:
    fake.replies["/v1/rewards"] = 501, refusal("it compares")
    fake.replies["/v1/judgements"] = 200, replies.write_judgement(judgement, SERVED)
    form(tab, tmp_path)
    ask(tab)
    (_, (_, body)) = fake.asked
    assert schema.read_judgement(body, PlainInline()) == Comparison(PROMPT, *RESPONSES, "kind")
    assert rows(tab)[0].startswith(f"kind {words}")
