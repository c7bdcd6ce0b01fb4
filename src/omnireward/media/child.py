"""The parent's end of the decoding process: start it, ask it, notice how it died, never leave it behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from omnireward.errors import DecoderCrashError, MediaError
from omnireward.media.answers import ImplausibleAnswerError, empty_array_for, error_from, seconds_from, stated_from
from omnireward.media.dispatch import Array
from omnireward.media.length import Stated
from omnireward.media.limits import DecodeOptions, Limits
from omnireward.media.pieces import describe_media
from omnireward.media.wire import LARGEST_ANSWER, receive_header, receive_into, send
from omnireward.types import Media

_START_SECONDS = 60.0  # importing the decoding libraries, on a busy machine with cold disks

# What the child gets of the environment: enough to find its libraries, and none of the keys that others keep there.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "LANG", "LC_ALL", "TMPDIR")
_SIGNALS = {known.value: known.name for known in signal.Signals}


class Child:
    """A running decoding process.

    Raises:
        DecoderCrashError: it did not start.
    """

    def __init__(self, options: DecodeOptions, limits: Limits) -> None:
        self._options, self._limits, self._owner = options, limits, os.getpid()
        self._interrupted = False
        settings = json.dumps({"options": asdict(options), "limits": asdict(limits)})
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        # Threads of BLAS would each reserve address space, which is limited, for arithmetic that nobody does here.
        environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"}
        # Unbuffered: a buffer has a lock, and after a fork nobody would give back what another thread held.
        self._errors: IO[bytes] = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed by close()
        self._process = subprocess.Popen(
            # -P: a numpy.py in the working directory must not be imported. A process group: Ctrl-C is for the parent.
            [sys.executable, "-P", "-m", "omnireward.media.worker", settings],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            bufsize=0,
            env=environment,
            process_group=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._to, self._from = self._process.stdin, self._process.stdout
        os.set_blocking(self._to.fileno(), False)
        try:
            receive_header(self._from.fileno(), time.monotonic() + _START_SECONDS, LARGEST_ANSWER)
        except (EOFError, TimeoutError, ValueError) as error:
            reason = self._how_it_ended()
            self.close()
            raise DecoderCrashError(
                f"the decoding process did not start: {reason}. Limits.memory_bytes is {limits.memory_bytes:,}."
            ) from error

    def is_alive(self) -> bool:
        """Whether it still runs; a system short of memory may have ended it between two media."""
        return self._process.poll() is None

    def ask(self, media: Media) -> Array | MediaError:
        """Have a medium decoded: the array, or the error that the child reports.

        Raises:
            DecoderCrashError: the child died, took too long, or answered nonsense. It must be closed then.
        """
        with self._watching(media) as deadline:
            answer = self._answer(media, "array", deadline)
            if isinstance(answer, MediaError):
                return answer
            array = empty_array_for(answer, media, self._options, self._limits)
            receive_into(self._from.fileno(), array.data.cast("B"), deadline)
        return array

    def seconds(self, media: Media) -> float | MediaError | None:
        """How long a video or a sound says that it is, or the error that the child reports. Raises as `ask`."""
        with self._watching(media) as deadline:
            answer = self._answer(media, "seconds", deadline)
            return answer if isinstance(answer, MediaError) else seconds_from(answer)

    def stated(self, media: Media) -> Stated | MediaError:
        """What a medium's header says of it, or the error that the child reports. Raises as `ask`."""
        with self._watching(media) as deadline:
            answer = self._answer(media, "stated", deadline)
            return answer if isinstance(answer, MediaError) else stated_from(answer)

    def _answer(self, media: Media, want: str, deadline: float) -> Any:
        header, payloads = _request(media)
        # Both processes share the file's position, so this makes room for what the child writes about this medium.
        self._errors.seek(0)
        self._errors.truncate()
        send(self._to.fileno(), {**header, "want": want}, payloads, deadline)
        answer = receive_header(self._from.fileno(), deadline, LARGEST_ANSWER)
        return error_from(answer) or answer

    @contextmanager
    def _watching(self, media: Media) -> Iterator[float]:
        """The deadline for one medium; what goes wrong in the block becomes a DecoderCrashError that says how."""
        try:
            yield time.monotonic() + self._limits.wall_seconds
        except TimeoutError as error:
            reason = f"took longer than {self._limits.wall_seconds:g} s (Limits.wall_seconds)"
            raise DecoderCrashError(f"{describe_media(media)}: decoding {reason}.") from error
        except ImplausibleAnswerError as error:
            raise DecoderCrashError(f"{describe_media(media)}: the decoder answered {error}; file refused.") from error
        except (EOFError, BrokenPipeError, ValueError) as error:
            if isinstance(error, MediaError):
                raise
            raise DecoderCrashError(
                f"{describe_media(media)}: the decoding process died: {self._how_it_ended()}."
            ) from error

    def interrupt(self) -> None:
        """End it while another thread waits for its answer: that thread gets the error, and closes it."""
        self._interrupted = True
        if os.getpid() == self._owner:
            self._process.kill()

    def close(self) -> None:
        """End it and wait for its end. In a process that inherited it by a fork: only forget it."""
        for file in (self._to, self._from, self._errors):
            file.close()
        if os.getpid() == self._owner:
            self._process.kill()  # it holds nothing worth keeping
            self._process.wait()
        else:
            self._process.returncode = 0  # so that Popen neither waits for another process's child nor warns of it

    def _how_it_ended(self) -> str:
        """In words; kills it if it has not ended."""
        try:
            code = self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return "it stopped answering"
        if self._interrupted:
            return "the decoder was closed meanwhile"
        if code == -signal.SIGXCPU:
            return f"it used more than {self._limits.cpu_seconds} s of processor time (Limits.cpu_seconds)"
        if code < 0:
            # Not signal.Signals(-code), which knows no name for most real-time signals and raises.
            return f"killed by {_SIGNALS.get(-code, f'signal {-code}')}"
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        last = lines[-1] if lines else f"exit status {code}"
        if last == "MemoryError" or "MemoryError:" in last:
            return f"it needed more memory than Limits.memory_bytes, {self._limits.memory_bytes:,}"
        return last[:500]


def _request(media: Media) -> tuple[dict[str, Any], list[bytes]]:
    payloads = [piece for piece in media.pieces() if isinstance(piece, bytes)]
    pieces = [
        {"path": str(piece.absolute())} if isinstance(piece, Path) else {"bytes": len(piece)}
        for piece in media.pieces()
    ]
    return {"kind": media.kind, "sequence": isinstance(media.source, tuple), "pieces": pieces}, payloads
