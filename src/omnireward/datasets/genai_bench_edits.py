"""GenAI-Bench's votes on edited images, to train on: the config image_edition of the benchmark, and nothing else.

The benchmark `genai_bench` reads the files (TIGER-Lab/GenAI-Bench); what is unusual about them is said there. A vote
that both edits are bad is a tie, as there; which kind of tie it was is in the provenance.

Unusual:

* These are rows of a benchmark, and Omni-RewardBench's image edits come from them too. What is trained on them can no
  longer be measured on either.
* The splits test and test_v1 (train and train_v1 in older revisions) may overlap. All are read; a sample's group says
  which one it is from.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from omnireward.errors import BadRowError, SourceError
from omnireward.parquet_files import parquet_files
from omnireward.plugins import load
from omnireward.sources import BadRows, SampleSource
from omnireward.types import Sample

HOME = "hub:TIGER-Lab/GenAI-Bench"
CONFIG = "image_edition"


class _OfEdits(BadRows):
    """Lets through what is said about the rows of this config; the others are nobody's business here."""

    def __init__(self, told: BadRows) -> None:
        super().__init__(skip=told.skip)
        self._told = told

    def add(self, error: BadRowError) -> None:
        if CONFIG in PurePosixPath(error.file).parts[:-1]:
            self._told.add(error)


def _benchmark() -> SampleSource:
    benchmark = load("benchmarks", "genai_bench")
    assert isinstance(benchmark, SampleSource)
    return benchmark


def _read(location: str, bad_rows: BadRows) -> Iterator[Sample]:
    found = False
    for sample in _benchmark().read(location, _OfEdits(bad_rows)):
        if sample.provenance["config"] == CONFIG:
            found = True
            yield sample
    if not found:
        raise SourceError(f"{location or HOME} holds no votes on edits: no usable row in a folder {CONFIG}.")


def _recognises(folder: Path) -> bool:
    edits = any(CONFIG in path.relative_to(folder).parts[:-1] for path in parquet_files(folder))
    return edits and _benchmark().recognises(folder)


def _example(folder: Path) -> None:
    write = _benchmark().example
    assert write is not None
    write(folder)


DATASET = SampleSource(
    summary="GenAI-Bench's votes on edited images, which are a benchmark's rows: mind what you measure on",
    read=_read,
    recognises=_recognises,
    home=HOME,
    licence="cc-by-4.0",
    looks_for=f"{CONFIG}/*.parquet with a column vote_type",
    example=_example,
)
