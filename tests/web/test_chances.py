"""How likely one of two responses is to be better, below their bars."""

from __future__ import annotations

from typing import Any

import pytest
from tests.web.browser import Tab
from tests.web.fake import SERVED, Fake
from tests.web.test_playground import ask, fill, rows


def answered(
    fake: Fake, *chances: tuple[float, float, float], threshold: float | None = None, ties: str | None = None
) -> None:
    pairs = [
        [{"a": 0, "b": 1, "margin": 1.0, "probabilities": dict(zip(("a", "tie", "b"), one, strict=True))}]
        for one in chances
    ]
    rewards = [[{"value": 2.0}, {"value": 1.0}] for _ in chances]
    source = {"ties": ties, "tie_threshold": threshold}
    fake.replies["/v1/rewards"] = 200, {**SERVED, "rewards": rewards, "pairs": pairs, **source}


@pytest.mark.parametrize(
    ("chances", "threshold", "words"),
    [
        ((0.62, 0.13, 0.25), 0.5, "A better 62 %, tie 13 %, B better 25 %"),
        ((0.62, 0.13, 0.25), 0.0, "A better 62 %, tie 13 %, B better 25 %"),
        ((0.731, 0.0, 0.269), None, "A better 73 %, B better 27 %"),  # nobody measured ties
        ((1.0, 0.0, 0.0), None, "A better > 99 %, B better < 1 %"),  # nothing is certain
        ((0.004, 0.006, 0.99), 0.5, "A better < 1 %, tie 1 %, B better 99 %"),
    ],
)
def test_two_responses_have_a_line_of_chances(
    tab: Tab, fake: Fake, chances: tuple[float, float, float], threshold: float | None, words: str
) -> None:
    answered(fake, chances, threshold=threshold)
    fill(tab, "Say hello.", ["one", "two"], "kind")
    ask(tab)
    assert rows(tab) == [f"kind A leads by 1.000 A 2.000 B 1.000 {words}"]


def test_a_tie_head_knows_ties_without_a_threshold(tab: Tab, fake: Fake) -> None:
    answered(fake, (0.62, 0.13, 0.25), ties="head")
    fill(tab, "Say hello.", ["one", "two"], "kind")
    ask(tab)
    assert tab.texts(".chances") == ["A better 62 %, tie 13 %, B better 25 %"]


def test_each_criterion_has_its_own(tab: Tab, fake: Fake) -> None:
    answered(fake, (0.6, 0.1, 0.3), (0.2, 0.1, 0.7), threshold=0.5)
    fill(tab, "Say hello.", ["one", "two"], "kind")
    tab.click("#add-criterion")
    tab.write("#criteria li:nth-child(2) input", "brief")
    ask(tab)
    assert tab.texts(".chances") == ["A better 60 %, tie 10 %, B better 30 %", "A better 20 %, tie 10 %, B better 70 %"]


@pytest.mark.parametrize("count", [1, 3])
def test_one_response_has_none_and_more_than_two_are_not_asked_for_theirs(tab: Tab, fake: Fake, count: int) -> None:
    fill(tab, "Say hello.", ["word"] * count)
    ask(tab)
    assert "pairs" not in fake.asked[0][1]
    assert tab.texts(".chances") == []


def test_a_pair_without_a_reward_has_none(tab: Tab, fake: Fake) -> None:
    problem = {"problem": {"kind": "media", "message": "broken."}}
    said: dict[str, Any] = {"rewards": [[{"value": 1.5}, problem]], "pairs": [[]], "tie_threshold": None}
    fake.replies["/v1/rewards"] = 200, {**SERVED, **said}
    fill(tab, "Say hello.", ["one", "two"])
    ask(tab)
    assert rows(tab) == ["overall quality A 1.500 B no reward: media: broken."]


@pytest.mark.parametrize(
    "pairs",
    [
        None,
        [],
        [None],
        [[{}, {}]],
        [[None]],
        [[{"probabilities": None}]],
        [[{"probabilities": {"a": 0.5, "b": 0.5}}]],
        [[{"probabilities": {"a": 1.5, "tie": 0.0, "b": -0.5}}]],
        [[{"probabilities": {"a": "0.5", "tie": 0.0, "b": 0.5}}]],
    ],
)
def test_what_is_no_probability_is_not_shown(tab: Tab, fake: Fake, pairs: Any) -> None:
    reply = {**SERVED, "rewards": [[{"value": 2.0}, {"value": 1.0}]], "pairs": pairs, "tie_threshold": None}
    fake.replies["/v1/rewards"] = 200, reply
    fill(tab, "Say hello.", ["one", "two"])
    ask(tab)
    assert tab.text("#status").startswith("The server's reply cannot be read: ")
    assert rows(tab) == []
