"""Which votes a run asks for: each sample, in one order or both, once or several times; and the record of a vote.

A vote is a judge's answer to one comparison in one order. Judges that write answers prefer the first or the second
place whatever stands there, so by default each sample's order is drawn, and `both` shows how much the order decides.
Records speak of the sample's a and b, whichever was shown first.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from omnireward.journal import Record
from omnireward.types import Comparison, Judgement, Sample

Order = Literal["fixed", "random", "both"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How each sample is judged.

    Attributes:
        order: response a first (fixed), drawn for each vote (random), or each vote in both orders (both).
        repeats: votes on a sample; with `both`, in each order.
        seed: draws the order.
        criterion: whether the judge is told the criterion.
    """

    order: Order = "random"
    repeats: int = 1
    seed: int = 0
    criterion: bool = True

    def votes(self, name: tuple[str, ...]) -> Iterator[tuple[int, bool]]:
        """(repeat, swapped) of each vote on the sample of this name."""
        for repeat in range(self.repeats):
            if self.order == "both":
                yield from ((repeat, False), (repeat, True))
            else:
                yield repeat, self.order == "random" and _hash(str(self.seed), *name, str(repeat))[0] % 2 == 1


@dataclass(frozen=True, slots=True)
class Facts:
    """What results are sorted by later, and costs something to find out."""

    media_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """A vote on its way to a record: the sample's position in the benchmark, and the key of the record."""

    index: int
    sample: Sample
    key: str
    swapped: bool = False
    repeat: int = 0
    criterion: bool = True

    @property
    def shown(self) -> Comparison:
        """What the judge sees."""
        comparison = self.sample.comparison if self.criterion else replace(self.sample.comparison, criterion="")
        return comparison.swap() if self.swapped else comparison

    def record(self, judgement: Judgement, digest: str, facts: Facts) -> Record:
        """The line of the journal; `judgement` is of what was shown."""
        said = judgement.swap() if self.swapped else judgement
        return {
            "key": self.key,
            "index": self.index,
            "id": self.sample.id,
            "task": self.sample.task.short,
            "cluster": self.sample.cluster,
            "groups": list(self.sample.groups),
            "preference": self.sample.preference,
            "swapped": self.swapped,
            "repeat": self.repeat,
            "margin": said.margin,
            "verdict": said.verdict,
            "rewards": None if said.rewards is None else list(said.rewards),
            "probabilities": None if said.probabilities is None else list(said.probabilities),
            "deviation": said.deviation,
            "familiarity": said.familiarity,
            "rationale": said.rationale,
            "error": said.error,
            "digest": digest,
            "provenance": dict(self.sample.provenance),
            "criterion_words": len(self.sample.comparison.criterion.split()),
            "media_seconds": facts.media_seconds,
        }

    def judgement(self, record: Record) -> Judgement:
        """The judgement of what was shown, back from a record."""
        said = Judgement(
            margin=record["margin"],
            rewards=None if record["rewards"] is None else (record["rewards"][0], record["rewards"][1]),
            probabilities=None if record["probabilities"] is None else tuple(record["probabilities"]),
            verdict=record["verdict"],
            rationale=record["rationale"],
            deviation=record.get("deviation"),  # a journal of an older version has neither
            familiarity=record.get("familiarity"),
        )
        return said.swap() if self.swapped else said


def entries(numbered: Iterable[tuple[int, Sample]], fingerprint: str, plan: Plan) -> Iterator[Entry]:
    """Give each vote its key. Reads no media.

    The key is a hash of judge, task, id, the how-manieth sample of that id it is (ids should be unique, but are not
    ours), order and repeat. What the judge sees is not part of it: media that are mended must supersede the failure,
    not stand beside it.
    """
    times: Counter[tuple[str, str]] = Counter()
    for index, sample in numbered:
        name = (sample.task.short, sample.id)
        times[name] += 1
        full = (*name, str(times[name]))
        for repeat, swapped in plan.votes(full):
            key = _hash(fingerprint, *full, "ba" if swapped else "ab", str(repeat)).hex()
            yield Entry(index, sample, key, swapped, repeat, plan.criterion)


def _hash(*parts: str) -> bytes:
    lengths = "".join(f"{len(part)}:{part}" for part in parts)  # or "ab", "c" would equal "a", "bc"
    return hashlib.sha256(lengths.encode("utf-8", "surrogatepass")).digest()
