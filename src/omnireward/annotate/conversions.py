"""The parent's end of `conversion`: one child for each medium, ended when it takes too long or nobody wants it more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from omnireward.errors import DecoderCrashError, UnreadableMediaError
from omnireward.media import Limits
from omnireward.types import MediaKind

_ANSWER = 64 * 2**10  # bytes of a child's answer
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "LANG", "LC_ALL", "TMPDIR")


class Conversions:
    """Starts children. Threads may share one."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._closed = False
        self._lock = threading.Lock()

    def convert(self, kind: MediaKind, source: Path, target: Path, limits: Limits) -> dict[str, Any]:
        """What the child says: `type` and `converted`; `target` is written where the latter is true.

        Raises:
            UnreadableMediaError: it cannot be converted, or is too large.
            DecoderCrashError: the child died, took too long, or was ended by `close`.
        """
        settings = json.dumps(
            {"kind": kind, "source": str(source.resolve()), "target": str(target.resolve()), "limits": asdict(limits)}
        )
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        with tempfile.TemporaryFile() as answer:
            with self._lock:
                if self._closed:
                    raise DecoderCrashError(f"{source.name} was not converted: the server ends.")
                # -P: a numpy.py in the working directory must not be imported. A process group: Ctrl-C is for the
                # parent.
                child = subprocess.Popen(
                    [sys.executable, "-P", "-m", "omnireward.annotate.conversion", settings],
                    stdin=subprocess.PIPE,  # which ends with this process, however it ends
                    stdout=answer,
                    stderr=subprocess.DEVNULL,
                    env=environment,
                    process_group=0,
                )
                self._running.add(child)
            try:
                code = child.wait(limits.wall_seconds)
            except subprocess.TimeoutExpired as error:
                wall = limits.wall_seconds
                raise DecoderCrashError(f"{source.name}: converting took longer than {wall:g} s.") from error
            finally:
                self._end(child)
            answer.seek(0)
            text = answer.read(_ANSWER)
        try:
            said = json.loads(text)
        except ValueError as error:
            raise DecoderCrashError(f"{source.name}: the converting process ended with {code}.") from error
        if "error" in said:
            raise UnreadableMediaError(said["error"])
        return dict(said)

    def close(self) -> None:
        """End them all, and start no more. Twice is harmless."""
        with self._lock:
            self._closed = True
            running = [*self._running]
        for child in running:
            child.kill()

    def _end(self, child: subprocess.Popen[bytes]) -> None:
        child.kill()  # harmless where it has ended
        child.wait()
        assert child.stdin is not None
        child.stdin.close()
        with self._lock:
            self._running.discard(child)
