"""A sample on its way to criteria: what is wanted of it, what has been written, what was refused and why.

Pure: answers come in, samples and refusals come out; nobody is asked here. The order in which a writer is shown the two
responses is drawn from the sample's id, and so is which side is asked for more where the numbers differ, so every run
asks the same.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any

from omnireward.construct.criteria_rules import Ground, problem
from omnireward.construct.writer_wording import Wanted, Writing, checking, writing
from omnireward.construct.writing import NoAnswer, read_check, read_criteria
from omnireward.errors import PromptError
from omnireward.prompts import Answer
from omnireward.prompts.conversation import check_prompt
from omnireward.types import Comparison, Preference, Sample, flipped

GROUP = "criteria"
SHOWN_OF_REFUSED = 400  # characters of an answer that `rejected.jsonl` repeats
_CHECKS = {"VAGUE": "checked vague", "SPECIFIC": "checked over-specific", "LEAKING": "checked leaking"}


@dataclass(frozen=True, slots=True)
class Asking:
    """How many criteria are asked for.

    Attributes:
        favour_a, favour_b, ties: of each kind.
        keep_preference: ask only for those in favour of what the source prefers.
        balance: exchange the first two for half of the samples.
        seed: draws which half, and the order in which responses are shown.
    """

    favour_a: int
    favour_b: int
    ties: int
    keep_preference: bool
    balance: bool
    seed: int

    def wanted(self, sample: Sample) -> dict[Preference, int]:
        """How many of each kind, for one sample."""
        a, b = self.favour_a, self.favour_b
        if self.keep_preference:
            numbers = {"a": a, "b": b, "tie": self.ties}
            return {sample.preference: numbers[sample.preference]}
        if self.balance and _drawn(self.seed, "side", sample.id):
            a, b = b, a
        return {"a": a, "b": b, "tie": self.ties}

    def swapped(self, sample: Sample) -> bool:
        """Whether the writer sees response b first."""
        return _drawn(self.seed, "order", sample.id)


@dataclass(frozen=True, slots=True)
class Refused:
    """A criterion, or a whole answer, that is not used. `line` counts from 0 in the answer; -1 means all of it."""

    text: str
    reason: str
    attempt: int
    line: int

    def record(self, sample: Sample) -> dict[str, Any]:
        """The line of ``rejected.jsonl``."""
        shown = {"id": sample.id, "criterion": self.text[:SHOWN_OF_REFUSED], "reason": self.reason}
        return shown | {"attempt": self.attempt, "line": self.line}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A criterion that no rule refuses; `favours` speaks of the sample's own sides."""

    favours: Preference
    criterion: str
    attempt: int
    line: int


@dataclass(slots=True)
class Draft:
    """One sample's criteria. `failure` says why there can be no more of them."""

    sample: Sample
    wanted: Wanted
    swapped: bool
    taken: list[Candidate] = field(default_factory=list)
    waiting: list[Candidate] = field(default_factory=list)  # for the checker
    refused: list[Refused] = field(default_factory=list)
    attempts: int = 0
    failure: NoAnswer | None = None
    _ground: Ground = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._ground = Ground(self.sample.comparison, self.sample.provenance)
        try:
            check_prompt(self.sample.comparison.prompt)
        except PromptError as error:
            self.failure = NoAnswer(str(error), lasting=True)

    @property
    def lacking(self) -> dict[Preference, int]:
        """How many of each kind are still to be written."""
        have = [one.favours for one in (*self.taken, *self.waiting)]
        return {way: number - have.count(way) for way, number in self.wanted.items() if number > have.count(way)}

    def question(self) -> Writing:
        """What the writer is asked next."""
        wanted = self.lacking
        if self.swapped:
            wanted = {flipped(way): number for way, number in wanted.items()}
        # In one order, whichever side was drawn: the place in the list must not say more than the place on the page.
        return writing(self._shown(), {way: wanted[way] for way in ("a", "b", "tie") if way in wanted})

    def check(self, candidate: Candidate) -> Writing:
        """What the checker is asked about a criterion."""
        return checking(self._shown(), candidate.criterion)

    def answered(self, answer: Answer | NoAnswer) -> None:
        """Take what is good in a writer's answer; it waits for the checker until `accept` or `checked`."""
        if isinstance(answer, NoAnswer):
            self.failure = answer
            return
        attempt, self.attempts = self.attempts, self.attempts + 1
        written = read_criteria(answer)
        if isinstance(written, str):
            self.refused.append(Refused(answer.text, written, attempt, -1))
            return
        for line, one in enumerate(written):
            favours = flipped(one.favours) if self.swapped else one.favours
            reason = problem(one.criterion, self._ground, self._others())
            if reason is None and favours not in self.lacking:
                reason = "surplus"
            if reason is None:
                self.waiting.append(Candidate(favours, one.criterion, attempt, line))
            else:
                self.refused.append(Refused(one.criterion, reason, attempt, line))

    def accept(self) -> None:
        """Without a checker, what no rule refuses is taken."""
        self.taken += self.waiting
        self.waiting.clear()

    def checked(self, candidate: Candidate, answer: Answer | NoAnswer) -> None:
        """Take or refuse a criterion by what the checker says about it."""
        if isinstance(answer, NoAnswer):
            self.failure = answer
            return
        self.waiting.remove(candidate)
        said = read_check(answer)
        reason = "unchecked" if said is None else next((_CHECKS[name] for name, yes in said.items() if yes), "")
        if reason:
            self.refused.append(Refused(candidate.criterion, reason, candidate.attempt, candidate.line))
        else:
            self.taken.append(candidate)

    def settle(self) -> None:
        """Give up what has failed: the sample keeps what it has, and what it lacks is refused with the reason."""
        if self.failure is None:
            return
        reason = "unreadable" if self.failure.lasting else "failed"
        self.refused += [Refused(one.criterion, reason, one.attempt, one.line) for one in self.waiting]
        self.refused.append(Refused("", reason, self.attempts, -1))
        self.waiting.clear()

    def samples(self, source: str, provenance: dict[str, str]) -> list[Sample]:
        """A sample for each criterion.

        Args:
            source: what a sample that does not say so comes from.
            provenance: added to the sample's own.
        """
        return [self._sample(one, source, provenance) for one in self.taken]

    def _sample(self, one: Candidate, source: str, provenance: dict[str, str]) -> Sample:
        sample = self.sample
        digest = hashlib.sha256(one.criterion.encode("utf-8", "surrogatepass")).hexdigest()[:10]
        return replace(
            sample,
            id=f"{sample.id}/c{digest}",
            comparison=replace(sample.comparison, criterion=one.criterion),
            preference=one.favours,
            groups=(*(group for group in sample.groups if group != GROUP), GROUP),
            provenance={"source": source, **sample.provenance, "original_preference": sample.preference, **provenance},
        )

    def _shown(self) -> Comparison:
        return self.sample.comparison.swap() if self.swapped else self.sample.comparison

    def _others(self) -> list[str]:
        own = self.sample.comparison.criterion
        return [*([own] if own else []), *(one.criterion for one in (*self.taken, *self.waiting))]


def _drawn(seed: int, what: str, name: str) -> bool:
    return hashlib.sha256(f"{seed}:{what}:{name}".encode("utf-8", "surrogatepass")).digest()[0] % 2 == 1
