"""The test split of the made-up world: other items, half of the criteria in wordings that training never uses.

The location is its settings: ``families=unseen`` asks about families of criteria held out from training.
"""

from __future__ import annotations

from collections.abc import Iterator

from omnireward.miniature.world import World, samples
from omnireward.sources import BadRows, SampleSource
from omnireward.types import Sample


def _read(location: str, _bad_rows: BadRows) -> Iterator[Sample]:
    return samples(World.parse(location, World(prompts=60)), "test")


BENCHMARK = SampleSource(
    summary="a made-up world in all nine tasks with known truth; held-out items and wordings, offline",
    read=_read,
    recognises=lambda _folder: False,
)
