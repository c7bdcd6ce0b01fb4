"""What a report is made from: the run, one record for each judged sample, and the samples to show with their media."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from omnireward.types import Preference, Task

ShownKind = Literal["text", "image", "video", "audio", "mesh"]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row of the benchmark that could not become a sample."""

    file: str
    row: int
    field: str
    problem: str


@dataclass(frozen=True, slots=True)
class Run:
    """What was judged by whom, and how.

    `samples` counts the samples asked for, judged or not yet. `settings` are the choices that comparisons of runs are
    about: order, repeats, criterion (whether the judge was told it) and the judge's own options, as in run.json.
    `skipped` counts, by task, the samples that this kind of judge cannot judge; they are not among `samples`.
    """

    judge: str
    benchmark: str
    command: str
    seed: int
    samples: int
    bad_rows: tuple[BadRow, ...] = ()
    version: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)
    skipped: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Record:
    """A judgement of a sample and what people said, without the media. It speaks of the sample's a and b, whichever was
    shown first.

    `index` is the sample's position in the benchmark. `margin` is None when there is no verdict, or when judging
    failed and `error` says why. `probabilities` are (a, tie, b). `verdict` is what the judge itself said; None from
    judges that give a margin only. `swapped`: b was shown first. `repeat` counts the votes on a sample from 0.
    `media_seconds` is the length of the longest video or sound among prompt and responses. `deviation` and
    `familiarity` are as in a `Judgement`; None from judges that do not know, and in runs of older versions.
    """

    key: str
    index: int
    id: str
    task: Task
    cluster: str
    groups: tuple[str, ...]
    preference: Preference
    margin: float | None
    rewards: tuple[float, float] | None = None
    probabilities: tuple[float, float, float] | None = None
    rationale: str = ""
    error: str = ""
    verdict: Preference | None = None
    swapped: bool = False
    repeat: int = 0
    provenance: Mapping[str, str] = field(default_factory=dict)
    criterion_words: int | None = None
    media_seconds: float | None = None
    deviation: float | None = None
    familiarity: float | None = None

    @property
    def likeliest(self) -> Preference | None:
        """The likeliest outcome, where the judge gives a margin and probabilities and states no verdict; else None."""
        if self.verdict is not None or self.margin is None or self.probabilities is None:
            return None
        return likeliest(self.probabilities)

    @property
    def own_word(self) -> Preference | None:
        """What the judge itself says where it may say tie; None where it gives a margin alone, or nothing."""
        return self.verdict or self.likeliest


def likeliest(probabilities: Sequence[float]) -> Preference:
    """The likeliest outcome of (a, tie, b); a tie where two are equally likely.

    >>> likeliest((0.5, 0.3, 0.2)), likeliest((0.4, 0.2, 0.4))
    ('a', 'tie')
    """
    names: tuple[Preference, ...] = ("a", "tie", "b")
    best = [name for name, p in zip(names, probabilities, strict=True) if p == max(probabilities)]
    return best[0] if len(best) == 1 else "tie"


@dataclass(frozen=True, slots=True)
class ShownPart:
    """A part as a page can show it.

    `pictures` are data URLs of an image, of a video's frames in order, or of a mesh's views; `media` is a data URL of
    the playable original, or empty. `error` says why there is nothing to show.
    """

    kind: ShownKind
    text: str = ""
    pictures: tuple[str, ...] = ()
    media: str = ""
    error: str = ""


@dataclass(frozen=True, slots=True)
class ShownTurn:
    """A turn of the prompt."""

    role: str
    content: tuple[ShownPart, ...]


@dataclass(frozen=True, slots=True)
class Shown:
    """A sample to show with its media; `index` finds its record."""

    index: int
    criterion: str
    prompt: tuple[ShownTurn, ...]
    response_a: tuple[ShownPart, ...]
    response_b: tuple[ShownPart, ...]
