"""People write criteria and vote under them, on a page served here (paper appendix D)."""
