"""Somebody at a browser of their own: cookies and storage that nobody else has, and the keys of a keyboard."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.web.browser import Browser, Tab

_CODES = {"ArrowLeft": 37, "ArrowRight": 39, "ArrowUp": 38, "ArrowDown": 40, "Enter": 13, "Tab": 9, "Escape": 27}


class Visitor(Tab):
    """A tab in a context of its own."""

    def goto(self, url: str, *, width: int = 1280, height: int = 800, **media: str) -> None:
        """Open a page; `media` are features such as prefers_color_scheme="dark"."""
        self.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        features = [{"name": name.replace("_", "-"), "value": value} for name, value in media.items()]
        self.send("Emulation.setEmulatedMedia", features=features)
        self.send("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def key(self, key: str, *, control: bool = False, shift: bool = False) -> None:
        """Press and release a key: a character, Enter, Escape, Tab or an arrow."""
        code = _CODES.get(key, ord(key[0].upper()))
        event: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 2 * control + 8 * shift}
        written = {"text": "\r" if key == "Enter" else key} if (len(key) == 1 or key == "Enter") and not control else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **event, **written)
        self.send("Input.dispatchKeyEvent", type="keyUp", **event)

    def wait(self, expression: str, patience: float = 60.0) -> None:
        """As of any tab, for at most so many seconds."""
        until = time.monotonic() + patience
        while not self.value(f"Boolean({expression})"):
            assert time.monotonic() < until, f"never true: {expression}\n{self.value('document.body?.innerText')}"
            time.sleep(0.02)

    def ready(self) -> None:
        """Wait until the annotation page takes an answer: a moment after it shows something."""
        self.wait("document.getElementById('answers')?.ariaBusy === 'false'")

    def forget(self) -> None:
        """What the console held against the page so far was wanted."""
        self._browser.events = [one for one in self._browser.events if one.get("sessionId") != self._session]

    def complaints(self) -> list[str]:
        """As of any tab, of this one only."""
        everything, self._browser.events = self._browser.events, []
        self._browser.events = [event for event in everything if event.get("sessionId") == self._session]
        try:
            # Chromium's own word on drawing 3D without a graphics card.
            return [one for one in super().complaints() if "WebGL" not in one]
        finally:
            self._browser.events = everything


@contextmanager
def visiting(browser: Browser) -> Iterator[Visitor]:
    """A visitor; in the end nothing may have gone wrong on their page."""
    context = browser.send("Target.createBrowserContext")["browserContextId"]
    target = browser.send("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
    session = browser.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Runtime", "Log", "DOM", "Network"):
        browser.send(f"{domain}.enable", session)
    # Pages of several contexts are open at once; each behaves as the one in front.
    browser.send("Emulation.setFocusEmulationEnabled", session, enabled=True)
    visitor = Visitor(browser, session)
    try:
        yield visitor
        assert visitor.complaints() == []
    finally:
        browser.send("Target.disposeBrowserContext", browserContextId=context)
