"""Several answers to one comparison become one judgement: their verdicts vote.

Of the answers that have a verdict, n in all, na say a, nt say that neither is better, and nb say b. Then

    P(a) = na / n        P(tie) = nt / n        P(b) = nb / n        margin = (na - nb) / n

as they are, without smoothing: 8 of 8 claim certainty. An answer without a verdict, or one that failed, is counted in
the rationale and nowhere else. The verdict is what most of them say. Where two or three of the counts are equally the
highest it is a tie, as it is of probabilities elsewhere; where no tie is allowed there is then no verdict and no
margin, and the probabilities show why. No answer with a verdict: no verdict, no margin, no probabilities; with an error
where one failed, so that whoever resumes asks again.

Half of the answers may be of a judge that was shown the responses exchanged. What they say is turned back before it is
counted, and each order draws from the same seeds, so that exchanging the responses exchanges what comes of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from omnireward.judges._options import AskOptions
from omnireward.prompts import Answer, Form, judgement
from omnireward.types import Judgement, Preference, flipped

_SIDES: tuple[Preference, ...] = ("a", "tie", "b")
_SAID = {"a": "A", "tie": "TIE", "b": "B"}  # as the answers do


@dataclass(frozen=True, slots=True)
class Draw:
    """One of the answers to a comparison: whether it is shown the responses exchanged, and what it adds to the seed."""

    swapped: bool
    number: int


def draws(options: AskOptions, repeat: int = 0) -> list[Draw]:
    """The answers to ask for as the vote of this number; votes and samples all draw with seeds of their own."""
    orders = (False, True) if options.swap_half else (False,)
    each = options.samples // len(orders)
    return [Draw(swapped, repeat * each + number) for swapped in orders for number in range(each)]


@dataclass(frozen=True, slots=True)
class _Read:
    """An answer in the words of the comparison's own order: `verdict` is turned back where it was swapped."""

    text: str
    swapped: bool
    verdict: Preference | None


def voted(form: Form, drawn: Sequence[Draw], answers: Sequence[Answer | str]) -> Judgement:
    """What several answers to one comparison say together.

    Args:
        form: pairwise, without letters.
        drawn: how each was asked.
        answers: what came; a string says why nothing did.
    """
    errors = [answer for answer in answers if isinstance(answer, str)]
    read = [
        _read(form, draw, answer) for draw, answer in zip(drawn, answers, strict=True) if isinstance(answer, Answer)
    ]
    counts = Counter(one.verdict for one in read)
    readable = sum(counts[side] for side in _SIDES)
    told = _told(counts, len(errors))
    if not readable:
        shown = _shown(read, None, told)
        return Judgement(None, rationale=shown, error=errors[0]) if errors else Judgement(None, rationale=shown)
    a, tie, b = (counts[side] / readable for side in _SIDES)
    verdict = _plurality(counts, form.ties)
    return Judgement(
        None if verdict is None else (counts["a"] - counts["b"]) / readable,
        probabilities=(a, tie, b),
        verdict=verdict,
        rationale=_shown(read, verdict, told),
    )


def _read(form: Form, draw: Draw, answer: Answer) -> _Read:
    found = judgement(form, [answer]).verdict
    return _Read(answer.text, draw.swapped, flipped(found) if draw.swapped and found is not None else found)


def _plurality(counts: Counter[Preference | None], ties: bool) -> Preference | None:
    most = max(counts[side] for side in _SIDES)
    first = [side for side in _SIDES if counts[side] == most]
    if len(first) == 1:
        return first[0]
    return "tie" if ties else None


def _told(counts: Counter[Preference | None], failed: int) -> str:
    said = [f"{counts[side]} {_SAID[side]}" for side in _SIDES]
    said += [f"{counts[None]} without a verdict"] * bool(counts[None]) + [f"{failed} failed"] * bool(failed)
    return f"(Of {counts.total() + failed} answers: {', '.join(said)}.)"


def _shown(read: Sequence[_Read], verdict: Preference | None, told: str) -> str:
    """An answer that says the verdict, rather one that was shown the order of the comparison, and the counts."""
    agreeing = [one for one in read if one.verdict == verdict]
    if not agreeing:  # a verdict of equal counts, which none of them says
        return told
    best = next((one for one in agreeing if not one.swapped), agreeing[0])
    note = "(Here the responses were shown exchanged: A is B, and B is A.)\n" if best.swapped else ""
    return f"{note}{best.text}\n{told}"
