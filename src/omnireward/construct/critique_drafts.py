"""A sample in one order, on its way to critiques: what has been answered, and which answers are kept.

Pure: answers come in, records come out; nobody is asked here. The writer is asked the very question that a judge is
asked, and never told what people preferred: an answer is kept because it came to their verdict by itself (rejection
sampling).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from omnireward.construct.drafts import SHOWN_OF_REFUSED
from omnireward.construct.writing import NoAnswer
from omnireward.critiques import MOST_CHARACTERS, Critique
from omnireward.errors import PromptError
from omnireward.prompts import Answer, Form, Question, questions
from omnireward.prompts.verdicts import critique as critique_of
from omnireward.prompts.verdicts import verdict as verdict_of
from omnireward.types import Preference, Sample
from omnireward.verdict_rewards import words_of

CUT_OFF, TOO_LONG, NO_VERDICT = "cut off", "too long", "no verdict"
SHORT, WRONG, COPY, UNBALANCED = "no critique", "wrong", "copy", "unbalanced"
TIE, UNREADABLE, FAILED = "tie", "unreadable", "failed"  # of a question that has no answer


@dataclass(frozen=True, slots=True)
class Rules:
    """Which answers are kept.

    Attributes:
        form: of the question.
        fewest_words: of a critique.
        most_kept: answers to one question.
        wrong: whether wrong ones are wanted as well, beside those that count.
    """

    form: Form
    fewest_words: int
    most_kept: int
    wrong: bool = False


@dataclass(frozen=True, slots=True)
class Written:
    """One answer; `reason` says why it is refused, and is empty where it is kept. a and b are as shown."""

    text: str
    verdict: Preference | None
    words: int
    reason: str


@dataclass(slots=True)
class Draft:
    """One sample in one order. `failure` says why there can be no more answers."""

    sample: Sample
    swapped: bool
    rules: Rules
    written: list[Written] = field(default_factory=list)
    failure: NoAnswer | None = None
    _question: Question | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        try:
            (self._question,) = questions(self._critique("").shown, self.rules.form)
        except PromptError as error:
            self.failure = NoAnswer(str(error), lasting=True)

    @property
    def kept(self) -> list[Written]:
        """What is kept so far."""
        return [one for one in self.written if not one.reason]

    @property
    def useful(self) -> bool:
        """Whether anything may be written down of the sample."""
        return any(map(self._wanted, self.written))

    @property
    def tied(self) -> bool:
        """Whether people saw a tie, and none is allowed, so that no answer can be right."""
        return self.sample.preference == "tie" and not self.rules.form.ties

    @property
    def lacking(self) -> bool:
        """Whether the writer is to be asked again."""
        return self.failure is None and not self.tied and len(self.kept) < self.rules.most_kept

    def question(self) -> Question:
        """What the writer is asked. Raises PromptError where the prompt cannot be asked about."""
        if self._question is None:
            raise PromptError("this sample cannot be asked about." if self.failure is None else self.failure.reason)
        return self._question

    def answered(self, answer: Answer | NoAnswer) -> None:
        """Keep or refuse an answer."""
        if isinstance(answer, NoAnswer):
            self.failure = answer
            return
        text = answer.text.strip()
        verdict = None if answer.cut_off else verdict_of(text, self.rules.form.ties)
        words = 0 if verdict is None else words_of(critique_of(text))
        self.written.append(Written(text, verdict, words, self._reason(answer, text, verdict, words)))

    def records(self, source: str) -> list[dict[str, Any]]:
        """A record of each answer, in order; or of why there is none. `source` is of samples that do not say theirs."""
        sample = self.sample
        ending = "" if self.failure is None else UNREADABLE if self.failure.lasting else FAILED
        told = [(number, one) for number, one in enumerate(self.written)]
        if ending or self.tied:
            told.append((-1, Written("", None, 0, ending or TIE)))
        return [
            {
                "id": sample.id,
                "swapped": self.swapped,
                "attempt": number,
                "source": sample.provenance.get("source", source),
                "task": sample.task.short,
                "cluster": sample.cluster,
                "preference": self._critique("").preference,
                "verdict": one.verdict,
                "words": one.words,
                "reason": one.reason,
                "answer": one.text if self._wanted(one) else one.text[:SHOWN_OF_REFUSED],
            }
            for number, one in told
        ]

    def _reason(self, answer: Answer, text: str, verdict: Preference | None, words: int) -> str:
        found = (
            (CUT_OFF, answer.cut_off),
            (TOO_LONG, len(text) > MOST_CHARACTERS),
            (NO_VERDICT, verdict is None),
            (SHORT, words < self.rules.fewest_words),
            (WRONG, verdict != self._critique("").preference),
            (COPY, any(one.text == text for one in self.kept)),
        )
        return next((reason for reason, holds in found if holds), "")

    def _wanted(self, one: Written) -> bool:
        return not one.reason or (self.rules.wrong and one.reason == WRONG)

    def _critique(self, text: str) -> Critique:
        return Critique(self.sample, self.swapped, text)
