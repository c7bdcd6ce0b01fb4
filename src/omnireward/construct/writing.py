r"""What a writer or a checker answered is read strictly, or not at all.

An answer to a writer's question is lines ``A: …``, ``B: …`` or ``TIE: …`` and nothing else: one line that is anything
else, and none of the answer counts. A checker's answer is its three lines with yes or no. Nothing is guessed; what is
not read is counted.

Unusual: an answer's length is looked at before its lines, and no pattern runs over more than one bounded line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from omnireward.construct.writer_wording import ASPECTS, MARKS
from omnireward.prompts import Answer
from omnireward.types import Preference

LONGEST_ANSWER, LONGEST_LINE, MOST_LINES = 20_000, 2_000, 64  # characters, characters, lines
_LINE = re.compile(r"(A|B|TIE): {1,2}(\S.*)", re.ASCII)
_WAYS: dict[str, Preference] = {mark: way for way, mark in MARKS.items()}
_CHECK = re.compile(r"(VAGUE|SPECIFIC|LEAKING): {1,2}(yes|no)\.?", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Written:
    """One line of an answer: a criterion, and what it favours as the writer was shown the responses."""

    favours: Preference
    criterion: str


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """Why a question has no answer. `lasting`: it has none because of what it shows, so another run has none either."""

    reason: str
    lasting: bool = False


def read_criteria(answer: Answer) -> list[Written] | str:
    r"""The criteria that an answer holds, in its order; or the reason why it holds none: cut off, too long, format.

    >>> read_criteria(Answer("A: It should rhyme.\nTIE: It should be in English."))
    [Written(favours='a', criterion='It should rhyme.'), Written(favours='tie', criterion='It should be in English.')]
    >>> read_criteria(Answer("Here they are:\nA: It should rhyme."))
    'format'
    """
    if answer.cut_off:
        return "cut off"
    if len(answer.text) > LONGEST_ANSWER:
        return "too long"
    lines = [line.strip() for line in answer.text.split("\n") if line.strip()]
    if not 0 < len(lines) <= MOST_LINES:
        return "format"
    found = []
    for line in lines:
        match = _LINE.fullmatch(line) if len(line) <= LONGEST_LINE else None
        if match is None:
            return "format"
        found.append(Written(_WAYS[match[1]], match[2]))
    return found


def read_check(answer: Answer) -> Mapping[str, bool] | None:
    r"""What a checker said: aspect to yes; None where it did not say just that.

    >>> read_check(Answer("VAGUE: no\nSPECIFIC: yes\nLEAKING: no"))
    {'VAGUE': False, 'SPECIFIC': True, 'LEAKING': False}
    >>> read_check(Answer("VAGUE: no\nSPECIFIC: perhaps\nLEAKING: no"))
    """
    if answer.cut_off or len(answer.text) > LONGEST_LINE:
        return None
    lines = [line.strip() for line in answer.text.split("\n") if line.strip()]
    matches = [_CHECK.fullmatch(line) for line in lines]
    said = {match[1].upper(): match[2].lower() == "yes" for match in matches if match}
    return said if len(lines) == len(ASPECTS) and tuple(said) == ASPECTS else None
