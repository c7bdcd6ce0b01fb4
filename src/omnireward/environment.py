"""Versions and the machine, in words, for a bug report. Reads package metadata only; imports none of the packages."""

from __future__ import annotations

import os
import platform
from importlib import metadata

import omnireward

PACKAGES = ("torch", "transformers", "numpy", "pyarrow", "pillow", "av", "trimesh", "embreex", "huggingface_hub")


def describe() -> str:
    """One line for omnireward, Python and the platform, one for processors and threads, one for each package."""
    lines = [
        f"omnireward {omnireward.__version__}, Python {platform.python_version()}, {platform.platform()}",
        f"{os.cpu_count()} processors, OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', 'not set')}",
    ]
    for name in PACKAGES:
        try:
            lines.append(f"{name} {metadata.version(name)}")
        except metadata.PackageNotFoundError:
            lines.append(f"{name} is not installed")
    return "\n".join(lines)
