"""The findings in a terminal. What comes from data is neither markup nor escape sequences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from omnireward.inspection.findings import Inspection, NearPair, Sides
from omnireward.inspection.wording import (
    media_spreads,
    overlap_count,
    percent,
    plural,
    quantiles,
    sentences,
    size,
    with_interval,
)
from omnireward.sample_text import printable

_GROUPS = 12
_SHOWN = 60  # characters of an example


def render_terminal(found: Inspection) -> RenderableType:
    """What deserves attention, then tables; fits 80 columns."""
    said = [Text(f"• {_plain(sentence)}") for sentence in sentences(found)]
    return Group(_counts(found), _tasks(found), *_more(found), *said)


def _counts(found: Inspection) -> Table:
    limit = "" if found.limit is None else f", at most {found.limit:,} samples"
    table = _table(f"{found.source}{limit}", ["", ""], header=False)
    rows = "not told by the source" if found.rows is None else f"{found.rows:,}"
    for name, value in (
        ("rows", rows),
        ("rows that cannot be used", f"{found.bad_rows.total:,}"),
        ("samples", f"{found.samples:,}"),
        ("prompts", f"{found.prompts:,}"),
        ("with a criterion", f"{found.with_criterion:,}"),
        ("ties", with_interval(found.ties)),
        ("a preferred, of those with a preference", with_interval(found.first_preferred)),
        ("longer text preferred", f"{with_interval(found.longer_preferred)} of {found.longer_preferred.total:,}"),
        ("licence", found.licence or "not stated"),
    ):
        table.add_row(name, Text(_plain(value)))
    return table


def _tasks(found: Inspection) -> Table:
    table = _table("by task", ["task", "samples", "a", "b", "tie", "tie share"])
    for name, sides in (*found.tasks.items(), *([("all", found.sides)] if len(found.tasks) != 1 else [])):
        table.add_row(name, *_sides(sides))
    return table


def _sides(sides: Sides) -> list[str]:
    share = sides.tie / sides.total if sides.total else None
    return [f"{count:,}" for count in (sides.total, sides.a, sides.b, sides.tie)] + [percent(share)]


def _more(found: Inspection) -> Iterator[RenderableType]:
    if found.groups:
        table = _table("by group", ["group", "samples"])
        for name, count in list(found.groups.items())[:_GROUPS]:
            table.add_row(Text(_plain(name)), f"{count:,}")
        if len(found.groups) > _GROUPS:
            table.add_row(f"and {len(found.groups) - _GROUPS} more", "")
        yield table
    if found.bad_rows.total:
        table = _table("rows that cannot be used", ["rows", "field", "reason"], words=True)
        for field, reason, count in found.bad_rows.reasons:
            table.add_row(f"{count:,}", Text(_plain(field)), Text(_plain(reason)))
        yield table
        yield from (
            Text(f"  {_plain(f'{bad.file}, row {bad.row}, {bad.field}: {bad.problem}')}")
            for bad in found.bad_rows.first[:3]
        )
    if found.words:
        table = _table("words", ["", "least", "5 %", "25 %", "50 %", "75 %", "95 %", "most"])
        for name, spread in found.words.items():
            table.add_row(plural(name) if name != "criterion" else "criteria", *quantiles(spread))
        yield table
    if found.media:
        yield from _media(found)
    yield _duplicates(found)
    yield from _examples(found)


def _media(found: Inspection) -> Iterator[RenderableType]:
    table = _table("media (each counted once)", ["kind", "found", "missing", "unreadable", "uses", "bytes"])
    for media in found.media:
        counts = (media.found, media.missing, media.unreadable, media.uses)
        table.add_row(media.kind, *(f"{count:,}" for count in counts), size(media.bytes))
    yield table
    table = _table("their sizes", ["", "least", "5 %", "25 %", "50 %", "75 %", "95 %", "most"])
    for media in found.media:
        for name, cells in media_spreads(media):
            table.add_row(name, *cells)
    yield table
    for problem in found.media_problems[:3]:
        yield Text(f"  {problem.state}: {_plain(f'{problem.name}: {problem.problem}')}")


def _duplicates(found: Inspection) -> Table:
    table = _table("the same, and nearly the same", ["", "all", "different", "repeated", "near pairs"])
    near = {said.kind: said for said in found.near_duplicates}
    for same in found.duplicates:
        pairs = near.pop(same.kind, None)
        looked = found.near and not found.not_done and same.kind in ("prompt", "response")
        cell = f"{pairs.pairs:,}" if pairs else "0" if looked else "–"
        table.add_row(plural(same.kind), f"{same.total:,}", f"{same.different:,}", f"{same.repeated:,}", cell)
    for kind, pairs in near.items():
        table.add_row(plural(kind), "", "", "", f"{pairs.pairs:,}")
    return table


def _examples(found: Inspection) -> Iterator[RenderableType]:
    for near in found.near_duplicates:
        for pair in near.examples[:2]:
            yield from _pair(f"near {plural(near.kind)}", pair)
    for overlap in found.overlaps:
        counts = [overlap_count(count) for count in overlap.counts if count.exact or count.near]
        yield Text(
            f"{_plain(overlap.benchmark)} ({overlap.samples:,} samples): {'; '.join(counts) or 'nothing shared'}."
        )
        for count in overlap.counts:
            for pair in count.examples[:1]:
                yield from _pair(f"shared {plural(count.kind)}", pair)
    for a, b in found.contradictions.examples[:2]:
        yield Text(f"  contradict each other: {_plain(a)} and {_plain(b)}")


def _pair(title: str, pair: NearPair) -> Iterator[Text]:
    yield Text(f"  {title}: {_plain(pair.a)} and {_plain(pair.b)}")
    for shown in dict.fromkeys((pair.a_shown, pair.b_shown)):
        if shown:
            yield Text(f"    {_plain(shown)[:_SHOWN]}")


def _table(title: str, columns: Sequence[str], header: bool = True, words: bool = False) -> Table:
    """A table whose first column is words and all others numbers, or the other way round."""
    table = Table(title=Text(_plain(title)), box=box.SIMPLE, pad_edge=False, title_justify="left", show_header=header)
    for place, name in enumerate(columns):
        right = header and (place == 0) == words
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    return table


def _plain(text: str) -> str:
    """Data on one line, and no longer than a few."""
    return printable(text.replace("\n", " "))[:500]
