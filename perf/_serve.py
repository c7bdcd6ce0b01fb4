"""What the measurements of serving share: a model's folder, a server of it in a process of its own, and what to ask."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from perf._ways import HEAD_SHARE_OF_7B, new_model, small_config

from omnireward.media import encode
from omnireward.miniature.world import World, samples
from omnireward.serve.asking import Ask
from omnireward.types import Media, Task, Text, Turn

SIDE = 56  # pixels of a picture that nobody has seen before


def model_folder(folder: Path) -> Path:
    """A checkpoint with random weights: hidden 512, 6 layers, towers for pictures and sound."""
    if not folder.exists():
        new_model(small_config(HEAD_SHARE_OF_7B)).save(folder)
    return folder


def mixed(each: int) -> list[Ask]:
    """Both responses of so many samples of each of the nine tasks, under their criteria; the tasks take turns."""
    by_task: dict[Task, list[Ask]] = {}
    for sample in samples(World(prompts=max(1, each // 2)), "test"):
        c = sample.comparison
        by_task.setdefault(sample.task, []).append(Ask(c.prompt, (c.response_a, c.response_b), c.criterion))
    return [asks[number] for number in range(each) for asks in by_task.values() if number < len(asks)]


def unseen(number: int) -> Ask:
    """A question about a picture that no other number has."""
    pixels = np.random.default_rng(number).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    prompt = Turn("user", (Media("image", encode.png(pixels)), Text("What does it show?")))
    return Ask((prompt,), ((Text("Noise."),), (Text(f"The number {number}."),)), "It should be short.")


@dataclass
class Program:
    """A server in a process of its own; `seconds` passed until it was ready."""

    process: subprocess.Popen[str]
    url: str
    own: str  # addresses of its replicas, or its one address
    seconds: float
    log: Path

    def children(self) -> list[int]:
        """Process ids of those that it started, and of theirs."""
        return _children(self.process.pid)

    def mib(self) -> float:
        """Memory of it and its children, what they share counted once: PSS."""
        return sum(_pss(pid) for pid in [self.process.pid, *self.children()]) / 1024

    def replica_pids(self) -> list[int]:
        """Those that this process started itself."""
        found = subprocess.run(["ps", "--ppid", str(self.process.pid), "-o", "pid="], stdout=subprocess.PIPE, text=True)
        return [int(pid) for pid in found.stdout.split()]


@contextmanager
def program(folder: Path, log: Path, *flags: str) -> Iterator[Program]:
    """`omnireward serve` until the end of the block."""
    code = "import sys; from omnireward.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "serve", "--judge", f"reward:{folder}", "--port", "0", *flags]
    environ = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    begun = time.perf_counter()
    with log.open("wb") as err:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, env=environ, text=True)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert " is served at http" in said, log.read_text()
        where = said.split(" is served at ")[1].strip()
        url, _, own = where.partition(" by 2 replicas: ")
        yield Program(process, url, own or url, time.perf_counter() - begun, log)
    finally:
        process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def _children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], stdout=subprocess.PIPE, text=True)
    own = [int(one) for one in found.stdout.split()]
    return [*own, *(below for one in own for below in _children(one))]


def _pss(pid: int) -> int:
    """KiB."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def near(found: Sequence[float], expected: Sequence[float]) -> bool:
    """Whether rewards are the same, within 1e-5."""
    return len(found) == len(expected) and max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= 1e-5
