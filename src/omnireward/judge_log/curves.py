"""log.jsonl becomes curves: one value a logged step, thinned where there are more than a page can show."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

FILE = "log.jsonl"
POINTS = 400
"""Points that a curve has at most: more logged steps are told in stretches, each by its mean, lowest and highest."""
NAMES = 200  # figures of a log that are looked at; more are not the work of a trainer


@dataclass(frozen=True, slots=True)
class Curve:
    """A figure over steps, all fields of one length: at most `POINTS`, and nowhere a number that is not finite."""

    steps: Sequence[float]
    means: Sequence[float]
    lows: Sequence[float]
    highs: Sequence[float]

    def smooth(self) -> Sequence[float]:
        """Running means over about a twentieth of the points; the curve itself where it has few."""
        reach = len(self.means) // 40
        if reach == 0:
            return self.means
        found = []
        for place in range(len(self.means)):
            stretch = self.means[max(0, place - reach) : place + reach + 1]
            found.append(sum(stretch) / len(stretch))
        return found

    def ends(self) -> tuple[float, float]:
        """The mean of the first tenth of the points, and of the last (at least one)."""
        count = max(1, len(self.means) // 10)
        return sum(self.means[:count]) / count, sum(self.means[-count:]) / count


@dataclass(frozen=True, slots=True)
class Log:
    """What log.jsonl holds: the number of logged steps, the last of them, and a curve for each figure."""

    count: int
    last: float
    curves: Mapping[str, Curve]


def read_log(path: Path) -> Log:
    """The curves of a log; lines of one step count as one, and what cannot be read is passed over."""
    steps: dict[float, dict[str, float]] = {}
    for step, figures in _lines(path):
        steps.setdefault(step, {}).update(figures)
    ordered = sorted(steps)
    names = list(dict.fromkeys(name for step in ordered for name in steps[step]))[:NAMES]
    curves = {name: _thinned([(step, steps[step][name]) for step in ordered if name in steps[step]]) for name in names}
    return Log(len(ordered), ordered[-1] if ordered else 0.0, curves)


def _lines(path: Path) -> Iterator[tuple[float, dict[str, float]]]:
    if not path.is_file():
        return
    with path.open("rb") as file:
        for line in file:
            try:
                fields = json.loads(line)
            except (ValueError, RecursionError):
                continue  # torn by a kill, or being written
            step = _finite(fields.get("step")) if isinstance(fields, dict) else None
            if step is not None:
                figures = ((name, _finite(value)) for name, value in fields.items() if name != "step")
                yield step, {name: value for name, value in figures if value is not None}


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # JSON has whole numbers of any length
        return None


def _thinned(values: Sequence[tuple[float, float]]) -> Curve:
    count = min(POINTS, len(values))
    bounds = [place * len(values) // count for place in range(count + 1)] if count else [0]
    stretches = [values[start:end] for start, end in pairwise(bounds)]
    numbers = [[value for _, value in stretch] for stretch in stretches]
    return Curve(
        steps=[sum(step for step, _ in stretch) / len(stretch) for stretch in stretches],
        means=[sum(found) / len(found) for found in numbers],
        lows=[min(found) for found in numbers],
        highs=[max(found) for found in numbers],
    )
