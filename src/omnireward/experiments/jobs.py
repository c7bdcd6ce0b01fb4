"""Child processes side by side: each has one thread, a log file and a line on stderr when it begins and when it ends.

A child that fails leaves the others to finish; its error comes after them, with the end of its log. Ctrl-C stops the
children, and waits for as long as they take to save what they did; one that has nothing to save is ended at once. A
child whose parent is gone notices it by its stdin, and stops in the same way.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omnireward.errors import TrainingError
from omnireward.sample_text import printable

LOOK_EVERY = 0.1  # seconds
TAIL = 12  # lines of a log that an error shows
CHILD = (sys.executable, "-m", "omnireward.experiments.child")


@dataclass(frozen=True, slots=True)
class Job:
    """What one child does.

    Attributes:
        said: for people.
        told: what it reads on stdin.
        log: its file.
        saves: stopped half-way it saves what it did; else there is nothing to wait for.
    """

    said: str
    told: Mapping[str, Any]
    log: Path
    saves: bool = True


@dataclass(slots=True)
class _Child:
    job: Job
    process: subprocess.Popen[bytes]
    began: float


def work(jobs: Sequence[Job], beside: int, ended: Callable[[], None] = lambda: None) -> None:
    """Do all jobs, at most `beside` at once.

    Args:
        jobs: in the order in which they are begun.
        beside: how many run at once.
        ended: called after each that ended well.

    Raises:
        TrainingError: some failed; all others are done.
    """
    waiting, running, failed, done = deque(jobs), list[_Child](), list[_Child](), 0
    try:
        while waiting or running:
            while waiting and len(running) < beside:
                running.append(_begin(waiting.popleft()))
            time.sleep(LOOK_EVERY)
            for child in [child for child in running if child.process.poll() is not None]:
                running.remove(child)
                _close(child)
                done += 1
                bad = child.process.returncode != 0
                if bad:
                    failed.append(child)
                took = time.monotonic() - child.began
                _say(f"{child.job.said}: {'FAILED' if bad else 'done'} in {took:.0f} s; {len(jobs) - done} left")
                if not bad:
                    ended()
    finally:
        _stop(running)
    if failed:
        raise TrainingError(_told(failed, len(jobs)))


def _begin(job: Job) -> _Child:
    job.log.parent.mkdir(parents=True, exist_ok=True)
    with job.log.open("ab") as log:
        process = subprocess.Popen(
            CHILD,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            env=os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
            start_new_session=True,  # Ctrl-C is ours to hand on
        )
    _say(f"{job.said}: begun")
    assert process.stdin is not None  # it is a pipe
    with suppress(BrokenPipeError):  # it is gone already; its log says why
        process.stdin.write(json.dumps(job.told).encode() + b"\n")
        process.stdin.flush()  # and stays open: its end tells the child that we are gone
    return _Child(job, process, time.monotonic())


def _close(child: _Child) -> None:
    if child.process.stdin is not None:
        with suppress(BrokenPipeError):
            child.process.stdin.close()


def _stop(running: Sequence[_Child]) -> None:
    """Tell children to stop, and wait until they have saved. Whoever interrupts that leaves them to it."""
    for child in running:
        if child.job.saves:
            child.process.terminate()
        else:
            child.process.kill()
            _say(f"{child.job.said}: ended half-way; it is made anew next time")
        _close(child)
    saving = sum(child.job.saves for child in running)
    if saving:
        _say(f"stopping {saving}, waiting until what they did is saved. Ctrl-C once more leaves at once: they save on")
    for child in running:
        child.process.wait()


def _told(failed: Sequence[_Child], jobs: int) -> str:
    others = "; all others are done" if len(failed) < jobs else ""
    told = [f"{len(failed)} of {jobs} failed{others}. The same command tries again what failed."]
    for child in failed[:3]:
        code = child.process.returncode
        how = f"ended with code {code}" if code >= 0 else f"was killed by signal {-code}"
        lines = printable(child.job.log.read_text(encoding="utf-8", errors="replace")).splitlines()[-TAIL:]
        told.append(
            "\n".join([f"{child.job.said} {how}. The end of {child.job.log}:", *(f"  {line}" for line in lines)])
        )
    return "\n".join(told)


def _say(line: str) -> None:
    sys.stderr.write(f"{printable(line)}\n")
    sys.stderr.flush()
