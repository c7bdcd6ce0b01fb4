"""The page and the server's schema agree: one reads what the other writes, in both directions."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from tests.web.browser import Tab
from tests.web.fake import Fake, refusal
from tests.web.test_playground import ask, fill, rows

from omnireward.types import Comparison, Judgement, Media, Text, Turn

pytest.importorskip("fastapi")
from omnireward.serve import schema
from omnireward.serve.asking import Ask, Problem, Reward, Served

SERVED = Served(model="a-run", revision="0123456789abcdef", request="r-1", created=1_800_000_000)
SOUND = bytes(range(200))


class Decoding:
    """Base64 to media; the page sends nothing else."""

    def base64(self, kind: str, data: str, field: str) -> Media:
        return Media(kind, base64.b64decode(data, validate=True))  # type: ignore[arg-type]

    def url(self, kind: str, url: str, field: str) -> Media:
        raise AssertionError(f"{field}: {url}")


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
    assert schema.REWARDS.read(body, Decoding()) == [Ask(PROMPT, RESPONSES, "kind")]
    assert rows(tab) == ["kind A 0.250 B no reward: media: the sound is broken."]
    assert tab.text("#served") == "a-run · revision 0123456789ab"


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
    fake.replies["/v1/judgements"] = 200, schema.write_judgement(judgement, SERVED)
    form(tab, tmp_path)
    ask(tab)
    (_, (_, body)) = fake.asked
    assert schema.read_judgement(body, Decoding()) == Comparison(PROMPT, *RESPONSES, "kind")
    assert rows(tab)[0].startswith(f"kind {words}")
