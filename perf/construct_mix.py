"""Mixing at scale: time and peak memory by the number of rows, each size in a process of its own.

Run from the project's root:  OMP_NUM_THREADS=1 python -m perf.construct_mix [ROWS ...]

Rows are made-up text: two samples for each prompt, a criterion in two of three, a tie in one of seven, a tenth of them
there twice, a thousandth in a benchmark. They go through both passes into two splits, as a folder of samples and, up
to 100,000, as Parquet. Peak memory is the process's own high-water mark (ru_maxrss); that of a mixture of ten rows is
printed too, because most of it is Python with its libraries.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from perf.rounds import last_line

from omnireward.construct.mix import mix
from omnireward.construct.mix_config import MixConfig
from omnireward.construct.mix_form import FormName
from omnireward.sample_rows import SampleWriter
from omnireward.types import Comparison, Sample, Task, Text, Turn

SIZES = (10_000, 100_000, 1_000_000)
SMALLEST = 10
PARQUET = 100_000  # the largest size that is also written as Parquet


@dataclass(frozen=True, slots=True)
class Run:
    """What one mixture took: CPU and wall seconds, and MiB; and how many samples it holds."""

    cpu: float
    wall: float
    peak: float
    samples: int


def made_up(count: int) -> Iterator[Sample]:
    """Rows of about 700 bytes."""
    for number in range(count):
        row = number - 1 if number % 10 == 9 else number  # the tenth repeats the ninth
        asked = f"Question {row // 2}: what is there to say about the thing with the number {row // 2}? " * 2
        answers = (f"Answer {row} is " + "long and good " * 8, f"Answer {row} is " + "short and bad " * 8)
        comparison = Comparison(
            (Turn("user", (Text(asked),)),),
            (Text(answers[0]),),
            (Text(answers[1]),),
            f"The answer should be number {row % 17}." if row % 3 else "",
        )
        yield Sample(f"row {number}", Task.T2T, comparison, "tie" if row % 7 == 0 else "a", f"prompt {row // 2}")


def write_rows(where: Path, count: int) -> None:
    """The rows, and a benchmark that holds every thousandth."""
    with SampleWriter(where / "rows") as rows, SampleWriter(where / "benchmark") as benchmark:
        for number, sample in enumerate(made_up(count)):
            rows.add(sample)
            if number % 1000 == 0:
                benchmark.add(sample)


def one(where: Path, form: FormName) -> Run:
    """Mix in this process."""
    config = MixConfig(
        sources={f"samples:{where / 'rows'}": 1.0},
        out=where / form,
        benchmarks=(f"samples:{where / 'benchmark'}",),
        splits={"train": 0.98, "validation": 0.02},
        form=form,
    )
    cpu, wall = time.process_time(), time.perf_counter()
    samples = mix(config).samples
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Run(cpu, wall, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, samples)


def measured(count: int, form: FormName) -> Run:
    """Mix in a process of its own; the rows are made in another."""
    spawn = multiprocessing.get_context("spawn")
    with TemporaryDirectory() as where:
        writing = spawn.Process(target=write_rows, args=(Path(where), count))
        writing.start()
        writing.join()
        with spawn.Pool(1) as pool:
            return pool.apply(one, (Path(where), form))


def main() -> None:
    sizes = [int(word) for word in sys.argv[1:]] or list(SIZES)
    print("| rows | form | samples | CPU s | wall s | CPU µs a row | peak MiB |\n|--:|---|--:|--:|--:|--:|--:|")
    found: dict[str, float | None] = {}
    for count in (SMALLEST, *sizes):
        forms: tuple[FormName, ...] = ("samples", "parquet") if count <= PARQUET else ("samples",)
        for form in forms:
            run = measured(count, form)
            each = f"{1e6 * run.cpu / count:.0f}" if count > SMALLEST else "–"
            numbers = f"{run.samples:,} | {run.cpu:.1f} | {run.wall:.1f} | {each} | {run.peak:.0f}"
            print(f"| {count:,} | {form} | {numbers} |", flush=True)
            found |= {f"{count}_{form}_cpu": run.cpu, f"{count}_{form}_peak": run.peak}
    print(last_line(found))


if __name__ == "__main__":
    main()
