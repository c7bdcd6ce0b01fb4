"""The page where the server's judge gives verdicts and no rewards: /v1/rewards answers 501."""

from __future__ import annotations

from typing import Any

import pytest
from tests.web.browser import Tab
from tests.web.fake import SERVED, Fake, refusal
from tests.web.test_playground import ask, fill, rows


@pytest.fixture(autouse=True)
def compares_only(fake: Fake) -> None:
    fake.replies["/v1/rewards"] = 501, refusal("ask /v1/judgements")


def judged(fake: Fake, **said: Any) -> None:
    fake.replies["/v1/judgements"] = 200, {**SERVED, "judgement": {"margin": None, **said}}


def test_two_responses_are_compared_and_the_rationale_is_shown(tab: Tab, fake: Fake) -> None:
    judged(fake, margin=1.0, verdict="a", rationale="A is kinder.\n<b>B</b> is not.")
    fill(tab, "Say hello.", ["one", "two"], "kind")
    ask(tab)
    body = {
        "prompt": [{"role": "user", "content": "Say hello."}],
        "response_a": "one",
        "response_b": "two",
        "criterion": "kind",
    }
    assert [path for path, _ in fake.asked] == ["/v1/rewards", "/v1/judgements"]
    assert fake.asked[1][1] == body
    assert rows(tab) == ["kind Response A is better margin, A − B 1.000 A is kinder. <b>B</b> is not."]
    assert tab.text("#ask") == "Ask for a verdict"
    assert tab.text("#status").startswith("This judge gives verdicts, not rewards · ")
    ask(tab)  # what the judge is was learnt from the first reply
    assert [path for path, _ in fake.asked] == ["/v1/rewards", "/v1/judgements", "/v1/judgements"]
    tab.click("#tab-curl")
    assert "/v1/judgements" in tab.text("#panel-curl pre")


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"margin": -1.0, "verdict": "b"}, "Response B is better margin, A − B −1.000"),
        ({"margin": 0.0, "verdict": "tie"}, "Neither is better: a tie margin, A − B 0.000"),
        ({"margin": 0.5}, "Response A is better margin, A − B 0.500"),
        ({"rationale": "Who knows."}, "No verdict Who knows."),
        (
            {"margin": -0.25, "probabilities": {"a": 0.25, "tie": 0.25, "b": 0.5}},
            "Response B is better margin, A − B −0.250 P(A) 0.250 P(tie) 0.250 P(B) 0.500",
        ),
        (
            {"margin": 2.0, "rewards": {"a": 3.0, "b": 1.0}},
            "Response A is better margin, A − B 2.000 reward of A 3.000",
        ),
    ],
)
def test_what_a_judge_says_is_put_in_words(tab: Tab, fake: Fake, said: dict[str, Any], words: str) -> None:
    judged(fake, **said)
    fill(tab, "Say hello.", ["one", "two"])
    ask(tab)
    assert rows(tab)[0].startswith(f"overall quality {words}")


def test_no_judgement_is_no_verdict(tab: Tab, fake: Fake) -> None:
    problem = {"kind": "failed", "message": "no answer came."}
    fake.replies["/v1/judgements"] = 200, {**SERVED, "problem": problem}
    fill(tab, "Say hello.", ["one", "two"])
    ask(tab)
    assert rows(tab) == ["overall quality No verdict: failed: no answer came."]
    fake.replies["/v1/judgements"] = 200, SERVED
    ask(tab)
    assert tab.text("#status") == "The server's reply cannot be read: it holds no judgement."


def test_one_response_is_too_few_and_of_three_two_are_asked(tab: Tab, fake: Fake) -> None:
    judged(fake, margin=1.0, verdict="a")
    fill(tab, "Say hello.", ["one"])
    ask(tab)
    assert tab.text("#status") == "This judge compares two responses: add another one."
    fill(tab, "Say hello.", ["one", "two", "three"])
    ask(tab)
    assert "only A and B were asked" in tab.text("#status")
    assert fake.asked[-1][1]["response_b"] == "two"


def test_each_criterion_is_a_request_and_the_first_ends_on_top(tab: Tab, fake: Fake) -> None:
    judged(fake, margin=1.0, verdict="a")
    fill(tab, "Say hello.", ["one", "two"], "kind")
    tab.click("#add-criterion")
    tab.write("#criteria li:nth-child(2) input", "brief")
    ask(tab)
    assert [body["criterion"] for path, body in fake.asked if path == "/v1/judgements"] == ["brief", "kind"]
    assert [row.split(" Response")[0] for row in rows(tab)] == ["kind", "brief"]
