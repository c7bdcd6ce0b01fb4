r"""Answers become a judgement: the last marked line and nothing else, or no verdict.

An answer that was cut off has no verdict. What else has one, and which, `prompts.verdicts` says.
"""

from __future__ import annotations

from collections.abc import Sequence

from omnireward.prompts.forms import Answer, Form
from omnireward.prompts.likelihood import letter_judgement
from omnireward.prompts.verdicts import score, verdict
from omnireward.types import Judgement, Preference

READING = "1"
"""Version of the rules of reading, in `verdicts` and for letters. It changes whenever some answer would be read
differently."""

_MARGINS: dict[Preference, float] = {"a": 1.0, "b": -1.0, "tie": 0.0}


def judgement(form: Form, answers: Sequence[Answer]) -> Judgement:
    r"""What answers to `questions` of a comparison, in their order, say about it.

    Whatever is in an answer, it is read or there is no verdict; nothing is raised.

    >>> judgement(Form("pairwise", critique=True, ties=True), [Answer("B is sharper.\nVERDICT: B")]).margin
    -1.0
    >>> print(judgement(Form("pairwise", critique=True, ties=True), [Answer("VERDICT: A, though B is sharper")]).margin)
    None
    """
    if form.mode == "pointwise":
        a, b = answers
        return _from_scores(form, a, b)
    (answer,) = answers
    if form.letter:
        return letter_judgement(answer, form.ties)
    found = None if answer.cut_off else verdict(answer.text, form.ties)
    return Judgement(None if found is None else _MARGINS[found], verdict=found, rationale=answer.text)


def _from_scores(form: Form, a: Answer, b: Answer) -> Judgement:
    """Equal scores are a tie; where none is allowed they say nothing."""
    rationale = f"Response A:\n{a.text}\n\nResponse B:\n{b.text}"
    first, second = (None if answer.cut_off else score(answer.text, form.ties) for answer in (a, b))
    if first is None or second is None or (first == second and not form.ties):
        return Judgement(None, rationale=rationale)
    better: Preference = "tie" if first == second else "a" if first > second else "b"
    return Judgement(first - second, rewards=(first, second), verdict=better, rationale=rationale)
