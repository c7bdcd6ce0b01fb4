"""Several servers of one judge on one machine, a process for each device, watched by this one.

    --port 8000 --replicas 2        8000 ─┬─ replica 0, also at 8001
                                          └─ replica 1, also at 8002

All replicas accept connections of the shared port, so any client can ask there; one that balances by itself, as ours
does, is given the ports of their own. One that dies is started again, and what it was asked meets a broken connection:
whoever asked asks again. Uploads are kept in a folder that all share.
"""

from __future__ import annotations

import logging
import os
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
from omnireward.media.children import processors
from omnireward.serve.config import ServeConfig
from omnireward.serve.replica import Orders
from omnireward.serve.run import address, bound

logger = logging.getLogger("omnireward.serve")

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0  # seconds before one that died is started again
_STEADY = 60.0  # seconds after which the next pause is the first one again
_GRACE = 15.0  # seconds beyond notice and drain for a process to end


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
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._never_up: int | None = None  # a replica

    def run(self) -> None:
        """Until the end of all of them."""
        before = {kind: signal.signal(kind, self._told) for kind in (signal.SIGTERM, signal.SIGINT)}
        threads = [threading.Thread(target=self._keep_up, args=(number,)) for number in range(self._config.replicas)]
        try:
            for thread in threads:
                thread.start()
            self._ending.wait()
            until = time.monotonic() + self._config.notice + self._config.drain + _GRACE
            for thread in threads:
                thread.join(max(0.0, until - time.monotonic()))
            self._signal(signal.SIGKILL)
            for thread in threads:
                thread.join()
        finally:
            for kind, handler in before.items():
                signal.signal(kind, handler)
        if self._never_up is not None:
            raise RecipeError(f"replica {self._never_up} did not come up; what it said stands above.")

    def _told(self, kind: int, _frame: FrameType | None) -> None:
        again = kind == signal.SIGINT and self._ending.is_set()
        self._ending.set()
        self._signal(signal.SIGINT if again else signal.SIGTERM)

    def _signal(self, kind: int) -> None:
        for process in list(self._processes.values()):
            process.send_signal(kind)  # does nothing to one that has ended

    def _keep_up(self, number: int) -> None:
        pause = FIRST_PAUSE
        while not self._ending.is_set():
            begun = time.monotonic()
            code = self._one_life(number)
            if self._ending.is_set():
                return
            if number not in self._up:
                self._never_up = number
                self._ending.set()
                self._signal(signal.SIGTERM)
                return
            if time.monotonic() - begun > _STEADY:
                pause = FIRST_PAUSE
            logger.error("replica %d ended with %d; it is started again in %g s.", number, code, pause)
            self._ending.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _one_life(self, number: int) -> int:
        orders = Orders(
            config=replace(self._config, port=self._ports[number]),
            number=number,
            keys=self._keys,
            shared=self._shared.fileno(),
            uploads=self._uploads,
        )
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "omnireward.serve.replica"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[self._shared.fileno()],
            env=self._environs[number],
            start_new_session=True,  # a Ctrl-C of the terminal is this process's to pass on
        )
        assert process.stdin is not None
        assert process.stdout is not None
        self._processes[number] = process
        if self._ending.is_set():  # told while it was started
            process.terminate()
        with process:
            try:
                process.stdin.write(orders.line())
                process.stdin.flush()
            except BrokenPipeError:  # it has died already
                return process.wait()
            if port := process.stdout.readline():
                self._came_up(number, int(port))
            return process.wait()  # its stdin stays open until then: it ends with it

    def _came_up(self, number: int, port: int) -> None:
        with self._lock:
            self._ports[number] = port  # a free one is taken again
            if number in self._up:
                logger.info("replica %d is up again.", number)
                return
            self._up.add(number)
            if len(self._up) == self._config.replicas:
                where = address(self._config, self._shared.getsockname()[1])
                own = ",".join(address(self._config, port) for port in self._ports)
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
