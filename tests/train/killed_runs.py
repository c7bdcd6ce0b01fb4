"""Forks training runs, kills each at a moment of its own, lets them resume, and compares what they leave.

`python killed_runs.py FOLDER SEED` prints one JSON line for each run. It is a program of its own because it forks: the
children take over torch and transformers as they are, where starting an interpreter for each would cost seconds, and
there must be no other thread. Children kill themselves with SIGKILL, which runs no handler and flushes nothing.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial, wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psutil  # type: ignore[import-untyped]
import torch

from omnireward import plugins
from omnireward.backbones import BackboneFamily
from omnireward.miniature.lessons import lessons
from omnireward.miniature.world import World
from omnireward.train import base, bradley_terry, mixing, teach
from omnireward.train.config import TrainConfig
from omnireward.types import Comparison, Preference, Sample, Task, Text, Turn

STEPS, SAVE_EVERY, LOG_EVERY = 8, 2, 3
RUNS, BY_MOMENT = 25, 17  # so many are killed at moments that are counted, the others by the clock of their processor
# Everything by which a save changes the disk. Each call is a moment before it, a moment half-way through it where it
# writes, and a moment after it.
CHANGES: tuple[tuple[Any, str], ...] = (
    (os, "fsync"),
    (os, "rename"),
    (os, "replace"),
    (os, "unlink"),
    (os, "rmdir"),
    (torch, "save"),
    (Path, "write_text"),
)


PREFERENCES: tuple[Preference, ...] = ("a", "b", "b", "a", "a", "b", "a", "b", "a", "tie")


def data(*_: object) -> Iterator[Sample]:
    """Ten pairs of texts; one of them is a tie."""
    for n in range(10):
        comparison = Comparison((Turn("user", (Text(f"Name {n}."),)),), (Text("one"),), (Text("two"),), f"Be {n}.")
        yield Sample(f"sample {n}", Task.T2T, comparison, PREFERENCES[n], f"cluster {n}", (), {})


def config(out: Path) -> TrainConfig:
    """Ten pairs in steps of four: an epoch has three, so saves come within epochs, and lines of the log span saves."""
    return TrainConfig(
        out=out,
        datasets={"texts": 1.0},
        teach_towers=1,
        teach_language=1,
        steps=STEPS,
        epochs=9.0,
        batch_size=4,
        accumulation=1,
        learning_rate=1e-3,
        head_dropout=0.1,
        save_every=SAVE_EVERY,
        log_every=LOG_EVERY,
    )


def forked(work: Callable[[], object], seconds: float | None = None) -> int:
    """Run it in a child, and kill the child when it has computed for so long; returns its exit code, or -signal."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            work()
            code = 0
        finally:
            sys.stderr.flush()
            os._exit(code)
    if seconds is not None:
        process = psutil.Process(child)
        while process.status() != psutil.STATUS_ZOMBIE and sum(process.cpu_times()[:2]) < seconds:
            time.sleep(0.005)
        process.kill()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def train(out: Path, resume: bool) -> None:
    bradley_terry.train(replace(config(out), resume=resume))


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def counted(moment: Callable[[], None]) -> None:
    """Have `moment` called before and after everything that changes the disk, and in the middle of `torch.save`."""
    for place, name in CHANGES:
        plain = getattr(place, name)

        @wraps(plain)
        def changed(*given: Any, plain: Any = plain, **more: Any) -> Any:
            moment()
            if plain is PLAIN_SAVE and isinstance(given[1], str):
                plain(*given, **more)
                written = Path(given[1]).read_bytes()
                os.truncate(given[1], len(written) // 2)
                moment()
                PLAIN_WRITE(Path(given[1]), written)
                result = None
            else:
                result = plain(*given, **more)
            moment()
            return result

        setattr(place, name, changed)


PLAIN_SAVE, PLAIN_WRITE = torch.save, Path.write_bytes


def train_counting(out: Path, resume: bool, left: int) -> None:
    """Train, and die at the moment when `left` moments have passed; with -1 write down how many there were."""
    passed = 0

    def moment() -> None:
        nonlocal passed
        if passed == left:
            die()
        passed += 1

    counted(moment)
    train(out, resume)
    if left < 0:
        PLAIN_WRITE(out.with_name("moments"), str(passed).encode())


def left_behind(out: Path) -> dict[str, str]:
    """Digests of what a run is for: weights, head, lines of the log without times, counts; and names of all else."""
    logged = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
    digests = {
        name: hashlib.sha256((out / name).read_bytes()).hexdigest()
        for name in ("model.safetensors", "value_head.safetensors", "tokenizer.json", "omnireward.json", "data.json")
    }
    lines = [line for line in logged if "loss" in line]
    names = sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.suffix != ".yaml")
    return digests | {"log": json.dumps(lines), "names": " ".join(names)}


def main(folder: Path, seed: int) -> None:
    taught = [one for one in lessons(World(prompts=1)) if one.media][:3]
    backbone = cast(BackboneFamily, plugins.load("backbones", "minicpm_o")).tiny([], 0)
    media, labels = teach._prepared(cast(Any, SimpleNamespace(backbone=backbone)), taught, lambda: None)
    backbone.close()  # its decoding processes are not to be forked
    cheaper: tuple[tuple[Any, str, object], ...] = (
        (base, "lessons", lambda _: iter(taught)),
        (teach, "_prepared", lambda *_: (dict(media), labels)),
        (mixing, "read_place", data),
        (teach, "BATCH", 2),
        (torch.optim, "Muon", partial(torch.optim.Muon, ns_steps=1)),  # its bfloat16 is slow on a CPU
    )
    for place, name, value in cheaper:
        setattr(place, name, value)
    torch.set_num_threads(1)
    gc.freeze()  # or each child would look through all that was imported
    straight, counting = folder / "straight", folder / "counting"
    assert forked(lambda: train(straight, False)) == 0
    wanted = left_behind(straight)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert forked(lambda: train_counting(counting, False, -1)) == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    moments = int((folder / "moments").read_text())
    assert left_behind(counting) == wanted  # counting changes nothing
    say(moments=moments, seconds=whole, wanted=wanted)
    draw = random.Random(seed)
    for n in range(RUNS):
        out = folder / f"run {n}"
        if n < BY_MOMENT:
            at = moments * (n + draw.random()) / BY_MOMENT
            ends = [forked(partial(train_counting, out, False, int(at)))]
        else:
            at = whole * (n - BY_MOMENT + draw.random()) / (RUNS - BY_MOMENT)
            while (end := forked(partial(train, out, False), at)) == 0:  # it was through sooner
                shutil.rmtree(out)
                at *= 0.9
            ends = [end]
        left = sorted(path.name for path in out.glob("*") if path.is_dir())
        if n % 4 == 0:  # some are killed once more while they resume
            ends.append(forked(partial(train_counting, out, True, draw.randrange(moments // 9))))
        ends.append(forked(partial(train, out, True)))
        found = left_behind(out) if ends[-1] == 0 else {}
        say(at=at, ends=ends, left=left, other=[name for name, value in wanted.items() if found.get(name) != value])
        shutil.rmtree(out, ignore_errors=True)


def say(**what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
