"""Files of JSON lines that grow while a run goes on, and what a kill leaves of them.

Unusual: what is dropped is cut off where the file stands. Such a file may have gigabytes, and cutting is one step that
a kill cannot halve.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from pathlib import Path


def keep_while(path: Path, wanted: Callable[[bytes], bool]) -> None:
    """Cut a file off before the first line that is torn or not wanted; a file that is not there stays so."""
    if not path.is_file():
        return
    end = 0
    with path.open("rb") as file:
        for line in file:
            if not line.endswith(b"\n") or not wanted(line):
                break
            end += len(line)
    if end < path.stat().st_size:
        os.truncate(path, end)


def step_of(line: bytes) -> float:
    """The training step that a line is about; infinite where it tells none, as what a broken disk made up."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return math.inf


def append(path: Path, line: str) -> None:
    """Add a line, which ends in a line break, in one write."""
    with path.open("ab") as file:
        file.write(line.encode("ascii"))
