"""What a source holds: counts, ties, media, lengths, duplicates, overlap with benchmarks."""

from omnireward.inspection.build import inspect_source
from omnireward.inspection.config import InspectConfig
from omnireward.inspection.findings import Inspection
from omnireward.inspection.terminal import render_terminal

__all__ = ["InspectConfig", "Inspection", "inspect_source", "render_terminal"]
