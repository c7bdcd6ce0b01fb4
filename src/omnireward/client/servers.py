"""Which of several servers of one model to ask: the one with the fewest calls under way, among those that answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from random import uniform

from omnireward.errors import RecipeError
from omnireward.waits import drawn


class Server:
    """One of them, and how it is doing. Only `Servers` changes it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.calls = 0  # under way
        self.failures = 0  # one after another
        self.rests_until = 0.0  # of `time.monotonic`


class Servers:
    """Those that one client asks. Threads may share it.

    Args:
        urls: one, several, or several in one text, separated by commas.

    Raises:
        RecipeError: there is none, or one does not begin with http:// or https://.
    """

    def __init__(self, urls: str | Sequence[str]) -> None:
        named = [url.strip().rstrip("/") for url in (urls.split(",") if isinstance(urls, str) else urls)]
        for url in named:
            if not url.startswith(("http://", "https://")):
                raise RecipeError(
                    f"a server's URL begins with http:// or https://, such as http://127.0.0.1:8000; got {url!r}."
                )
        if not named:
            raise RecipeError("a client needs the URL of a server, such as http://127.0.0.1:8000.")
        self._servers = [Server(url) for url in dict.fromkeys(named)]
        self._lock = threading.Lock()

    def take(self) -> Server:
        """The next to be asked; give it back. One that rests is taken only where all do."""
        with self._lock:
            now = time.monotonic()
            chosen = min(self._servers, key=lambda one: (max(0.0, one.rests_until - now), one.calls))
            chosen.calls += 1
            # Ties go around: whoever was not asked for longest is first.
            self._servers.remove(chosen)
            self._servers.append(chosen)
            return chosen

    def give_back(self, server: Server) -> None:
        """A try has ended."""
        with self._lock:
            server.calls -= 1

    def answered(self, server: Server) -> None:
        """It does."""
        with self._lock:
            server.failures, server.rests_until = 0, 0.0

    def failed(self, server: Server, asked: float) -> bool:
        """It gave no answer, and asked to be left alone for some seconds. Whether another one can be asked at once.

        Calls that were under way together and fail together are one failure.
        """
        with self._lock:
            now = time.monotonic()
            if now >= server.rests_until:
                server.failures += 1
                server.rests_until = now + max(asked, drawn(server.failures, uniform))
            return any(now >= one.rests_until for one in self._servers)
