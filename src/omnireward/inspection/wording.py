"""The findings in words and short numbers, for the terminal and the page alike."""

from __future__ import annotations

from collections.abc import Iterator

from omnireward.inspection.findings import Inspection, MediaCount, OverlapCount, Share
from omnireward.inspection.histogram import Spread

_ENOUGH = 20  # decided samples, of which all on one side are no accident
_UNITS = ("bytes", "kB", "MB", "GB", "TB")
_PLURALS = {
    "prompt": "prompts",
    "response": "responses",
    "media": "media",
    "comparison": "whole comparisons",
    "sample": "samples",
    "image": "images",
    "video": "videos",
    "audio": "sounds",
    "mesh": "meshes",
}


def plural(kind: str) -> str:
    """Of a kind of thing that is counted."""
    return _PLURALS[kind]


def percent(share: float | None) -> str:
    """In percent with a decimal; a dash for None.

    >>> percent(0.1234), percent(None)
    ('12.3 %', '–')
    """
    return "–" if share is None else f"{100 * share:.1f} %"


def with_interval(share: Share) -> str:
    """A share with its interval.

    >>> with_interval(Share(1, 4, (0.1, 0.5)))
    '25.0 % (10.0 to 50.0)'
    """
    if share.interval is None:
        return percent(share.value)
    low, high = share.interval
    return f"{percent(share.value)} ({100 * low:.1f} to {100 * high:.1f})"


def size(count: float) -> str:
    """Bytes in decimal units.

    >>> size(999), size(1_500_000)
    ('999 bytes', '1.5 MB')
    """
    for unit in _UNITS[:-1]:
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} {_UNITS[-1]}"


def number(value: float) -> str:
    """Whole numbers whole, others with a decimal."""
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"


def quantiles(spread: Spread, unit: float = 1.0) -> list[str]:
    """Least, the quantiles, most, in multiples of a unit."""
    return [number(value / unit) for value in (spread.least, *spread.quantiles, spread.most)]


def media_spreads(media: MediaCount) -> list[tuple[str, list[str]]]:
    """What is known of a kind's sizes: name and `quantiles` of each."""
    known = (
        ("kB", media.sizes, 1e3),
        ("seconds", media.seconds, 1),
        ("width", media.widths, 1),
        ("height", media.heights, 1),
    )
    return [(f"{media.kind}, {name}", quantiles(spread, unit)) for name, spread, unit in known if spread]


def overlap_count(count: OverlapCount) -> str:
    """How many samples share a kind of thing.

    >>> overlap_count(OverlapCount("prompt", 3, 1, ()))
    '3 samples share prompts, 1 more nearly'
    """
    near = f", {count.near:,} more nearly" if count.near else ""
    return f"{count.exact:,} samples share {plural(count.kind)}{near}"


def sentences(found: Inspection) -> list[str]:
    """What deserves a reader's attention, most first."""
    return [*_about_rows(found), *_about_preferences(found), *_about_sameness(found), *_about_overlap(found)]


def _about_rows(found: Inspection) -> Iterator[str]:
    if not found.samples:
        yield "There is no sample."
    if found.bad_rows.total:
        yield f"{found.bad_rows.total:,} rows cannot be used."
    if gone := sum(found.bad_rows.missing_files.values()):
        yield f"{gone:,} of them name a media file that is not there. Have all archives been unpacked?"
    for media in found.media:
        for state, count in (("are missing", media.missing), ("cannot be read", media.unreadable)):
            if count:
                yield f"{count:,} {plural(media.kind)} {state}."
    for said in found.not_done:
        yield f"Not done: {said}"


def _about_preferences(found: Inspection) -> Iterator[str]:
    share = found.first_preferred
    if share.total and share.count in (0, share.total):
        side = "a" if share.count else "b"
        yield (
            f"One-sided: the preferred response is always {side}. Swap sides at random before judging by position."
            if share.total >= _ENOUGH
            else f"All {share.total} preferred responses are {side}."
        )
    elif share.interval and not share.interval[0] <= 0.5 <= share.interval[1]:
        yield f"Sides are not even: a is preferred in {with_interval(share)} of those with a preference."
    longer = found.longer_preferred
    if longer.interval and not longer.interval[0] <= 0.5 <= longer.interval[1]:
        word = "longer" if (longer.value or 0) > 0.5 else "shorter"
        other = longer if word == "longer" else _rest(longer)
        yield f"Length tells: the {word} text is preferred in {with_interval(other)} of {longer.total:,} comparisons."
    if found.samples and found.with_criterion not in (0, found.samples):
        yield f"{found.with_criterion:,} of {found.samples:,} samples have a criterion."


def _rest(share: Share) -> Share:
    low, high = share.interval or (0.0, 1.0)
    return Share(share.total - share.count, share.total, (1 - high, 1 - low))


def _about_sameness(found: Inspection) -> Iterator[str]:
    said = found.contradictions
    if said.opposite:
        yield f"{said.opposite:,} comparisons are judged in opposite ways under the same criterion."
    if said.tie_or_not:
        yield f"{said.tie_or_not:,} comparisons are called a tie once and not another time."
    if said.same_response:
        preferred = f"{said.preferred:,} of them with a preference"
        yield f"{said.same_response:,} samples have the same response twice, {preferred}."
    for same in found.duplicates:
        if same.kind == "sample" and same.repeated:
            yield f"{same.total - same.different:,} samples repeat another one, with the same preference."


def _about_overlap(found: Inspection) -> Iterator[str]:
    for overlap in found.overlaps:
        if overlap.any:
            yield (
                f"{overlap.any:,} samples share something with {overlap.benchmark}: leave them out before training "
                "what is measured there."
            )
        else:
            yield f"Nothing in common with {overlap.benchmark} was found."
