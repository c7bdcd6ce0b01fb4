"""Which of several servers of one model to ask: the one with the fewest calls under way, among those that answer.

A server that failed rests, then is asked by one call at a time until it answers. A rest that a server asked for is kept
by all calls, whoever is answered meanwhile. All must have one model: rewards of two cannot be compared.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from random import uniform

from omnireward import waits
from omnireward.errors import CallFailedError, RecipeError

MOST_ASKED = 60.0  # seconds that a server can have itself be passed over for


class Server:
    """One of them, and how it is doing. Only `Servers` changes it. Moments are of `time.monotonic`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.calls = 0  # under way
        self.turn = 0  # of all calls, the last one that it got
        self.failures = 0  # one after another
        self.rests_until = 0.0  # as drawn here
        self.asked_until = 0.0  # as it asked
        self.probe: Visit | None = None  # the call that shows whether it answers again

    def rest(self, now: float) -> float:
        """Seconds that it rests still."""
        return max(0.0, self.rests_until - now, self.asked_until - now)

    def ready(self, now: float) -> bool:
        """Whether to ask it now."""
        return not self.rest(now) and not (self.failures and self.probe)

    @property
    def load(self) -> int:
        """To be compared with that of others. Calls that hang since it fell ill keep nobody from trying it again."""
        return 0 if self.failures else self.calls


class Visit:
    """One call's time at a server."""

    def __init__(self, server: Server) -> None:
        self.server = server


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
        self._turns = 0
        self._model: tuple[str, str] | None = None  # its revision, and the server that told it
        self._lock = threading.Lock()

    def take(self) -> Visit:
        """A visit to the next to be asked; give it back. One that is not ready is taken only where none is."""
        with self._lock:
            now = time.monotonic()
            # Ties go around: whoever was not asked for longest is first.
            chosen = min(self._servers, key=lambda one: (not one.ready(now), one.rest(now), one.load, one.turn))
            self._turns += 1
            chosen.turn = self._turns
            chosen.calls += 1
            visit = Visit(chosen)
            if chosen.failures:
                chosen.probe = visit
            return visit

    def give_back(self, visit: Visit) -> None:
        """A try has ended, however it did."""
        with self._lock:
            visit.server.calls -= 1
            if visit.server.probe is visit:
                visit.server.probe = None

    def answered(self, visit: Visit) -> None:
        """The server does. What it asked for still holds."""
        with self._lock:
            visit.server.failures, visit.server.rests_until = 0, 0.0

    def failed(self, visit: Visit, asked: float) -> bool:
        """It gave no answer, and asked to be left alone for some seconds. Whether another one can be asked at once.

        Calls that were under way together and fail together are one failure.
        """
        with self._lock:
            now, server = time.monotonic(), visit.server
            server.asked_until = max(server.asked_until, now + min(asked, MOST_ASKED))
            if now >= server.rests_until:
                server.failures += 1
                server.rests_until = now + rest(server.failures)
            return any(one.ready(now) for one in self._servers)

    def agree(self, visit: Visit, revision: str) -> None:
        """The server has told which model its rewards are of.

        Raises:
            CallFailedError: an earlier reply was of another one.
        """
        with self._lock:
            self._model = self._model or (revision, visit.server.url)
            known, teller = self._model
        if revision != known:
            raise CallFailedError(
                f"{visit.server.url}: the server's model is of revision {revision[:100]!r}, but this client has had "
                f"replies of revision {known[:100]!r}, the first from {teller}. Rewards of two models cannot be "
                "compared. Name only servers of one model. To go on with the new one, make a new client; a training "
                "run must begin anew for that."
            )

    def after_fork(self) -> None:
        """In the child: calls of threads that are not here are not under way here, and one may hold the lock."""
        self._lock = threading.Lock()
        for server in self._servers:
            server.calls, server.probe = 0, None


def rest(failures: int) -> float:
    """Seconds to leave a server alone after so many failures: a bound that doubles, and up to as much again.

    Drawn, so that clients do not come back together; never close to 0, because another server can be asked meanwhile.
    """
    least = min(waits.LONGEST / 2, waits.FIRST * 2.0 ** min(failures - 1, 16))
    return uniform(least, 2 * least)
