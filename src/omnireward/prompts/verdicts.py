r"""The text of an answer becomes a verdict, a score, a critique: rules that need nothing but the standard library.

A verdict that is not certain is none. An answer has none whose last line says more than the verdict, names two, or
stands in a code block or in quotation marks, because then it is a quotation; a block around the whole answer is only
packing. Two marked lines in a row that differ are a list of choices. How the letter or number is dressed does not
matter: ``**Verdict:** [[A]]``, ``VERDICT: \boxed{A}.``, ``VERDICT: response A``.

Unusual: no regular expression that can go back sees more than one short line, so a hostile answer costs time in
proportion to its length. And nothing else of this package is imported here: exported reward files hold a copy.
"""

from __future__ import annotations

import re
from typing import Literal

# What is read is less than what `inert` reserves: it looks as far behind a marker, and for wider gaps within it.
_LONGEST = 80  # characters of a line that can be a verdict
# ASCII: or the long s would be an s, and digits of other scripts numbers
_MARKED = re.compile(
    r"(?:#{1,6} +)?\*{0,3}(VERDICT|SCORE)\*{0,3}[ \t]{0,2}[:\uff1a]\*{0,3}[ \t]{0,2}(\S.*)", re.ASCII | re.IGNORECASE
)
_FENCE = re.compile(r"`{3,}(?=[^`]*$)|~{3,}")
_RULE = re.compile(r"-{3,}|\*{3,}|_{3,}|={3,}")
_LETTER = re.compile(r"(?:(?:response|answer|option) +)?(A|B)|(TIE)", re.ASCII | re.IGNORECASE)
_STOP = re.compile(r"(?<!\.)\.$")
_LAYERS = 4
_DRESS = tuple(
    re.compile(rf"{before} *(.*?) *{after}")
    for before, after in (
        (r"\\boxed\{", r"\}"),
        (r"\[", r"\]"),
        (r"\(", r"\)"),
        (r"\{", r"\}"),
        ("_", "_"),
        ("`", "`"),
        (r"\$", r"\$"),
        ('"', '"'),
        ("'", "'"),
        ("\N{LEFT DOUBLE QUOTATION MARK}", "\N{RIGHT DOUBLE QUOTATION MARK}"),
        ("\N{LEFT SINGLE QUOTATION MARK}", "\N{RIGHT SINGLE QUOTATION MARK}"),
    )
)
_WHOLE = re.compile(r"([1-9]|10)(?:\.0)?(?: ?/ ?10)?", re.ASCII)
_FINE = re.compile(r"(0|[1-9][0-9]?|100)(\.[0-9])?(?: ?/ ?100)?", re.ASCII)

_SIDES: dict[str, Literal["a", "b", "tie"]] = {"A": "a", "B": "b", "TIE": "tie"}


def verdict(text: str, ties: bool) -> Literal["a", "b", "tie"] | None:
    r"""Which response an answer calls the better one; None where it has no verdict.

    >>> verdict("B is sharper.\n**Verdict:** [[B]]", ties=True), verdict("VERDICT: TIE", ties=False)
    ('b', None)
    """
    match = _LETTER.fullmatch(_last_marked("VERDICT", text))
    if match is None:
        return None
    found = _SIDES[(match[1] or match[2]).upper()]
    return None if found == "tie" and not ties else found


def score(text: str, ties: bool) -> float | None:
    """With ties a whole number from 1 to 10, without them a number from 0 to 100 with one decimal; None for neither."""
    match = (_WHOLE if ties else _FINE).fullmatch(_last_marked("SCORE", text))
    if match is None:
        return None
    value = float(match[1] if ties else match[1] + (match[2] or ""))
    return value if value <= 100 else None


def critique(text: str) -> str:
    r"""What stands before the last line of an answer, without lines that only pack: fences, rules, marked lines.

    >>> critique("```text\nB is sharper.\nVERDICT: A\n---\n\nVERDICT: B\n```")
    'B is sharper.'
    """
    place = _last_lines(text)[2]
    lines = (line.strip() for line in text.split("\n")[:place])
    return "\n".join(line for line in lines if line and not _packs(line))


def _packs(line: str) -> bool:
    if _FENCE.match(line):
        return True
    return len(line) <= _LONGEST and bool(_RULE.fullmatch(line) or _MARKED.fullmatch(line))


def _last_marked(word: str, text: str) -> str:
    """What the last line says after its marker, undressed; empty where that line does not count."""
    line, before, _ = _last_lines(text)
    value, other = _value(word, line), _value(word, before)
    return "" if other and other.upper() != value.upper() else value


def _last_lines(text: str) -> tuple[str, str, int]:
    """The last line, the one before it, and the last line's place, without blank lines and rules.

    A code block is an empty line. One that opens with the first line encloses the answer and is looked into.
    """
    last = before = fence = ""
    place = 0
    quoted = False  # inside a block that does not enclose the answer
    first = True
    for number, whole in enumerate(text.split("\n")):
        line = whole.strip()
        if not line or (len(line) <= _LONGEST and _RULE.fullmatch(line)):
            continue
        opening = _FENCE.match(line)
        if fence and line.startswith(fence) and not line.strip(fence[0]):
            fence, quoted = "", False
        elif not fence and opening is not None:
            fence, quoted = opening[0], not first
        elif not quoted:
            last, before, place = line, last, number
        elif last:
            last, before, place = "", last, number
        first = False
    return last, before, place


def _value(word: str, line: str) -> str:
    match = _MARKED.fullmatch(line) if len(line) <= _LONGEST else None
    if match is None or match[1].upper() != word:
        return ""
    return _undressed(match[2])


def _undressed(value: str) -> str:
    """Without emphasis, brackets and quotation marks around it, and a full stop."""
    for _ in range(_LAYERS):
        value = _STOP.sub("", value.strip("* \t")).strip("* \t")
        match = next((match for dress in _DRESS if (match := dress.fullmatch(value))), None)
        if match is None:
            break
        value = match[1]
    return value
