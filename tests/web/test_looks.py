"""Who can use the page, and where: keys alone, light and dark, a telephone, and never another page's frame."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.web.browser import Browser, Tab
from tests.web.fake import Fake
from tests.web.test_playground import ask, fill

OpenPage = Callable[..., Tab]


def test_all_of_it_works_by_keys_alone(tab: Tab, fake: Fake) -> None:
    labels = []
    tab.value("document.getElementById('example').focus()")
    for _ in range(14):
        tab.press("Tab")
        labels.append(tab.value("document.activeElement.ariaLabel ?? document.activeElement.innerText"))
    assert labels == [
        "Prompt, text",
        "Add media to Prompt",
        "Add a response",
        "Remove Response A",
        "Response A, text",
        "Add media to Response A",
        "Remove Response B",
        "Response B, text",
        "Add media to Response B",
        "Add a criterion",
        "Criterion 1",
        "Ask for rewards",
        "Rewards",
        "Nothing asked yet. Write a prompt and responses, then ask.",  # a panel, so that it can be scrolled
    ]
    fill(tab, "Say hello.", ["a", "b"])
    tab.value("document.querySelector('#prompt textarea').focus()")
    tab.press("Enter", control=True)
    tab.wait("document.querySelectorAll('.row').length === 1")
    tab.value("document.getElementById('tab-answers').focus()")
    shown = []
    for key in ("ArrowRight", "ArrowRight", "ArrowRight", "ArrowLeft"):
        tab.press(key)
        shown.append(tab.value("document.querySelector('[role=tabpanel]:not([hidden])').id"))
    assert shown == ["panel-curl", "panel-python", "panel-answers", "panel-python"]


@pytest.mark.parametrize("dark", [False, True])
def test_words_stand_out_from_their_ground(open_page: OpenPage, dark: bool) -> None:
    """WCAG 2.2, 1.4.3: at least 4.5 to 1, by the formula of its relative luminance."""
    tab = open_page(dark=dark)
    colour = "getComputedStyle(document.documentElement).getPropertyValue"

    def luminance(name: str) -> float:
        digits = tab.value(f"{colour}('--{name}').trim()").removeprefix("#")
        wide = digits if len(digits) == 6 else "".join(digit * 2 for digit in digits)
        parts = [int(wide[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    pairs = [("ink", "ground"), ("ink", "panel"), ("ink", "warn-soft"), ("muted", "ground"), ("muted", "panel")]
    pairs += [("ink", "soft"), ("bad", "bad-soft"), ("bad", "panel"), ("on-first", "first")]
    for pair in pairs:
        low, high = sorted(luminance(name) for name in pair)
        assert (high + 0.05) / (low + 0.05) >= 4.5, pair
    assert (luminance("ground") < 0.1) is dark


def test_a_telephone_shows_it_without_scrolling_sideways(open_page: OpenPage) -> None:
    tab = open_page(width=360, height=700)
    fill(tab, "word " * 40 + "w" * 200, ["w" * 200, "b"], "w" * 200)
    ask(tab)
    for name in ("answers", "curl", "python"):
        tab.click(f"#tab-{name}")
        assert tab.value("document.documentElement.scrollWidth") == 360


def test_on_a_telephone_answers_come_into_view(open_page: OpenPage) -> None:
    tab = open_page(width=360, height=500)
    fill(tab, "Say hello.", ["a", "b"])
    ask(tab)
    assert 0 <= tab.value("document.querySelector('.row').getBoundingClientRect().top") < 500


def test_another_page_cannot_hold_it_in_a_frame(chromium: Browser, fake: Fake) -> None:
    tab = chromium.open(f"{fake.url}/nothing")
    tab.value("{ const frame = document.createElement('iframe'); frame.src = '/'; document.body.append(frame); }")
    tab.wait("document.querySelector('iframe').contentDocument === null")  # an error page of the browser's own
    assert any("frame-ancestors" in complaint for complaint in tab.complaints())
