"""Several servers of one judge on one machine, a process for each device, watched by this one.

    --port 8000 --replicas 2        8000 ─┬─ replica 0, also at 8001
                                          └─ replica 1, also at 8002

All replicas accept connections of the shared port, so any client can ask there; one that balances by itself, as ours
does, is given the ports of their own. One that dies is started again, and what it was asked meets a broken connection:
whoever asked asks again. Uploads are kept in a folder that all share.
"""

from __future__ import annotations

import logging
import math
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

from omnireward.errors import RecipeError
from omnireward.listening import address
from omnireward.media.children import processors
from omnireward.serve.config import ServeConfig
from omnireward.serve.replica import GRACE, Orders, Up
from omnireward.serve.run import bound

logger = logging.getLogger("omnireward.serve")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds before one that died is started again
_STEADY = 60.0  # seconds after which the next pause is the first one again
_ENDED, _NEVER_UP = 0, 255  # words in the pipe, beside numbers of signals


def serve(config: ServeConfig, keys: Sequence[str], tell: Callable[[str], None]) -> None:
    """Serve, and tell where, once all are up, until SIGTERM or Ctrl-C: then each finishes what it accepted.

    A second Ctrl-C ends at once.

    Raises:
        RecipeError: a port cannot be had, or a replica did not come up.
    """
    with bound(config) as shared, TemporaryDirectory(prefix="omnireward-uploads-") as uploads:
        Replicas(config, keys, shared, Path(uploads), tell).run()


class Replicas:
    """The processes. The main thread waits for signals; each replica has a thread that keeps it up.

    Args:
        config: of the whole server.
        keys: API keys.
        shared: the socket that all listen on, bound.
        uploads: the folder that all share.
        tell: told where the judge is served, once all are up.
    """

    def __init__(
        self,
        config: ServeConfig,
        keys: Sequence[str],
        shared: socket.socket,
        uploads: Path,
        tell: Callable[[str], None],
    ) -> None:
        self._config, self._keys, self._shared, self._uploads, self._tell = config, tuple(keys), shared, uploads, tell
        first = shared.getsockname()[1] + 1 if config.port else 0
        self._ports = [first + number if first else 0 for number in range(config.replicas)]
        self._environs = environs(config.replicas, cuda_devices(os.environ), os.environ)
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._up: set[int] = set()  # those that were up once
        self._revision: str | None = None  # of the model that all serve
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._wrong = ""  # why it cannot go on
        # A handler of signals may hold no lock, which the main thread may have just then; it may write to a pipe.
        self._ear, self._mouth = os.pipe()

    def run(self) -> None:
        """Until the end of all of them."""
        before = {kind: signal.signal(kind, self._told) for kind in (signal.SIGTERM, signal.SIGINT)}
        threads = [threading.Thread(target=self._keep_up, args=(number,)) for number in range(self._config.replicas)]
        try:
            for thread in threads:
                thread.start()
            self._listen(threads)
            for thread in threads:
                thread.join()
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)
            os.close(self._ear)
            os.close(self._mouth)
        if self._wrong:
            raise RecipeError(self._wrong)

    def _listen(self, threads: Sequence[threading.Thread]) -> None:
        until = math.inf
        while any(thread.is_alive() for thread in threads):
            word = self._heard(until)
            if word is None:
                self._signal(signal.SIGKILL)
                until = math.inf
            elif word == _ENDED:
                continue
            elif not self._ending.is_set():
                self._ending.set()
                self._signal(signal.SIGTERM)
                until = time.monotonic() + self._config.notice + self._config.drain + GRACE
            elif word == signal.SIGINT:
                self._signal(signal.SIGINT)

    def _heard(self, until: float) -> int | None:
        """The next word in the pipe; None where there is none until then."""
        left = None if until == math.inf else max(0.0, until - time.monotonic())
        ready, _, _ = select.select([self._ear], [], [], left)
        return os.read(self._ear, 1)[0] if ready else None

    def _told(self, kind: int, _frame: FrameType | None) -> None:
        self._say(kind)

    def _say(self, word: int) -> None:
        os.write(self._mouth, bytes([word]))

    def _signal(self, kind: int) -> None:
        for process in list(self._processes.values()):
            process.send_signal(kind)  # does nothing to one that has ended

    def _keep_up(self, number: int) -> None:
        pause = FIRST_PAUSE
        while not self._ending.is_set():
            begun = time.monotonic()
            how = self._one_life(number)
            if self._ending.is_set():
                break
            if number not in self._up:
                self._wrong = self._wrong or f"replica {number} did not come up ({how}); what it said stands above."
                self._say(_NEVER_UP)
                break
            if time.monotonic() - begun > _STEADY:
                pause = FIRST_PAUSE
            logger.error("replica %d ended (%s); it is started again in %g s.", number, how, pause)
            self._ending.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        self._say(_ENDED)

    def _one_life(self, number: int) -> str:
        """From start to end; how it ended."""
        orders = Orders(
            config=replace(self._config, port=self._ports[number]),
            number=number,
            keys=self._keys,
            shared=self._shared.fileno(),
            uploads=self._uploads,
            revision=self._revision,
        )
        try:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "omnireward.serve.replica"],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[self._shared.fileno()],
                env=self._environs[number],
                start_new_session=True,  # a Ctrl-C of the terminal is this process's to pass on
            )
        except OSError as error:  # no memory, no more processes
            return str(error)
        assert process.stdin is not None
        assert process.stdout is not None
        self._processes[number] = process
        if self._ending.is_set():  # told while it was started
            process.terminate()
        with process:
            try:
                process.stdin.write(orders.line())
                if line := process.stdout.readline():
                    self._came_up(number, Up.read(line))
            except (OSError, ValueError, TypeError, KeyError) as error:  # it has died already, or says something else
                process.kill()
                return f"{type(error).__name__}: {error}"
            return f"exit code {process.wait()}"  # its stdin stays open until then: it ends with it

    def _came_up(self, number: int, up: Up) -> None:
        with self._lock:
            self._revision = self._revision or up.revision
            if up.revision != self._revision:  # it changed while they started: orders name it only after that
                self._wrong = f"{self._config.judge} changed while the replicas were started; start again."
                self._say(_NEVER_UP)
                return
            self._ports[number] = up.port  # a free one is taken again
            if number in self._up:
                logger.info("replica %d is up again.", number)
                return
            self._up.add(number)
            if len(self._up) == self._config.replicas:
                where = address(self._config.host, self._shared.getsockname()[1])
                own = ",".join(address(self._config.host, port) for port in self._ports)
                self._tell(f"{self._config.model_name} is served at {where} by {len(self._up)} replicas: {own}")


def cuda_devices(environ: Mapping[str, str]) -> list[str]:
    """The CUDA devices that this process may use, as CUDA_VISIBLE_DEVICES names them; none on a machine without.

    >>> cuda_devices({"CUDA_VISIBLE_DEVICES": "2,GPU-8a"}), cuda_devices({"CUDA_VISIBLE_DEVICES": ""})
    (['2', 'GPU-8a'], [])
    """
    named = environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [name.strip() for name in named.split(",") if name.strip() and name.strip() != "-1"]
    # In a process of its own: this one stays small, and touches no device.
    code = "import importlib.util as u\nprint(__import__('torch').cuda.device_count() if u.find_spec('torch') else 0)"
    counted = subprocess.run([sys.executable, "-P", "-c", code], stdout=subprocess.PIPE, check=True, text=True)
    return [str(number) for number in range(int(counted.stdout))]


def environs(count: int, devices: Sequence[str], environ: Mapping[str, str]) -> list[dict[str, str]]:
    """The environment of each replica: one device each, in turn where there are fewer; else a share of the cores.

    >>> [one["CUDA_VISIBLE_DEVICES"] for one in environs(3, ["0", "1"], {})]
    ['0', '1', '0']
    """
    if devices:
        return [dict(environ) | {"CUDA_VISIBLE_DEVICES": devices[number % len(devices)]} for number in range(count)]
    threads = str(max(1, processors() // count))
    return [{"OMP_NUM_THREADS": threads} | dict(environ) for _ in range(count)]
