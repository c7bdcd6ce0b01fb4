"""A folder of samples, as `omnireward construct` and `omnireward annotate` write it: read as training data."""

from __future__ import annotations

from omnireward.sample_rows import FILE, read_samples, recognises, write_example
from omnireward.sources import SampleSource

DATASET = SampleSource(
    summary="samples as the construct and annotate verbs write them",
    read=read_samples,
    recognises=recognises,
    looks_for=f"{FILE}, or .parquet files with the columns of samples",
    example=write_example,
)
