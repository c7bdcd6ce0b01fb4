"""The page in a browser, used by mouse and keys: what it asks, and what it shows of the answers."""

from __future__ import annotations

import re
from typing import Any

import pytest
from tests.web.browser import Tab
from tests.web.fake import SERVED, Fake, refusal

ATTACK = "<img src=x onerror=document.title='taken'><b>bold</b>"


def fill(tab: Tab, prompt: str, responses: list[str], criterion: str = "") -> None:
    while tab.value("document.querySelectorAll('#responses .composer').length") < len(responses):
        tab.click("#add-response")
    while tab.value("document.querySelectorAll('#responses .composer').length") > len(responses):
        tab.click("#responses .composer:last-child .remove")
    tab.write("#prompt textarea", prompt)
    for i, response in enumerate(responses, 1):
        tab.write(f"#responses .composer:nth-child({i}) textarea", response)
    tab.write("#criteria input", criterion)


def ask(tab: Tab) -> None:
    tab.click("#ask")
    tab.wait("document.getElementById('answers').ariaBusy === 'false'")


def rows(tab: Tab) -> list[str]:
    return tab.texts("#rows .row")


def test_asks_what_is_on_the_form_and_shows_raw_rewards(tab: Tab, fake: Fake) -> None:
    # By the fake's rule, characters of the response + 4 of "kind" - 10: "four" gives -2, ten characters give 4.
    fill(tab, "Say hello.", ["four", "characters"], "kind")
    ask(tab)
    assert fake.asked == [
        (
            "/v1/rewards",
            {
                "prompt": [{"role": "user", "content": "Say hello."}],
                "responses": ["four", "characters"],
                "criteria": ["kind"],
                "pairs": True,
            },
        )
    ]
    assert rows(tab) == ["kind B leads by 6.000 A −2.000 B 4.000"]
    assert tab.text("#served") == "miniature-run · revision 0123456789ab"
    assert tab.text("#status").startswith("2 rewards · ")


def test_bars_go_left_and_right_of_one_line_at_zero(tab: Tab) -> None:
    # Rewards -2 and 4: the track is 6 wide, 0 lies at a third of it.
    fill(tab, "Say hello.", ["four", "characters"], "kind")
    ask(tab)
    boxes = tab.value(
        "[...document.querySelectorAll('.track')].map((track) => { const t = track.getBoundingClientRect();"
        "return ['.zero', '.fill'].map((name) => track.querySelector(name).getBoundingClientRect())"
        ".flatMap((b) => [(b.left - t.left) / t.width, (b.right - t.left) / t.width]); })"
    )
    for zero, _, left, right in boxes:
        assert zero == pytest.approx(1 / 3, abs=0.01)
        assert (left, right) in (pytest.approx((0, 1 / 3), abs=0.01), pytest.approx((1 / 3, 1), abs=0.01))
    assert boxes[0][2] < boxes[1][2]
    assert tab.value("[...document.querySelectorAll('.fill')].map((f) => f.classList.contains('best'))") == [
        False,
        True,
    ]


def test_criteria_tried_stand_below_each_other_and_a_ring_marks_the_move(tab: Tab) -> None:
    fill(tab, "Say hello.", ["characters"], "")
    ask(tab)
    assert rows(tab) == ["overall quality A 0.000"]
    tab.write("#criteria input", "kind")
    tab.press("Enter")
    tab.wait("document.querySelectorAll('.row').length === 2")
    assert rows(tab) == ["kind A 4.000 , in the row below 0.000", "overall quality A 0.000"]
    ring, zero = tab.value(
        "['.ring', '.zero'].map((n) => { const b = document.querySelector(n).getBoundingClientRect();"
        "return b.left + b.width / 2; })"
    )
    assert ring == pytest.approx(zero, abs=1)  # the row below has 0
    tab.write("#criteria input", "")
    ask(tab)
    assert [row.split(" A ")[0] for row in rows(tab)] == ["overall quality", "kind"]  # asked again: moved, not doubled


def test_several_criteria_are_one_request(tab: Tab, fake: Fake) -> None:
    fill(tab, "Say hello.", ["characters"], "kind")
    tab.click("#add-criterion")
    tab.write("#criteria li:nth-child(2) input", "brief")
    ask(tab)
    assert [body["criteria"] for _, body in fake.asked] == [["kind", "brief"]]
    assert [row.split(" A ")[0] for row in rows(tab)] == ["kind", "brief"]


def test_answers_about_other_content_are_marked_and_then_go(tab: Tab) -> None:
    fill(tab, "Say hello.", ["characters"], "kind")
    ask(tab)
    stale = "!document.getElementById('stale').hidden"
    assert not tab.value(stale)
    tab.write("#criteria input", "brief")
    assert not tab.value(stale)  # another criterion is what the history is for
    tab.write("#responses textarea", "other")
    assert tab.value(stale)
    tab.write("#responses textarea", "characters")
    assert not tab.value(stale)
    tab.write("#prompt textarea", "Say goodbye.")
    ask(tab)
    assert not tab.value(stale)
    assert len(rows(tab)) == 1


def test_a_response_without_a_reward_says_why_and_has_no_bar(tab: Tab, fake: Fake) -> None:
    problem = {"problem": {"kind": "media", "message": "the image is broken."}}
    fake.replies["/v1/rewards"] = 200, {**SERVED, "rewards": [[{"value": 1.5}, problem]], "raw": True}
    fill(tab, "Say hello.", ["a", "b"])
    ask(tab)
    assert rows(tab) == ["overall quality A 1.500 B no reward: media: the image is broken."]
    assert tab.text("#status").startswith("1 reward, and 1 without · ")
    assert tab.value("document.querySelectorAll('.fill').length") == 1


@pytest.mark.parametrize(
    "reply",
    [
        {**SERVED, "rewards": [[{"value": None}, {"value": 1.0}]]},
        {**SERVED, "rewards": [[{"value": "1.0"}, {"value": 1.0}]]},
        {**SERVED, "rewards": [[{"value": 1.0}]]},
        {**SERVED, "rewards": []},
        SERVED,
        [1.0, 2.0],
        None,
        b"<html>a proxy's page</html>",
    ],
)
def test_a_reply_that_is_none_becomes_no_number(tab: Tab, fake: Fake, reply: Any) -> None:
    fake.replies["/v1/rewards"] = 200, reply
    fill(tab, "Say hello.", ["a", "b"])
    ask(tab)
    assert tab.text("#status").startswith("The server's reply cannot be read: ")
    assert rows(tab) == []


@pytest.mark.parametrize(
    ("status", "reply", "words"),
    [
        (422, refusal("responses: too many"), "The server answered 422. responses: too many"),
        (413, refusal("at most 64 MiB"), "This is larger than the server takes. at most 64 MiB"),
        (429, refusal("full"), "The server is busy; ask again in 3 s. full"),
        (503, refusal("ending"), "The server is busy; ask again in 3 s. ending"),
        (500, b"no JSON", "The server answered 500."),
        (502, [], "The server answered 502."),
    ],
)
def test_refusals_are_told_in_words(tab: Tab, fake: Fake, status: int, reply: Any, words: str) -> None:
    fake.replies["/v1/rewards"], fake.headers = (status, reply), {"Retry-After": "3"}
    fill(tab, "Say hello.", ["a"])
    ask(tab)
    assert tab.text("#status") == words
    assert rows(tab) == []


def test_what_strangers_write_stays_text(tab: Tab, fake: Fake) -> None:
    problem = {"problem": {"kind": "failed", "message": ATTACK}}
    fake.replies["/v1/rewards"] = 200, {"model": ATTACK, "revision": "", "rewards": [[{"value": 1.0}, problem]]}
    fill(tab, ATTACK, [ATTACK, ATTACK], ATTACK)
    ask(tab)
    assert tab.text("#rows h3") == ATTACK
    assert ATTACK in tab.text("#rows .problem")
    assert tab.text("#served") == ATTACK
    tab.click("#tab-python")
    assert ATTACK in tab.text("#panel-python pre")
    assert tab.value("document.querySelectorAll('main img, b').length") == 0
    assert tab.value("document.title") == "omnireward playground"


def test_an_empty_place_is_named_and_nothing_is_asked(tab: Tab, fake: Fake) -> None:
    fill(tab, "Say hello.", ["a", " "])
    ask(tab)
    assert tab.text("#status") == "Response B is empty."
    assert tab.value("document.activeElement.ariaLabel") == "Response B, text"
    assert fake.asked == []


def test_responses_are_named_anew_when_one_goes(tab: Tab, fake: Fake) -> None:
    fill(tab, "Say hello.", ["one", "two", "three"])
    tab.click("#responses .composer:nth-child(2) .remove")
    assert tab.texts("#responses .name") == ["Response A", "Response B"]
    ask(tab)
    assert fake.asked[0][1]["responses"] == ["one", "three"]


def test_a_key_is_asked_for_sent_and_kept_nowhere(tab: Tab, fake: Fake) -> None:
    fake.key = "a-key-of-this-test"
    fill(tab, "Say hello.", ["a"])
    assert tab.value("document.getElementById('key-panel').hidden")
    ask(tab)
    assert tab.text("#status") == "The server asks for an API key."
    assert tab.value("document.activeElement.id") == "key"
    tab.write("#key", "wrong")
    ask(tab)
    assert tab.text("#status") == "The server refused this key."
    tab.write("#key", fake.key)
    tab.press("Enter")
    tab.wait("document.querySelectorAll('.row').length === 1")
    assert (
        tab.value("localStorage.length + sessionStorage.length + document.cookie.length + location.search.length") == 0
    )
    for name in ("curl", "python"):
        tab.click(f"#tab-{name}")
        code = tab.text(f"#panel-{name} pre")
        assert "OMNIREWARD_API_KEY" in code
        assert fake.key not in code


def test_a_request_can_be_stopped(tab: Tab, fake: Fake) -> None:
    fake.go_on.clear()
    fill(tab, "Say hello.", ["a"])
    tab.click("#ask")
    tab.wait("!document.getElementById('stop').hidden")
    tab.click("#ask")  # a second time changes nothing
    tab.click("#stop")
    tab.wait("document.getElementById('answers').ariaBusy === 'false'")
    assert tab.text("#status") == "Stopped."
    assert len(fake.asked) <= 1
    fake.go_on.set()
    ask(tab)
    assert len(rows(tab)) == 1


def test_no_server_is_told_in_words(tab: Tab) -> None:
    fill(tab, "Say hello.", ["a"])
    tab.offline(True)
    ask(tab)
    assert re.fullmatch(r"No answer from 127\.0\.0\.1:\d+\. Is the server still running\?", tab.text("#status"))


def test_the_example_can_be_asked_at_once(tab: Tab, fake: Fake) -> None:
    tab.click("#example")
    ask(tab)
    (path, body) = fake.asked[0]
    assert (path, len(body["responses"]), len(body["criteria"])) == ("/v1/rewards", 2, 2)
    assert len(rows(tab)) == 2
