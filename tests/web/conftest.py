"""A browser for all of them, and for each test a server and the page that it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.web import browser
from tests.web.fake import Fake, faking


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    program = browser.find()
    if program is None:
        pytest.skip(f"no browser: none of {', '.join(browser.NAMES)} is installed")
    with browser.running(program, tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def fake() -> Iterator[Fake]:
    with faking() as server:
        yield server


@pytest.fixture
def open_page(chromium: browser.Browser, fake: Fake) -> Iterator[Callable[..., browser.Tab]]:
    """Opens the page; in the end nothing may have gone wrong in it."""
    tabs: list[browser.Tab] = []

    def opened(**window: int | bool) -> browser.Tab:
        tabs.append(chromium.open(fake.url, **window))  # type: ignore[arg-type]
        return tabs[-1]

    yield opened
    assert [complaint for tab in tabs for complaint in tab.complaints()] == []


@pytest.fixture
def tab(open_page: Callable[..., browser.Tab]) -> browser.Tab:
    return open_page()
