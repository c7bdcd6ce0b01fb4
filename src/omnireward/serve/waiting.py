"""The line in front of a judge that waits for somebody else: no comparison waits for another's answer.

A batch would: its slowest answer, which may take the endpoint minutes, would hold up all that came after. So each
comparison is handed on by itself, as long as the judge has room, and answered when its own answer comes. What is late,
or wanted by nobody any more, when its turn comes is not handed on. The one whose turn it is waits for room inside the
judge, which takes it even where that time has passed: who asked was answered, and one answer is paid for nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

from omnireward.judges import PatientJudge
from omnireward.serve.asking import Problem
from omnireward.serve.queue import ENDED, LATE, fault
from omnireward.types import Comparison, Judgement

Judged = list[Judgement | Problem]


class Waiting:
    """As `Queue`, of one comparison for each request.

    Args:
        judge: closed with this.
        observe: told of each judgement: 1, and the seconds that it took.
    """

    def __init__(
        self, judge: PatientJudge, observe: Callable[[int, float], None] = lambda _items, _seconds: None
    ) -> None:
        self._judge, self._observe = judge, observe
        self._handing = ThreadPoolExecutor(1, "hand-on")  # it waits while the judge has no room
        self._closed = False

    @property
    def alive(self) -> bool:
        """Whether what is submitted will be answered."""
        return not self._closed

    def submit(self, items: Sequence[Comparison], until: float) -> Future[Judged]:
        """Ask for a judgement by a time of `time.monotonic`. Who no longer wants it cancels the future."""
        (comparison,) = items
        future: Future[Judged] = Future()
        try:
            handed = self._handing.submit(self._hand_on, comparison, until, future)
        except RuntimeError:  # closed
            _answer(future, ENDED)
        else:
            handed.add_done_callback(partial(_handed, future))
        return future

    def close(self) -> None:
        """Stop; what was not judged is answered so. Twice is harmless."""
        self._closed = True
        self._handing.shutdown(wait=False, cancel_futures=True)
        self._judge.close()
        self._handing.shutdown()

    def _hand_on(self, comparison: Comparison, until: float, future: Future[Judged]) -> None:
        if future.cancelled() or time.monotonic() >= until:
            _answer(future, LATE)
            return
        begun = time.monotonic()
        self._judge.submit(comparison).add_done_callback(partial(self._judged, future, begun))

    def _judged(self, future: Future[Judged], begun: float, done: Future[Judgement]) -> None:
        self._observe(1, time.monotonic() - begun)
        error = done.exception()
        _answer(future, done.result() if error is None else fault(error))


def _handed(future: Future[Judged], handed: Future[None]) -> None:
    if handed.cancelled():
        _answer(future, ENDED)
    elif (error := handed.exception()) is not None:
        _answer(future, fault(error))


def _answer(future: Future[Judged], found: Judgement | Problem) -> None:
    if future.set_running_or_notify_cancel():
        future.set_result([found])
