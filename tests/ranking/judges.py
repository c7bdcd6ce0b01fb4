"""Judges whose answers follow from the words: the number that a response begins with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from omnireward.types import Comparison, Judgement, Part, Text

Verdict = Callable[[float, float], Judgement]


def by_margin(a: float, b: float) -> Judgement:
    return Judgement(a - b)


class Reading:
    """Judges by a function of both numbers; keeps what it was asked, batch by batch."""

    fingerprint = "reading"

    def __init__(self, verdict: Verdict = by_margin) -> None:
        self.verdict = verdict
        self.batches: list[list[Comparison]] = []

    @property
    def asked(self) -> list[tuple[float, float]]:
        """Both numbers of each comparison."""
        return [(number(c.response_a), number(c.response_b)) for batch in self.batches for c in batch]

    def __call__(self, comparisons: Sequence[Comparison]) -> list[Judgement]:
        self.batches.append(list(comparisons))
        return [self.verdict(number(one.response_a), number(one.response_b)) for one in comparisons]


def number(response: Sequence[Part]) -> float:
    (part,) = response
    assert isinstance(part, Text)
    return float(part.text.split()[0])
