"""Writing and checking criteria on the annotation page; drafts; colours that can be read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.web.browser import Browser
from tests.web.fake_annotate import Study, studying, text, vote
from tests.web.visitor import Visitor, visiting

WORDS = [text("One.")], [text("Two.")]
DONE = "document.querySelector('#screen h1')?.textContent === 'All done'"
FIELDS = "[...document.querySelectorAll('#criteria textarea')].map((e) => e.value)"


@pytest.fixture
def study() -> Iterator[Study]:
    with studying(Study()) as made:
        yield made


@pytest.fixture
def ann(chromium: Browser, study: Study) -> Iterator[Visitor]:
    with visiting(chromium) as visitor:
        yield visitor


def begin(visitor: Visitor, study: Study, kind: str, **window: str) -> None:
    study.items[:] = [vote("w", *WORDS, kind=kind, most=3)]
    visitor.goto(study.link, **window)  # type: ignore[arg-type]
    visitor.ready()


def answers(study: Study) -> list[object]:
    return [answer for _, answer, _ in study.answers.values()]


def type_(visitor: Visitor, words: str) -> None:
    visitor.send("Input.insertText", text=words)


def test_criteria_are_written_by_keys_alone(ann: Visitor, study: Study) -> None:
    begin(ann, study, "write")
    assert ann.text("#ask") == "By what might somebody prefer one of these responses?"
    ann.value("document.querySelector('#criteria textarea').focus()")
    type_(ann, "It should be short.")
    for key in "120tuz? ":  # typed, and nothing else
        ann.key(key)
    ann.key("Enter")
    type_(ann, "It should rhyme.")
    ann.key("Escape")
    ann.key("a")
    type_(ann, " ")
    ann.key("Escape")
    ann.key("a")
    assert ann.text("#notice") == "At most 3 criteria here."
    ann.key("Enter")
    ann.wait(DONE)
    assert answers(study) == [{"criteria": ["It should be short.120tuz?", "It should rhyme."]}]


def test_an_unfinished_answer_is_saved_and_comes_back(ann: Visitor, study: Study) -> None:
    begin(ann, study, "write")
    ann.write("#criteria textarea", "It should be sh")
    ann.wait("document.getElementById('notice').textContent === 'Draft saved.'")
    assert study.drafts["w"] == {"criteria": ["It should be sh"]}
    assert ann.value("Object.keys(localStorage).length") == 0
    study.mode, study.only = "away", "/api/draft"
    ann.write("#criteria textarea", "It should be shorter.")
    ann.wait("document.getElementById('notice').textContent.startsWith('Draft kept in this browser only.')")
    ann.send("Page.reload")
    ann.wait("document.getElementById('answers')?.ariaBusy === 'false'")
    assert ann.value(FIELDS) == ["It should be shorter."]
    study.mode = ""
    ann.wait("document.getElementById('notice').textContent === 'Draft saved.'")
    assert study.drafts["w"] == {"criteria": ["It should be shorter."]}


def test_what_is_refused_stays_to_be_mended(ann: Visitor, study: Study) -> None:
    begin(ann, study, "write")
    ann.write("#criteria textarea", "short")
    assert ann.texts(".doubt") == ["Is this a full sentence?"]
    study.refuse["/api/answer"] = 400, "'short': write at least one full sentence."
    ann.key("Enter", control=True)
    ann.wait("document.getElementById('notice').textContent.startsWith('Not taken')")
    assert ann.value(FIELDS) == ["short"]
    study.refuse.clear()
    ann.write("#criteria textarea", "It should be short.")
    assert ann.texts(".doubt") == [""]
    ann.key("Enter", control=True)
    ann.wait(DONE)
    assert answers(study) == [{"criteria": ["It should be short."]}]


def test_nothing_to_say_is_asked_twice(ann: Visitor, study: Study) -> None:
    begin(ann, study, "write")
    ann.key("Enter")
    assert ann.text("#notice") == "Nothing is written. Send again if there is nothing to say."
    assert answers(study) == []
    ann.key("Enter")
    ann.wait(DONE)
    assert answers(study) == [{"criteria": []}]


def test_criteria_can_be_removed_and_taken_back(ann: Visitor, study: Study) -> None:
    study.drafts["w"] = {"criteria": ["One is kept.", "One is removed."]}
    begin(ann, study, "write")
    assert ann.value(FIELDS) == ["One is kept.", "One is removed."]
    ann.click("#criteria li:nth-child(2) button")
    assert ann.value(FIELDS) == ["One is kept."]
    ann.click("#answers .main")
    ann.wait(DONE)
    ann.key("u")
    ann.ready()
    assert ann.value(FIELDS) == ["One is kept."]
    assert answers(study) == []


@pytest.mark.parametrize(("key", "verdict"), [("1", "ok"), ("2", "vague"), ("3", "specific")])
def test_a_criterion_is_checked_by_a_key(ann: Visitor, study: Study, key: str, verdict: str) -> None:
    begin(ann, study, "check")
    assert ann.text("#criterion") == "The cup should be full."
    ann.key(key)
    ann.wait(DONE)
    assert answers(study) == [{"verdict": verdict, "note": ""}]


def test_another_fault_needs_a_note(ann: Visitor, study: Study) -> None:
    begin(ann, study, "check")
    ann.key("4")
    assert ann.text("#notice") == "Say in the note what is wrong, then press Enter."
    type_(ann, "Two in one.")
    ann.key("1")  # typed
    ann.wait("document.getElementById('notice').textContent === 'Draft saved.'")
    assert study.drafts["w"] == {"verdict": "other", "note": "Two in one.1"}
    ann.key("Enter")
    ann.wait(DONE)
    assert answers(study) == [{"verdict": "other", "note": "Two in one.1"}]


def test_a_note_goes_with_any_verdict(ann: Visitor, study: Study) -> None:
    begin(ann, study, "check")
    ann.key("n")
    type_(ann, "Nearly fine.")
    ann.key("Escape")
    ann.key("2")
    ann.wait(DONE)
    assert answers(study) == [{"verdict": "vague", "note": "Nearly fine."}]


def test_everything_has_a_name_that_is_read_out(ann: Visitor, study: Study) -> None:
    begin(ann, study, "write")
    nodes = ann.send("Accessibility.getFullAXTree")["nodes"]
    wanted = {"button", "textbox", "progressbar", "group", "region", "form", "figure", "image"}
    found = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n["ignored"]]
    assert [role for role, name in found if role in wanted - {"group", "figure"} and not name] == []
    for expected in (("textbox", "Criterion 1"), ("region", "Left response"), ("progressbar", "Your items done")):
        assert expected in found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_words_stand_out_from_their_ground(ann: Visitor, study: Study, scheme: str) -> None:
    """WCAG 2.2, 1.4.3: at least 4.5 to 1, by the formula of its relative luminance."""
    begin(ann, study, "check", prefers_color_scheme=scheme)
    colour = "getComputedStyle(document.documentElement).getPropertyValue"

    def luminance(name: str) -> float:
        digits = ann.value(f"{colour}('--{name}').trim()").removeprefix("#")
        wide = digits if len(digits) == 6 else "".join(digit * 2 for digit in digits)
        parts = [int(wide[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    pairs = [(word, ground) for word in ("ink", "muted") for ground in ("ground", "panel", "soft")]
    pairs += [("bad", "bad-soft"), ("warn", "warn-soft"), ("warn", "panel"), ("good", "panel")]
    pairs += [("on-first", "first"), ("ink", "first-soft")]
    for pair in pairs:
        low, high = sorted(luminance(name) for name in pair)
        assert (high + 0.05) / (low + 0.05) >= 4.5, pair
    assert (luminance("ground") < 0.1) is (scheme == "dark")


def test_another_page_cannot_hold_it_in_a_frame(ann: Visitor, study: Study) -> None:
    ann.goto(f"{study.url}/nothing")
    ann.value("{ const frame = document.createElement('iframe'); frame.src = '/'; document.body.append(frame); }")
    ann.wait("document.querySelector('iframe').contentDocument === null")  # an error page of the browser's own
    assert any("frame-ancestors" in complaint for complaint in ann.complaints())
    ann.forget()
