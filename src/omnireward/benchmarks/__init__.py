"""Benchmarks: one file each, each defining `BENCHMARK`, a `SampleSource`."""
