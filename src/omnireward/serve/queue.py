"""One bounded line of requests in front of one thread that computes.

    submit ──▶ prepare (threads) ──▶ ready ──▶ work (one thread, several requests at once) ──▶ the request's future

A request is ready when all its items are prepared, so one that waits for a slow medium holds nobody up, and what is
ready together is computed together, up to a budget: rows that share a prompt are packed across requests. An item that
fails fails alone: if a whole batch fails, each item is tried again by itself. What is late is dropped, not computed.

The queue knows nothing of HTTP, and of models only what `Worker` says.
"""

from __future__ import annotations

import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from omnireward.errors import MediaError, PromptError
from omnireward.media.children import processors
from omnireward.serve.asking import Problem

logger = logging.getLogger("omnireward.serve")

LATE = Problem("deadline", "no time was left; ask again later, or with fewer responses.")
ENDED = Problem("failed", "the server is ending.")

Item = TypeVar("Item")
Ready = TypeVar("Ready")
Result = TypeVar("Result")
Asked = TypeVar("Asked", contravariant=True)
Found = TypeVar("Found", covariant=True)


class Worker(Protocol[Asked, Ready, Found]):
    """What computes. `prepare` is called by several threads at once, `work` by one."""

    def prepare(self, item: Asked) -> Ready:
        """Make an item ready. Raises MediaError, PromptError where the item is to blame."""
        ...

    def weight(self, ready: Ready) -> int:
        """How much of the budget of one batch it takes."""
        ...

    def work(self, ready: Sequence[Ready]) -> Sequence[Found | Problem]:
        """A result for each, in order."""
        ...

    def stop(self) -> None:
        """Give up what `prepare` is doing: a medium may take two minutes."""
        ...


class _Request(Generic[Item, Ready, Result]):
    """Items that were asked together, and what has become of them."""

    def __init__(self, items: Sequence[Item], until: float) -> None:
        self.items: Sequence[Item] = items
        self.until = until
        self.waiting = len(items)
        self.weight = 0
        self.prepared: dict[int, Ready] = {}  # by place
        self.results: list[Result | Problem] = [LATE] * len(items)  # until there is something else
        self.future: Future[list[Result | Problem]] = Future()
        self.future.add_done_callback(self._forget)

    @property
    def late(self) -> bool:
        return time.monotonic() >= self.until

    def answer(self) -> None:
        if self.future.set_running_or_notify_cancel():
            self.future.set_result(self.results)

    def _forget(self, _done: object) -> None:
        """Whoever asks and leaves again and again must not fill the memory with what waits to be prepared."""
        self.items = ()

    def end(self) -> None:
        self.results = [ENDED] * len(self.results)
        self.answer()


class Queue(Generic[Item, Ready, Result]):
    """The line. Close it, and the threads end.

    Args:
        worker: what computes.
        budget: how much `weight` one batch takes, at least one request.
        observe: told of each batch: items, seconds.
    """

    def __init__(
        self,
        worker: Worker[Item, Ready, Result],
        budget: int,
        observe: Callable[[int, float], None] = lambda _items, _seconds: None,
    ) -> None:
        self._worker, self._budget, self._observe = worker, budget, observe
        self._preparing = ThreadPoolExecutor(processors(), "prepare")
        self._working = ThreadPoolExecutor(1, "work")  # its futures hold any error, so none ends the thread
        self._ready: deque[_Request[Item, Ready, Result]] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._batches = threading.Thread(target=self._run, name="batches", daemon=True)
        self._batches.start()

    @property
    def alive(self) -> bool:
        """Whether what is submitted will be answered."""
        return self._batches.is_alive() and not self._closed

    def submit(self, items: Sequence[Item], until: float) -> Future[list[Result | Problem]]:
        """Ask for a result of each item, by a time of `time.monotonic`. Who no longer wants them cancels the future."""
        request: _Request[Item, Ready, Result] = _Request(items, until)
        with self._changed:
            if self._closed:
                request.end()
                return request.future
            if not items:
                request.answer()
            for place in range(len(items)):
                preparing = self._preparing.submit(self._prepare, request, place)
                preparing.add_done_callback(partial(self._prepared, request, place))
        return request.future

    def close(self) -> None:
        """Stop; what was not computed is answered so. Twice is harmless."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._preparing.shutdown(wait=False, cancel_futures=True)
        self._worker.stop()
        self._preparing.shutdown()
        self._batches.join()
        self._working.shutdown()
        for request in self._ready:
            request.end()
        self._ready.clear()

    def _prepare(self, request: _Request[Item, Ready, Result], place: int) -> Ready | Problem:
        items = request.items
        if request.late or not items:
            return LATE
        try:
            return self._worker.prepare(items[place])
        except (MediaError, PromptError) as error:
            return Problem.of(error)

    def _prepared(self, request: _Request[Item, Ready, Result], place: int, done: Future[Ready | Problem]) -> None:
        with self._changed:
            if done.cancelled():
                request.results[place] = ENDED
            elif error := done.exception():
                request.results[place] = fault(error)
            elif isinstance(ready := done.result(), Problem):
                request.results[place] = ready
            else:
                request.prepared[place] = ready
                request.weight += self._worker.weight(ready)
            request.waiting -= 1
            if not request.waiting:
                self._ready.append(request)
                self._changed.notify_all()

    def _run(self) -> None:
        while (batch := self._next()) is not None:
            self._answer(batch)

    def _next(self) -> list[_Request[Item, Ready, Result]] | None:
        """What is ready and fits; waits for something. None when closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._closed)
            if self._closed:
                return None
            batch = [self._ready.popleft()]
            weight = batch[0].weight
            while self._ready and weight + self._ready[0].weight <= self._budget:
                batch.append(self._ready.popleft())
                weight += batch[-1].weight
            return batch

    def _answer(self, batch: list[_Request[Item, Ready, Result]]) -> None:
        rows = [(request, place) for request in batch for place in sorted(request.prepared)]
        for some in self._slices(rows):
            # Again for each slice: a large request must not keep the thread longer than somebody waits for it.
            wanted = [
                (request, place) for request, place in some if not request.late and not request.future.cancelled()
            ]
            begun = time.monotonic()
            results = self._worked([request.prepared[place] for request, place in wanted])
            self._observe(len(wanted), time.monotonic() - begun)
            for (request, place), result in zip(wanted, results, strict=True):
                request.results[place] = result
        for request in batch:
            request.answer()

    def _slices(self, rows: list[tuple[_Request[Item, Ready, Result], int]]) -> Iterator[list[Any]]:
        """Rows in order, each slice within the budget, or one row."""
        some: list[Any] = []
        weight = 0
        for request, place in rows:
            added = self._worker.weight(request.prepared[place])
            if some and weight + added > self._budget:
                yield some
                some, weight = [], 0
            some.append((request, place))
            weight += added
        if some:
            yield some

    def _work(self, rows: Sequence[Ready]) -> Sequence[Result | Problem]:
        results = self._worker.work(rows)
        if len(results) != len(rows):  # nobody knows which are whose
            raise ValueError(f"{len(rows)} were asked for, and {len(results)} came")
        return results

    def _worked(self, rows: Sequence[Ready]) -> Sequence[Result | Problem]:
        if not rows:
            return []
        whole = self._working.submit(self._work, rows)
        error = whole.exception()
        if error is None:
            return whole.result()
        problem = fault(error)
        if len(rows) == 1:
            return [problem]
        return [result for row in rows for result in self._worked([row])]


def fault(error: BaseException) -> Problem:
    """A bug, or no memory: logged by kind and place, without the words, which may quote a request."""
    where = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)]
    words = str(error)[:300] if isinstance(error, RuntimeError) else ""  # torch's own: shapes, memory
    logger.error("%s %s at %s", type(error).__name__, words, " < ".join(reversed(where)))
    return Problem("failed", f"the model failed on this one ({type(error).__name__}); the server's log says where.")
