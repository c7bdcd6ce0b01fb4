"""What a source holds: counts, ties, media, lengths, duplicates, overlap with benchmarks."""
