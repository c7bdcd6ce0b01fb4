"""Training: what a loss is (`losses`), what a run reads (`mixing`), and the runs themselves."""
