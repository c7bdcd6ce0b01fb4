"""Chromium without a window, driven by its own debugging protocol over a pipe: no driver, no port, no package.

https://chromedevtools.github.io/devtools-protocol/ has the methods. Commands go in by file descriptor 3, replies and
events come out by 4, each a JSON object that a zero byte ends.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_PATIENCE = 30.0  # seconds that a page may take for one thing on a busy machine
_LAUNCH = (
    "import os, sys; r, w = map(int, sys.argv[1:3]); os.dup2(r, 3); os.dup2(w, 4); os.execv(sys.argv[3], sys.argv[3:])"
)
_KEYS = {"Enter": 13, "Tab": 9, "ArrowRight": 39, "ArrowLeft": 37}


def find() -> str | None:
    """The program, where there is one."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


@contextmanager
def running(program: str, profile: Path) -> Iterator[Browser]:
    """A browser with a profile of its own; it ends with the block."""
    there_r, here_w = os.pipe()
    here_r, there_w = os.pipe()
    # Out of the way of 3 and 4, which the launcher puts them at.
    ends = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in (there_r, there_w)]
    os.close(there_r)
    os.close(there_w)
    flags = ["--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}", "--no-first-run"]
    flags += ["--disable-gpu", "--disable-extensions", "--disable-dev-shm-usage", "--force-color-profile=srgb"]
    # 3D is drawn by the processor here, and may take longer than a graphics card is given before it counts as hung.
    flags += ["--enable-unsafe-swiftshader", "--disable-gpu-watchdog"]
    flags += ["--disable-background-networking", "--disable-component-update", "--hide-scrollbars"]
    if os.geteuid() == 0:
        flags.append("--no-sandbox")  # it refuses to run as root otherwise; it sees only pages of these tests
    command = [sys.executable, "-c", _LAUNCH, *map(str, ends), program, *flags, "about:blank"]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, pass_fds=ends, stdin=quiet, stdout=quiet, stderr=quiet)
    for fd in ends:
        os.close(fd)
    try:
        yield Browser(here_r, here_w)
    finally:
        os.close(here_w)  # the browser ends when its pipe does
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(here_r)


class Browser:
    """The pipe's end on this side."""

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = read, write
        self._buffer = b""
        self._count = 0
        self._session = ""
        self.events: list[dict[str, Any]] = []

    def send(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        """A command's result."""
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while (reply := self._next()).get("id") != self._count:
            self.events.append(reply)
        if "error" in reply:
            raise RuntimeError(f"{method}: {reply['error']}")
        result: dict[str, Any] = reply["result"]
        return result

    def _next(self) -> dict[str, Any]:
        until = time.monotonic() + _PATIENCE
        while b"\0" not in self._buffer:
            if not select.select([self._read], [], [], max(0.0, until - time.monotonic()))[0]:
                raise TimeoutError(f"the browser said nothing for {_PATIENCE:g} s")
            piece = os.read(self._read, 1 << 20)
            if not piece:
                raise RuntimeError("the browser ended")
            self._buffer += piece
        line, _, self._buffer = self._buffer.partition(b"\0")
        message: dict[str, Any] = json.loads(line)
        return message

    def open(self, url: str, *, width: int = 1280, height: int = 800, dark: bool = False) -> Tab:
        """The one tab, once the page has loaded. A new tab for each page would cost a process each."""
        if not self._session:
            target = self.send("Target.createTarget", url="about:blank")["targetId"]
            self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Runtime", "Log", "DOM", "Network"):
                self.send(f"{domain}.enable", self._session)
        tab = Tab(self, self._session)
        tab.send("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        scheme = "dark" if dark else "light"
        tab.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        tab.offline(False)
        tab.send("Page.navigate", url="about:blank")  # what is still under way on the page before ends here
        self.events.clear()
        tab.send("Page.navigate", url=url)
        tab.wait("document.readyState === 'complete'")
        return tab


class Tab:
    """The page, used as a person does: by keys, by clicks, by what it shows."""

    def __init__(self, browser: Browser, session: str) -> None:
        self._browser, self._session = browser, session

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """A command of this tab."""
        return self._browser.send(method, self._session, **params)

    def offline(self, now: bool) -> None:
        """Whether no server is within reach."""
        rates = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.send("Network.emulateNetworkConditions", offline=now, **rates)

    def value(self, expression: str) -> Any:
        """What an expression is, awaited. The tests' own scripts are outside of the page's policy."""
        result = self.send("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(f"{expression}: {result['exceptionDetails']['exception'].get('description')}")
        return result["result"].get("value")

    def wait(self, expression: str) -> None:
        """Go on once the expression is true."""
        until = time.monotonic() + _PATIENCE
        while not self.value(f"Boolean({expression})"):
            if time.monotonic() > until:
                raise TimeoutError(f"never true: {expression}\nthe page: {self.value('document.body?.innerText')}")
            time.sleep(0.02)

    def text(self, selector: str) -> str:
        """The text that an element shows."""
        return str(self.value(f"document.querySelector({json.dumps(selector)}).innerText"))

    def texts(self, selector: str) -> list[str]:
        """The texts that the elements show, in order, spaces run together."""
        shown = self.value(f"[...document.querySelectorAll({json.dumps(selector)})].map((e) => e.innerText)")
        return [" ".join(text.split()) for text in shown]

    def place(self, selector: str) -> tuple[float, float]:
        """The middle of an element, in view."""
        found = json.dumps(selector)
        x, y = self.value(
            f"(() => {{ const e = document.querySelector({found}); e.scrollIntoView({{block: 'center'}});"
            "const r = e.getBoundingClientRect(); return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        return x, y

    def click(self, selector: str) -> None:
        """Press the mouse on an element."""
        x, y = self.place(selector)
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def write(self, selector: str, text: str) -> None:
        """Put text into a field, as typing does."""
        self.value(f"(() => {{ const e = document.querySelector({json.dumps(selector)}); e.focus(); e.select(); }})()")
        self.send("Input.insertText", text=text)

    def press(self, key: str, *, control: bool = False) -> None:
        """One of the keys Enter, Tab, ArrowLeft, ArrowRight."""
        code = _KEYS[key]
        event = {"key": key, "code": key, "windowsVirtualKeyCode": code, "modifiers": 2 if control else 0}
        enter = {"text": "\r"} if key == "Enter" and not control else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", **event, **enter)
        self.send("Input.dispatchKeyEvent", type="keyUp", **event)

    def drop(self, selector: str, files: Sequence[Path]) -> None:
        """Drop files on an element, as from a file manager."""
        x, y = self.place(selector)
        data = {"items": [], "files": [str(file) for file in files], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.send("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def choose(self, selector: str, files: Sequence[Path]) -> None:
        """Choose files in a file field."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", files=[str(file) for file in files], nodeId=node)

    def complaints(self) -> list[str]:
        """What the console holds against the page: exceptions, refused scripts and styles; not an HTTP status."""
        self.value("1")  # what was said before this has arrived
        found = []
        for event in self._browser.events:
            if event["method"] == "Runtime.exceptionThrown":
                found.append(json.dumps(event["params"]["exceptionDetails"]))
            if event["method"] == "Log.entryAdded" and event["params"]["entry"]["source"] != "network":
                found.append(event["params"]["entry"]["text"])
        return found

    def picture(self) -> bytes:
        """What is in view, as PNG."""
        return base64.b64decode(self.send("Page.captureScreenshot", format="png")["data"])
