"""Training sources: one file each, each defining `DATASET`, a `SampleSource`."""
