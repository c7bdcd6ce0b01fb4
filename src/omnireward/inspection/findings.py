"""What an inspection found: numbers and a few examples, all of it plain, so that it can be written as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from omnireward.inspection.bad_rows import BadRow
from omnireward.inspection.histogram import Spread
from omnireward.metrics import Interval


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many, with a 95 % interval that treats samples of one prompt as dependent."""

    count: int
    total: int
    interval: Interval | None

    @property
    def value(self) -> float | None:
        """None of nothing."""
        return self.count / self.total if self.total else None


@dataclass(frozen=True, slots=True)
class Sides:
    """How often people prefer which position."""

    a: int
    b: int
    tie: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.a + self.b + self.tie


@dataclass(frozen=True, slots=True)
class MediaCount:
    """Different media of one kind. `uses`: how often samples hold one of them; `bytes`: of each once."""

    kind: str
    found: int
    missing: int
    unreadable: int
    uses: int
    bytes: int
    sizes: Spread | None
    seconds: Spread | None
    widths: Spread | None
    heights: Spread | None


@dataclass(frozen=True, slots=True)
class MediaProblem:
    """One of the first media that are missing or unreadable."""

    kind: str
    state: str
    name: str
    problem: str


@dataclass(frozen=True, slots=True)
class Repeated:
    """Something that comes several times: its beginning, how often, and the first sample."""

    shown: str
    count: int
    sample: str


@dataclass(frozen=True, slots=True)
class Duplicates:
    """How many there are of one kind of thing, how many different, and how many of those come several times."""

    kind: str
    total: int
    different: int
    repeated: int
    examples: tuple[Repeated, ...]


@dataclass(frozen=True, slots=True)
class NearPair:
    """Two samples that hold nearly the same. Distance: bits of 64 for media, bytes of 128 for texts."""

    a: str
    b: str
    a_shown: str
    b_shown: str
    distance: int


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Pairs of different things that are nearly the same; `in_one_sample` of them are the responses of one sample."""

    kind: str
    pairs: int
    in_one_sample: int
    examples: tuple[NearPair, ...]


@dataclass(frozen=True, slots=True)
class Contradictions:
    """Comparisons judged several times.

    Attributes:
        opposite: comparisons (with their criterion) of which each response is preferred once.
        tie_or_not: comparisons called a tie once, and not another time.
        same_response: samples whose two responses are one; `preferred` of them have a preference.
        examples: ids of two samples that contradict each other.
    """

    opposite: int
    tie_or_not: int
    same_response: int
    preferred: int
    examples: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class OverlapCount:
    """Samples of the source that share this kind of thing with a benchmark, exactly; and others, nearly."""

    kind: str
    exact: int
    near: int
    examples: tuple[NearPair, ...]


@dataclass(frozen=True, slots=True)
class Overlap:
    """What the source shares with one benchmark; `any` counts the samples that share anything."""

    benchmark: str
    samples: int
    bad_rows: int
    any: int
    counts: tuple[OverlapCount, ...]


@dataclass(frozen=True, slots=True)
class BadRowCounts:
    """Rows that cannot be used: (field, reason, how many), most first; of them, by field, those without media file."""

    total: int
    reasons: tuple[tuple[str, str, int], ...]
    missing_files: Mapping[str, int]
    first: tuple[BadRow, ...]


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found in a source.

    `rows` is None where samples do not say which row they come from. `decoded` and `near` say how closely was looked;
    `not_done` what could not be done, and why.
    """

    source: str
    name: str
    licence: str
    limit: int | None
    decoded: bool
    near: bool
    samples: int
    rows: int | None
    bad_rows: BadRowCounts
    tasks: Mapping[str, Sides]
    sides: Sides
    groups: Mapping[str, int]
    prompts: int
    ties: Share
    first_preferred: Share
    longer_preferred: Share
    with_criterion: int
    words: Mapping[str, Spread]
    media: tuple[MediaCount, ...]
    media_problems: tuple[MediaProblem, ...]
    duplicates: tuple[Duplicates, ...]
    near_duplicates: tuple[NearDuplicates, ...]
    contradictions: Contradictions
    overlaps: tuple[Overlap, ...]
    not_done: tuple[str, ...] = field(default=())
