"""The line of requests, with workers that do as they are told: what is late, what fails, what is computed together."""

from __future__ import annotations

import gc
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence

import pytest

from omnireward.errors import PromptError, UnreadableMediaError
from omnireward.serve.asking import Problem
from omnireward.serve.queue import Queue

FAR = 3_600.0  # seconds: never, in a test
WAIT = 20.0


class Doubler:
    """Doubles numbers. The number 13 fails, together with all that is computed with it; `gate` holds work up."""

    def __init__(self) -> None:
        self.gate, self.working = threading.Event(), threading.Event()
        self.gate.set()
        self.batches: list[list[int]] = []
        self.stopped = False
        self.prepared: list[int] = []

    def prepare(self, item: int) -> int:
        self.prepared.append(item)
        if item == -1:
            raise UnreadableMediaError("broken")
        if item == -2:
            raise PromptError("no user turn")
        if item == -3:
            raise KeyError("words of a request")
        return item

    def weight(self, ready: int) -> int:
        return 10 if ready < 100 else 100

    def work(self, ready: Sequence[int]) -> Sequence[int | Problem]:
        self.batches.append(list(ready))
        self.working.set()
        assert self.gate.wait(WAIT)
        if 13 in ready:
            raise ValueError("words of a request")
        return [2 * one for one in ready]

    def stop(self) -> None:
        self.stopped = True


Line = Queue[int, int, int]


@pytest.fixture
def worker() -> Doubler:
    return Doubler()


@pytest.fixture
def line(worker: Doubler) -> Iterator[Line]:
    one: Line = Queue(worker, 100)
    yield one
    worker.gate.set()
    one.close()


def _soon(seconds: float = FAR) -> float:
    return time.monotonic() + seconds


def _held(worker: Doubler, line: Line) -> Callable[[], list[int | Problem]]:
    """Hold the worker up with one request; what is submitted next waits."""
    worker.gate.clear()
    future = line.submit([1], _soon())
    assert worker.working.wait(WAIT)
    return lambda: future.result(WAIT)


def test_results_come_in_order(line: Line) -> None:
    assert line.submit([3, 1, 2], _soon()).result(WAIT) == [6, 2, 4]
    assert line.submit([], _soon()).result(WAIT) == []


def test_what_waits_is_computed_together_up_to_the_budget(worker: Doubler, line: Line) -> None:
    """Ten items of weight 10 fit into a budget of 100; the twelve of four requests make batches of 9 and 3."""
    first = _held(worker, line)
    futures = [line.submit([i, i + 1, i + 2], _soon()) for i in (20, 30, 40, 50)]
    _until(lambda: len(worker.prepared) == 13)
    worker.gate.set()
    assert first() == [2]
    assert [future.result(WAIT)[0] for future in futures] == [40, 60, 80, 100]
    assert sorted(map(len, worker.batches)) == [1, 3, 9]


def test_a_request_larger_than_the_budget_is_computed_in_slices(worker: Doubler, line: Line) -> None:
    """100 weighs as much as the budget; of the others ten fit. In order: neighbours share most."""
    items = [*range(20, 45), 100, 50]
    assert line.submit(items, _soon()).result(WAIT) == [2 * item for item in items]
    assert worker.batches == [items[:10], items[10:20], items[20:25], [100], [50]]


def test_what_is_broken_fails_alone(line: Line) -> None:
    results = line.submit([5, -1, -2, 6], _soon()).result(WAIT)
    assert results == [10, Problem("media", "broken"), Problem("prompt", "no user turn"), 12]


def test_when_a_batch_fails_each_is_tried_alone_and_no_words_of_it_are_logged(
    worker: Doubler, line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    first = _held(worker, line)
    futures = [line.submit([11, 12], _soon()), line.submit([13, 14, -3], _soon())]
    _until(lambda: len(worker.prepared) == 6)
    with caplog.at_level(logging.INFO):
        worker.gate.set()
        first()
        assert futures[0].result(WAIT) == [22, 24]
        failed, fine, unprepared = futures[1].result(WAIT)
    assert isinstance(failed, Problem)
    assert isinstance(unprepared, Problem)
    assert (failed.kind, fine, unprepared.kind) == ("failed", 28, "failed")
    assert "ValueError" in failed.message
    assert "test_queue.py" in caplog.text
    assert "words of a request" not in caplog.text + failed.message + unprepared.message
    assert line.submit([7], _soon()).result(WAIT) == [14]  # the thread lives on


def test_too_few_results_are_nobodys_and_the_line_goes_on(
    worker: Doubler, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(worker, "work", lambda ready: [2 * one for one in ready][1:])
        results = line.submit([4, 5], _soon()).result(WAIT)
    assert all(isinstance(one, Problem) and one.kind == "failed" for one in results)
    assert line.submit([6], _soon()).result(WAIT) == [12]
    assert line.alive


def test_what_is_late_is_dropped_not_computed(worker: Doubler, line: Line) -> None:
    first = _held(worker, line)
    late, other = line.submit([21, 22], _soon(0.05)), line.submit([23], _soon())
    time.sleep(0.1)
    worker.gate.set()
    first()
    assert [one.kind for one in late.result(WAIT) if isinstance(one, Problem)] == ["deadline", "deadline"]
    assert other.result(WAIT) == [46]
    assert [23] in worker.batches
    assert not any(21 in batch for batch in worker.batches)
    assert line.submit([24], _soon(-1)).result(WAIT) == [Problem("deadline", late.result()[0].message)]  # type: ignore[union-attr]
    assert 24 not in worker.prepared


def test_what_nobody_waits_for_any_more_is_not_computed(worker: Doubler, line: Line) -> None:
    first = _held(worker, line)
    gone, other = line.submit([31], _soon()), line.submit([32], _soon())
    assert gone.cancel()
    worker.gate.set()
    first()
    assert other.result(WAIT) == [64]
    assert not any(31 in batch for batch in worker.batches)


def test_what_nobody_waits_for_any_more_is_not_kept(
    worker: Doubler, line: Line, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While all threads that prepare are busy: else who asks and leaves again and again could fill the memory."""

    class Large:
        pass

    go = threading.Event()
    monkeypatch.setattr(worker, "prepare", lambda item: item if go.wait(WAIT) else 0)
    busy = line.submit(list(range(line._preparing._max_workers)), _soon())
    large = Large()
    seen = weakref.ref(large)
    asked = line.submit([large], _soon())  # type: ignore[list-item]
    del large
    gc.collect()
    assert seen() is not None
    asked.cancel()
    gc.collect()
    assert seen() is None
    go.set()
    assert len(busy.result(WAIT)) == line._preparing._max_workers


def test_a_slow_item_holds_up_its_own_request_only(
    line: Line, worker: Doubler, monkeypatch: pytest.MonkeyPatch
) -> None:
    go, plain = threading.Event(), worker.prepare

    def slow(item: int) -> int:
        assert item != 41 or go.wait(WAIT)
        return plain(item)

    monkeypatch.setattr(worker, "prepare", slow)
    slow_one = line.submit([41, 42], _soon())
    if line._preparing._max_workers > 1:
        assert line.submit([43], _soon()).result(WAIT) == [86]
    assert not slow_one.done()
    go.set()
    assert slow_one.result(WAIT) == [82, 84]


def test_closing_answers_everybody(worker: Doubler, line: Line) -> None:
    first = _held(worker, line)
    waiting = [line.submit([50 + i], _soon()) for i in range(20)]
    closing = threading.Thread(target=line.close)
    closing.start()
    _until(lambda: not line.alive)
    worker.gate.set()
    closing.join(WAIT)
    assert first() == [2]
    for future in (*waiting, line.submit([1], _soon())):
        (result,) = future.result(WAIT)
        assert isinstance(result, Problem)
        assert "ending" in result.message
    assert worker.stopped
    assert not line.alive
    line.close()


def _until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + WAIT
    while not true():
        assert time.monotonic() < until
        time.sleep(0.005)
    time.sleep(0.02)  # what was prepared is put in line a moment later
