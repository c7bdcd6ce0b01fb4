"""From preferences to criterion-conditioned preference data (paper section 4): criteria, verification, a mixture.

Each step reads samples and writes a folder of samples (`sample_rows`). Steps that take long run in parts (`parts`) and
resume from journals.
"""
