"""The parts' criteria become one folder; of one prompt's samples, only so many may have the same criterion.

Samples of one prompt can lie in several parts, so this is decided when the parts are put together: by id, the first are
kept. Lines are sorted by prompt on the disk, so that memory holds one prompt's samples at a time.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from omnireward.construct.criteria_rules import words_of
from omnireward.construct.sorting import sort_lines
from omnireward.construct.tallies import Tally

SIBLING = "duplicate of a sibling"


def merge_siblings(samples: Sequence[Path], refused: Sequence[Path], most: int, out: tuple[Path, Path]) -> Tally:
    """Write the kept samples and all refusals, each sorted by id.

    Args:
        samples: files of samples.
        refused: files of refusals.
        most: samples of one prompt that may share a criterion; 0 for any number.
        out: where to write samples and refusals.

    Returns:
        What was refused here, and what it favoured.
    """
    tally = Tally()
    with TemporaryDirectory(dir=out[0].parent, prefix=".merging-") as temporary:
        sorted_by_prompt, kept, more = (Path(temporary) / name for name in ("sorted", "kept", "refused"))
        sort_lines(samples, sorted_by_prompt, key="cluster")
        with ExitStack() as stack:
            lines = stack.enter_context(sorted_by_prompt.open(encoding="utf-8"))
            kept_file, more_file = (stack.enter_context(path.open("w", encoding="utf-8")) for path in (kept, more))
            for text, row, too_many in _counted(lines, most):
                if not too_many:
                    kept_file.write(text)
                    continue
                record = {"id": row["id"].rpartition("/")[0], "criterion": row["criterion"], "reason": SIBLING}
                more_file.write(json.dumps(record | {"attempt": -1, "line": -1}, separators=(",", ":")) + "\n")
                named = row["provenance"]["source"]
                tally.add(named, row["task"], f"reason {SIBLING}")
                tally.add(named, row["task"], f"taken {row['preference']}", -1)
        sort_lines([kept], out[0])
        sort_lines([*refused, more], out[1])
    return tally


def _counted(lines: Iterator[str], most: int) -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Each line, its row, and whether there are enough of its criterion already."""
    read = ((text, json.loads(text)) for text in lines)
    for _, group in groupby(read, lambda one: one[1]["cluster"]):
        times = Counter[str]()
        # Lines begin with the id, so those of one prompt stand in its order.
        for text, row in group:
            said = " ".join(words_of(row["criterion"]))
            times[said] += 1
            yield text, row, most > 0 and times[said] > most
