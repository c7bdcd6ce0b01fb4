"""Timing two or more ways of doing the same, side by side: rounds in which each way runs once, and their medians.

Interleaved, because a machine's speed drifts, and a ratio of times taken minutes apart would hold the drift. Run each
way once before, to fill caches; comparing what the ways give does that. CPU time is this process's own.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Times:
    """Medians over the rounds, in seconds."""

    cpu: float
    wall: float


def interleaved(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, Times]:
    """Run every way once in each round; the order turns by one from round to round."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    names = list(ways)
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            cpu, wall = time.process_time(), time.perf_counter()
            ways[name]()
            taken[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    return {
        name: Times(statistics.median(cpu for cpu, _ in pairs), statistics.median(wall for _, wall in pairs))
        for name, pairs in taken.items()
    }


def table_head() -> str:
    """The first two lines of a Markdown table of `table_row`s."""
    return "| what | ours, CPU s | reference, CPU s | ratio (CPU) | ratio (wall) |\n|---|--:|--:|--:|--:|"


def table_row(what: str, ours: Times, reference: Times) -> str:
    """One line of a Markdown table: a ratio above 1 says how many times faster ours is."""
    ratios = f"{reference.cpu / ours.cpu:.1f} | {reference.wall / ours.wall:.1f}"
    return f"| {what} | {ours.cpu:.4f} | {reference.cpu:.4f} | {ratios} |"


def last_line(ratios: Mapping[str, float | None]) -> str:
    """One JSON object: what a script prints last, so that other programs can read it. None: not measured."""
    return json.dumps({name: None if ratio is None else round(ratio, 3) for name, ratio in ratios.items()})
