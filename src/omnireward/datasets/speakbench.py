"""SpeakBench's votes on spoken answers, to train on: the rows of the benchmark, as it reads them.

The benchmark `speakbench` reads the files (potsawee/speakbench-v1-labelled-508); what is unusual about them is said
there. Its ties are kept.

Unusual:

* These are the rows of a benchmark. What is trained on them can no longer be measured on it.
* The instruction that the benchmark's authors leave out of their figures, number 0, is here like any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from omnireward.plugins import load
from omnireward.sources import BadRows, SampleSource
from omnireward.types import Sample

HOME = "hub:potsawee/speakbench-v1-labelled-508"


def _benchmark() -> SampleSource:
    benchmark = load("benchmarks", "speakbench")
    assert isinstance(benchmark, SampleSource)
    return benchmark


def _read(location: str, bad_rows: BadRows) -> Iterator[Sample]:
    yield from _benchmark().read(location, bad_rows)


def _example(folder: Path) -> None:
    write = _benchmark().example
    assert write is not None
    write(folder)


DATASET = SampleSource(
    summary="SpeakBench's votes on spoken answers, which are a benchmark's rows: mind what you measure on",
    read=_read,
    recognises=lambda folder: _benchmark().recognises(folder),
    home=HOME,
    looks_for=".parquet files with the columns instruction, instruction_text, audio_a, audio_b and label",
    example=_example,
)
