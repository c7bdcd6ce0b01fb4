"""Rankings of a server: comparisons of one prompt's responses, asked through the same line as all others.

A ranking asks round after round and waits in between, so each has a thread, of which there are few: the judge is one,
and more rankings at once would only be slower together. What is not answered by the deadline has no verdict, and what
was found until then is the ranking.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from omnireward.errors import RecipeError
from omnireward.ranking import Group, Ranking, RankingOptions, most_calls, rank_groups
from omnireward.serve.asking import Problem, RequestError
from omnireward.serve.queue import ENDED, LATE
from omnireward.types import Comparison, Judgement, Part, Text

AT_ONCE = 8
"""Rankings under way together; further ones wait for their turn."""

_LOOK = 0.25  # seconds after which a ranking looks whether somebody still waits for it

Submit = Callable[[Sequence[Comparison], float], "Future[list[Judgement | Problem]]"]


class Asker:
    """The judge as one ranking asks it: a `Judge` whose comparisons wait in the server's line, until a time."""

    def __init__(self, submit: Submit, fingerprint: str, until: float) -> None:
        self.fingerprint, self._submit, self._until = fingerprint, submit, until
        self._stopped = threading.Event()

    def __call__(self, comparisons: Sequence[Comparison]) -> list[Judgement]:
        """Judge them together. Raises RequestError once it was stopped."""
        futures = [self._submit([comparison], self._until) for comparison in comparisons]
        try:
            return [self._judgement(future) for future in futures]
        finally:
            for future in futures:
                future.cancel()  # nothing, where it has been answered

    def stop(self) -> None:
        """Nobody waits for the ranking any more."""
        self._stopped.set()

    def _judgement(self, future: Future[list[Judgement | Problem]]) -> Judgement:
        found: Judgement | Problem = LATE
        while True:
            if self._stopped.is_set():
                raise RequestError(ENDED.message, status=503)
            left = self._until - time.monotonic()
            try:
                found = future.result(min(_LOOK, max(left, 0.0)))[0]
            except TimeoutError:
                if left > 0:
                    continue
            return Judgement(None, error=str(found)) if isinstance(found, Problem) else found


class Rankings:
    """Ranks groups with a judge that stands behind a line. Close it, and its threads end."""

    def __init__(self, submit: Submit, fingerprint: str, most: int) -> None:
        self._submit, self._fingerprint, self._most = submit, fingerprint, most
        self._pool = ThreadPoolExecutor(AT_ONCE, "rank")
        self._asking: set[Asker] = set()

    def check(self, group: Group, options: RankingOptions) -> int:
        """The most comparisons of a ranking. Raises RequestError where that is more than the server asks."""
        count = len(group.responses) + (group.reference is not None)
        try:
            calls = most_calls(count, options)
        except RecipeError as error:
            raise RequestError(str(error)) from error
        if calls > self._most:
            raise RequestError(
                f"ranking {count} responses takes up to {calls} comparisons in this way; at most {self._most} are made "
                "for one request. Rank fewer, or take another schedule.",
                status=413,
            )
        return calls

    def begin(self, group: Group, options: RankingOptions, until: float) -> tuple[Asker, Future[Ranking]]:
        """Begin to rank, in a thread; it ends soon after `until`, a time of `time.monotonic`, or after a stop."""
        asker = Asker(self._submit, self._fingerprint, until)
        self._asking.add(asker)
        future = self._pool.submit(self._ranked, asker, group, options)
        future.add_done_callback(partial(self._ended, asker))
        return asker, future

    def close(self) -> None:
        """Stop all. Twice is harmless."""
        for asker in list(self._asking):
            asker.stop()
        self._pool.shutdown(cancel_futures=True)

    def _ranked(self, asker: Asker, group: Group, options: RankingOptions) -> Ranking:
        # Everything of a round at once: how much is judged together is the line's affair.
        return rank_groups(asker, [group], options, batch_size=self._most)[0]

    def _ended(self, asker: Asker, _done: Future[Ranking]) -> None:
        self._asking.discard(asker)


def chars_of(group: Group, calls: int) -> int:
    """The most characters that are judged: prompt, criterion and two responses in each comparison."""
    responses = [*group.responses, *([] if group.reference is None else [group.reference])]
    longest = max((_chars(one) for one in responses), default=0)
    prompt = sum(_chars(turn.content) for turn in group.prompt)
    return max(calls, 1) * (len(group.criterion) + prompt + 2 * longest)


def _chars(content: Sequence[Part]) -> int:
    return sum(len(part.text) for part in content if isinstance(part, Text))
