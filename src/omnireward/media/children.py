"""The decoding processes of one decoder: as many as its threads keep busy at once, each lent to one thread at a time.

A child is idle, or busy in one thread's hands, or gone. Only the thread that has it reads, writes or closes its pipes:
another that closed them could close a file that was opened in between under the same number.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from omnireward.errors import DecoderCrashError
from omnireward.media.child import Child
from omnireward.media.limits import DecodeOptions, Limits

_MOST = 8  # a child takes a processor, and memory for one large medium


def processors() -> int:
    """How many media are worth decoding at once: one for each processor that this process may use, at most 8."""
    if hasattr(os, "sched_getaffinity"):
        return min(_MOST, len(os.sched_getaffinity(0)))
    return min(_MOST, os.cpu_count() or 1)  # macOS


class Children:
    """Starts a child when a thread asks for one and none is idle; threads beyond `most` wait their turn."""

    def __init__(self, options: DecodeOptions, limits: Limits, most: int) -> None:
        self._options, self._limits, self._most = options, limits, most
        self._idle: list[Child] = []
        self._busy: set[Child] = set()
        self._closed = 0  # how often: a child that is starting is neither idle nor busy, and must not outlive a close
        self._lock, self._turns = threading.Lock(), threading.Semaphore(most)

    @contextmanager
    def one(self) -> Iterator[Child]:
        """A running child, for this thread alone. It is closed if the block fails.

        Raises:
            DecoderCrashError: it did not start, or all were closed before this thread had it.
        """
        closed = self._closed
        with self._turns:
            child = self._running(closed)
            answered = False
            try:
                yield child
                answered = True
            finally:  # also by Ctrl-C: half an answer may still be in the pipe
                self._take_back(child, answered)

    def close(self) -> None:
        """End all of them. A thread that has one, or waits for one, gets a DecoderCrashError."""
        with self._lock:
            idle, busy = [*self._idle], [*self._busy]
            self._idle.clear()
            self._busy.clear()
            self._closed += 1
        for child in busy:
            child.interrupt()
        for child in idle:
            child.close()

    def forget(self) -> None:
        """In a forked process: they are the other process's, and so are the threads that held locks and turns."""
        self._lock, self._turns = threading.Lock(), threading.Semaphore(self._most)
        for child in (*self._idle, *self._busy):
            child.close()
        self._idle.clear()
        self._busy.clear()

    def _running(self, closed: int) -> Child:
        while (child := self._taken(closed)) is not None:
            if child.is_alive():
                return child
            self._take_back(child, answered=False)
        child = Child(self._options, self._limits)  # without the lock: others may work while it starts
        with self._lock:
            if closed == self._closed:
                self._busy.add(child)
                return child
        child.close()
        raise _closed_meanwhile()

    def _taken(self, closed: int) -> Child | None:
        with self._lock:
            if closed != self._closed:
                raise _closed_meanwhile()
            if not self._idle:
                return None
            child = self._idle.pop()  # the last one back, so that a lone thread stays with one child
            self._busy.add(child)
            return child

    def _take_back(self, child: Child, answered: bool) -> None:
        with self._lock:
            keep = answered and child in self._busy  # it is not after a close
            self._busy.discard(child)
            if keep:
                self._idle.append(child)
        if not keep:
            child.close()


def _closed_meanwhile() -> DecoderCrashError:
    return DecoderCrashError("a medium was not decoded: the decoder was closed meanwhile.")
