"""The annotation page: who is here, votes by keys, answers that outlive the server, taking back, and the end."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.web.browser import Browser
from tests.web.fake_annotate import NAME, Study, studying, text, vote
from tests.web.visitor import Visitor, visiting

ATTACK = '<img src=x onerror="document.title=1"><script>document.title=2</script>&amp;\u202e"\'`{{x}}<|im_end|>'
WORDS = [text("One.")], [text("Two.")]


@pytest.fixture
def study() -> Iterator[Study]:
    with studying(Study([vote(f"v{i}", *WORDS) for i in range(8)])) as made:
        yield made


@pytest.fixture
def ann(chromium: Browser, study: Study) -> Iterator[Visitor]:
    with visiting(chromium) as visitor:
        yield visitor


def at(visitor: Visitor, number: int, of: int = 8) -> None:
    """Wait until an item takes answers."""
    visitor.wait(f"document.getElementById('number')?.textContent === '{number} of {of}'")
    visitor.ready()


def begin(visitor: Visitor, study: Study) -> None:
    visitor.goto(study.link)
    visitor.ready()


def sides(study: Study) -> list[str]:
    return [answer["side"] for _, answer, _ in study.answers.values()]


def test_a_link_logs_in_and_leaves_no_trace(ann: Visitor, study: Study) -> None:
    begin(ann, study)
    assert ann.value("location.href") == f"{study.url}/"
    assert ann.text("#name") == NAME
    assert (
        ann.value("document.cookie + Object.values(localStorage).join() + history.length") == "2"
    )  # the cookie is hidden
    assert ann.text("#task") == "Text to image"
    assert ann.text("#criterion") == "The cup should be full."
    assert [" ".join(ann.text(f"#{part}").split()) for part in ("prompt", "left", "right")] == [
        "PROMPT Draw a cup of tea.",
        "LEFT One.",
        "RIGHT Two.",
    ]


def test_without_a_link_or_with_a_wrong_one_it_is_asked_for(ann: Visitor, study: Study) -> None:
    ann.goto(study.url)
    ann.wait("document.getElementById('link')")
    assert ann.text("#screen h1") == "Your link, please"
    ann.write("#link", "nonsense")
    ann.key("Enter")
    ann.wait("document.body?.innerText.includes('This link does not work: no such link.')")
    ann.write("#link", study.link)
    ann.key("Enter")
    at(ann, 1)


def test_each_key_is_its_vote(ann: Visitor, study: Study) -> None:
    begin(ann, study)
    for number, key in enumerate(["1", "2", "0", "ArrowLeft", "ArrowRight", "t", "T"], 1):
        at(ann, number)
        ann.key(key)
    at(ann, 8)
    ann.click(".choice.right")
    ann.wait("document.querySelector('#screen h1')?.textContent === 'All done'")
    assert sides(study) == ["left", "right", "tie", "left", "right", "tie", "tie", "right"]
    assert [item for item, _, _ in study.answers.values()] == [f"v{i}" for i in range(8)]
    # The time in view: at least the moment in which a key counts for nothing, and not the whole test's.
    assert all(0.2 <= seconds < 30 for _, _, seconds in study.answers.values())


def test_a_key_pressed_twice_is_one_vote(ann: Visitor, study: Study) -> None:
    begin(ann, study)
    ann.value(
        "(() => { for (let i = 0; i < 4; i += 1) document.body.dispatchEvent(new KeyboardEvent('keydown',"
        " {key: '1', bubbles: true, repeat: i > 2})); })()"
    )
    at(ann, 2)
    assert sides(study) == ["left"]


def test_space_and_enter_do_not_press_the_button_that_was_clicked(ann: Visitor, study: Study) -> None:
    begin(ann, study)
    ann.click(".choice.left")
    at(ann, 2)
    ann.key(" ")
    ann.key("Enter")
    ann.key("2")
    at(ann, 3)
    assert sides(study) == ["left", "right"]


@pytest.mark.parametrize("mode", ["away", "deaf", "lossy"])
def test_an_answer_reaches_a_server_that_was_away_once(ann: Visitor, study: Study, mode: str) -> None:
    begin(ann, study)
    study.mode = mode  # type: ignore[assignment]
    ann.key("2")
    ann.wait("document.getElementById('saved')?.textContent?.startsWith('Not saved yet')")
    assert ann.value("document.querySelector('.choice.right').ariaPressed") == "true"
    ann.key("1")  # what is on its way is not changed
    study.mode = ""
    at(ann, 2)
    assert ann.text("#saved") == "Saved"
    assert sides(study) == ["right"]
    assert len(set(study.keys)) == 1
    assert len(study.keys) == {"away": 1, "deaf": 1}.get(mode, len(study.keys))
    assert ann.value("Object.keys(localStorage).length") == 0


def test_an_answer_outlives_the_page(ann: Visitor, study: Study) -> None:
    begin(ann, study)
    study.mode, study.only = "lossy", "/api/answer"  # it is saved, and the page does not know
    ann.key("2")
    ann.wait("document.getElementById('saved')?.textContent?.startsWith('Not saved yet')")
    sent = len(study.keys)
    ann.send("Page.reload")
    ann.wait("document.getElementById('saved')?.textContent?.startsWith('Not saved yet')")
    study.mode = ""
    at(ann, 2)
    assert len(study.keys) > sent
    assert len(set(study.keys)) == 1
    assert sides(study) == ["right"]


def test_the_page_waits_for_a_server_that_is_away_from_the_start(ann: Visitor, study: Study) -> None:
    study.mode = "away"
    ann.goto(study.link)
    ann.wait("document.getElementById('saved')?.textContent?.startsWith('No answer from the server')")
    study.mode = ""
    at(ann, 1)
    assert ann.text("#saved") == ""


def test_an_answer_given_elsewhere_is_told_and_passed_over(ann: Visitor, study: Study) -> None:
    begin(ann, study)
    study.answers["another tab's"] = "v0", {"side": "tie"}, 1.0
    ann.key("1")
    at(ann, 2)
    assert ann.text("#notice") == "you have answered this item already."
    assert sides(study) == ["tie"]


def test_a_refused_answer_can_be_given_anew(ann: Visitor, study: Study) -> None:
    begin(ann, study)
    study.refuse["/api/answer"] = 400, "'side' is not what it should be."
    ann.key("1")
    ann.wait("document.getElementById('notice').textContent.startsWith('Not taken')")
    assert ann.text("#notice") == "Not taken: 'side' is not what it should be."
    study.refuse.clear()
    ann.key("2")
    at(ann, 2)
    assert sides(study) == ["right"]
    assert ann.value("Object.keys(localStorage).length") == 0


def test_who_is_logged_out_meanwhile_loses_nothing(ann: Visitor, study: Study) -> None:
    begin(ann, study)
    study.refuse["/api/answer"] = 401, "you are not logged in."
    ann.key("1")
    ann.wait("document.getElementById('link')")
    study.refuse.clear()
    ann.write("#link", study.link)
    ann.key("Enter")
    at(ann, 2)
    assert sides(study) == ["left"]


def test_undo_shows_the_old_answer_and_the_new_one_counts(ann: Visitor, study: Study) -> None:
    begin(ann, study)
    ann.key("u")
    ann.wait("document.getElementById('notice').textContent === 'there is nothing to take back.'")
    ann.key("1")
    at(ann, 2)
    ann.key("u")
    at(ann, 1)
    assert ann.text("#notice") == "Taken back: Left is better. Answer it again."
    pressed = "[...document.querySelectorAll('.choice')].map((e) => e.ariaPressed)"
    assert ann.value(pressed) == ["true", "false", "false"]
    assert sides(study) == []
    ann.key("0")
    at(ann, 2)
    assert ann.value(pressed) == ["false"] * 3
    assert sides(study) == ["tie"]


def test_at_the_end_the_last_answer_can_still_be_taken_back(ann: Visitor, study: Study) -> None:
    del study.items[1:]
    study.state = {"median_seconds": 4.25}
    begin(ann, study)
    ann.key("1")
    ann.wait("document.querySelector('#end-figures dl')")
    assert ann.texts("#screen dl")[0] == "Done 1 Left 0 Typical time 4.3 s"
    ann.key("u")
    at(ann, 1, 1)
    ann.key("2")
    ann.wait("document.querySelector('#end-figures dl')")
    assert sides(study) == ["right"]


def test_the_panel_shows_counts_and_agreement(ann: Visitor, study: Study) -> None:
    study.state = {
        "agreement": {"alpha": -0.701, "low": -0.8, "high": 0.78, "votes": 312},
        "pairs": [{"who": ["Ann", ATTACK], "same": 12, "both": 16}],
        "yield": {"criteria": 40, "valid": 31, "agreed": 25, "dropped": {"vague": 6, "no consensus": 6}},
    }
    begin(ann, study)
    ann.key("p")
    ann.wait("document.querySelector('#figures dl')")
    shown = " ".join(ann.text("#figures").split())
    for words in (
        "alpha −0.70",
        "interval −0.80 to 0.78",
        "Votes 312",
        "12 of 16 75 %",
        "Written 40",
        "Valid 31 · 78 %",
    ):
        assert words in shown
    assert "Dropped: vague 6, no consensus 6." in shown
    assert ATTACK in ann.value("document.querySelector('#figures').textContent")
    ann.key("2")  # no vote from behind it
    ann.key("Escape")
    ann.wait("!document.getElementById('progress').open")
    ann.key("1")
    at(ann, 2)
    assert sides(study) == ["left"]


def test_the_help_tells_the_keys(ann: Visitor, study: Study) -> None:
    begin(ann, study)
    ann.key("?")
    ann.wait("document.getElementById('help').open")
    assert "left is better" in ann.text("#keys")
    ann.key("Escape")
    ann.wait("!document.getElementById('help').open")
    assert sides(study) == []


@pytest.mark.parametrize("kind", ["vote", "adjudicate"])
def test_what_others_wrote_stays_text(ann: Visitor, study: Study, kind: str) -> None:
    hostile = {"criterion": ATTACK, "task": ATTACK, "prompt": [{"role": ATTACK, "content": [text(ATTACK)]}] * 2}
    medium = {"kind": "image", "url": "javascript:alert(1)", "note": ATTACK}
    strange = {"kind": ATTACK, "url": "https://example.org/x.png"}
    broken = {"kind": "audio", "url": "", "error": ATTACK}
    one = vote("v", [text(ATTACK), medium], [broken, strange], kind=kind, votes={"left": 1}, **hostile)
    study.items[:] = [one]
    begin(ann, study)
    assert ann.value("document.querySelector('#criterion').textContent") == ATTACK
    assert ann.value("document.querySelector('#left .text').textContent") == ATTACK
    assert ann.value("document.querySelectorAll('#work img, #work script, #work audio').length") == 0
    assert ann.texts("#work .problem") == [
        "This image cannot be shown: it has no address on this server.",
        " ".join(f"This sound cannot be shown: {ATTACK}".split()),
        "This part cannot be shown: this page does not know its kind.",
    ]
    assert ann.value("document.title") == "omnireward annotation"
    assert all(path.startswith(("/api/", "/annotate/")) or path == "/" for path in study.asked)


def test_an_adjudicator_sees_how_many_said_what(ann: Visitor, study: Study) -> None:
    study.items[:] = [vote("v", *WORDS, kind="adjudicate", votes={"left": 1, "right": 2, "tie": 0})]
    begin(ann, study)
    assert ann.texts(".votes") == ["1 vote", "0 votes", "2 votes"]
    ann.key("2")
    ann.wait("document.querySelector('#screen h1')?.textContent === 'All done'")
    assert sides(study) == ["right"]
