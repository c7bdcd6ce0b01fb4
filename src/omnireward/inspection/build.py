"""A source goes in, an `Inspection` comes out: one pass over the source and over each benchmark, then questions."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from omnireward import gallery
from omnireward.errors import MissingExtraError
from omnireward.fingerprints import NearIndex, picture_hash, text_signature
from omnireward.inspection import comparing
from omnireward.inspection.bad_rows import CountedBadRows
from omnireward.inspection.config import InspectConfig
from omnireward.inspection.findings import (
    BadRowCounts,
    Inspection,
    MediaCount,
    MediaProblem,
    Overlap,
    Sides,
)
from omnireward.inspection.histogram import Histogram, Spread
from omnireward.inspection.reading import Reader, Tally, Tools
from omnireward.inspection.shares import clustered_share
from omnireward.inspection.store import Store
from omnireward.inspection.write import write
from omnireward.media import Decoder
from omnireward.progress import Progress
from omnireward.sample_text import printable
from omnireward.sources import SampleSource, open_place
from omnireward.types import Task

REASONS = 20  # of bad rows that are listed
PROBLEMS = 10  # media that are listed


def inspect_source(config: InspectConfig) -> Inspection:
    """Look into a source; with `out`, write inspection.json and inspection.html.

    What cannot be used is counted and passed over. Memory does not grow with the source; a file in the system's folder
    for temporary files (TMPDIR) does, by some kilobytes for each sample.

    Raises:
        UnknownNameError, SourceError: the source or a benchmark cannot be opened or read on.
    """
    source = open_place(config.kind, config.place)
    benchmarks = [open_place("benchmarks", place) for place in config.against]
    with TemporaryDirectory(prefix="omnireward-inspect-") as folder, ExitStack() as stack:
        tools, not_done = _tools(config, Path(folder), stack)
        shelf = gallery.Shelf(config.shown if config.out else 0)
        bad_rows = CountedBadRows()
        reader = Reader(tools, 0, 0)
        _read(source, reader, bad_rows, config.limit, config.place, shelf)
        samples = reader.number
        overlaps: list[Overlap] = []
        for origin, (place, benchmark) in enumerate(zip(config.against, benchmarks, strict=True), 1):
            theirs, bad = Reader(tools, origin, reader.number), CountedBadRows()
            _read(benchmark, theirs, bad, None, place, gallery.Shelf(0))
            overlaps.append(Overlap(place, theirs.number - reader.number, bad.total, 0, ()))
            reader.number = theirs.number
        tools.store.finish()
        for origin, found in enumerate(overlaps, 1):
            any_kind, counts = comparing.overlap(tools.store, tools.nears, origin)
            overlaps[origin - 1] = replace(found, any=any_kind, counts=counts)
        inspection = _inspection(config, source, samples, tools, reader.tally, bad_rows, tuple(overlaps), not_done)
        if config.out:
            write(inspection, shelf.samples(), config.out)
    return inspection


def _tools(config: InspectConfig, folder: Path, stack: ExitStack) -> tuple[Tools, list[str]]:
    """The store, and indexes of what is near, as far as what they need is installed."""
    not_done: list[str] = []
    places: list[str] = []
    try:
        if config.near:
            text_signature("text")
            places += ["prompt", "response"]
        if config.decode:
            picture_hash(np.zeros((8, 8, 3), np.uint8))
            places.append("media")
    except MissingExtraError as error:
        not_done.append(f"not all was compared that is nearly the same: {error}")
    store, decoder = stack.enter_context(Store(folder / "store")), stack.enter_context(Decoder(at_once=1))
    nears = {name: stack.enter_context(NearIndex(folder / name)) for name in places}
    return Tools(store, decoder, nears, config.decode), not_done


def _read(
    opened: tuple[str, SampleSource, str],
    reader: Reader,
    bad_rows: CountedBadRows,
    limit: int | None,
    title: str,
    shelf: gallery.Shelf,
) -> None:
    _, source, location = opened
    with Progress(f"read {printable(title)}", limit) as progress:
        for _, sample in shelf.watch(enumerate(islice(source.read(location, bad_rows), limit))):
            reader.read(sample)
            progress.advance(f"{bad_rows.total} bad rows" if bad_rows.total else "")


def _inspection(
    config: InspectConfig,
    opened: tuple[str, SampleSource, str],
    samples: int,
    tools: Tools,
    tally: Tally,
    bad_rows: CountedBadRows,
    overlaps: tuple[Overlap, ...],
    not_done: list[str],
) -> Inspection:
    name, source, _ = opened
    tasks = _sides(tools.store)
    if tally.not_done:
        not_done = [*not_done, f"not all media were decoded: {tally.not_done}"]
    return Inspection(
        source=config.place,
        name=name,
        licence=source.licence,
        limit=config.limit,
        decoded=config.decode,
        near=config.near,
        samples=samples,
        rows=tally.row_count + bad_rows.total if tally.row_count or not samples else None,
        bad_rows=BadRowCounts(
            bad_rows.total,
            tuple((*reason, count) for reason, count in bad_rows.by_reason.most_common(REASONS)),
            dict(bad_rows.missing),
            tuple(bad_rows.first),
        ),
        tasks=tasks,
        sides=Sides(*(sum(getattr(sides, side) for sides in tasks.values()) for side in ("a", "b", "tie"))),
        groups=dict(tally.groups.most_common()),
        prompts=tools.store.one("SELECT COUNT(DISTINCT cluster) FROM sample WHERE origin = 0")[0],
        ties=clustered_share(tools.store, "preference = 'tie'", "1"),
        first_preferred=clustered_share(tools.store, "preference = 'a'", "preference <> 'tie'"),
        longer_preferred=clustered_share(tools.store, "longer", "longer IS NOT NULL"),
        with_criterion=tally.with_criterion,
        words={name: spread for name, counted in tally.words.items() if (spread := counted.spread())},
        media=_media(tools.store, tally),
        media_problems=tuple(
            MediaProblem(*row)
            for row in tools.store.ask(
                "SELECT kind, state, name, problem FROM medium WHERE origin = 0 AND state <> 'found' "
                "ORDER BY kind, state, name LIMIT ?",
                (PROBLEMS,),
            )
        ),
        duplicates=comparing.duplicates(tools.store),
        near_duplicates=comparing.near_duplicates(tools.store, tools.nears),
        contradictions=comparing.contradictions(tools.store),
        overlaps=overlaps,
        not_done=tuple(not_done),
    )


def _sides(store: Store) -> dict[str, Sides]:
    query = """
        SELECT task, SUM(preference = 'a'), SUM(preference = 'b'), SUM(preference = 'tie')
        FROM sample WHERE origin = 0 GROUP BY task"""
    found = {task: Sides(*counts) for task, *counts in store.ask(query)}
    return {task.short: found[task.short] for task in Task if task.short in found}


def _media(store: Store, tally: Tally) -> tuple[MediaCount, ...]:
    counted = """
        SELECT kind, SUM(state = 'found'), SUM(state = 'missing'), SUM(state = 'unreadable'),
            (SELECT COUNT(*) FROM occurrence o JOIN medium m ON m.digest = o.digest AND m.origin = 0
             WHERE o.kind = 'media' AND o.origin = 0 AND m.kind = medium.kind),
            SUM(size) FROM medium WHERE origin = 0 GROUP BY kind ORDER BY kind"""

    def spread(counts: Mapping[Any, Histogram], key: object) -> Spread | None:
        return counts[key].spread() if key in counts else None

    return tuple(
        MediaCount(
            kind=kind,
            found=found,
            missing=gone,
            unreadable=unreadable,
            uses=uses,
            bytes=size,
            sizes=spread(tally.bytes, kind),
            seconds=spread(tally.seconds, kind),
            widths=spread(tally.pixels, (kind, "width")),
            heights=spread(tally.pixels, (kind, "height")),
        )
        for kind, found, gone, unreadable, uses, size in store.ask(counted)
    )
