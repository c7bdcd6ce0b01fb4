"""SpeakBench as a training source: the benchmark's samples, unchanged."""

from __future__ import annotations

from pathlib import Path

import pytest

from omnireward.datasets.speakbench import DATASET, HOME
from omnireward.errors import SourceError
from omnireward.plugins import load
from omnireward.sources import BadRows, SampleSource


def test_samples_are_the_benchmarks(tmp_path: Path) -> None:
    benchmark = load("benchmarks", "speakbench")
    assert isinstance(benchmark, SampleSource)
    assert benchmark.home == HOME
    assert benchmark.example is not None
    benchmark.example(tmp_path)
    samples = list(DATASET.read(str(tmp_path), BadRows()))
    assert samples == list(benchmark.read(str(tmp_path), BadRows()))
    assert [sample.preference for sample in samples] == ["a", "tie"]


def test_folder_without_rows(tmp_path: Path) -> None:
    assert DATASET.recognises(tmp_path) is False
    with pytest.raises(SourceError, match="SpeakBench"):
        list(DATASET.read(str(tmp_path), BadRows()))
