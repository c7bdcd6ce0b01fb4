r"""What an answer of a generative judge earns: its verdict against the preference, its format, and its critique.

``reward = accuracy w_a + format w_f + length w_l + language w_s``, terms and reward in [0, 1], weights that sum to 1.
With weights .9 and .1 this is EasyR1's ``overall``. The terms:

* accuracy: 1 where the verdict equals the preference, ties too, else 0;
* format: 1 where the answer has a verdict and, if a critique is asked for, at least one word before it, else 0;
* length: of ``n`` words before the verdict, 1 within [shortest, longest], ``n / shortest`` below,
  ``max(0, 2 - n / longest)`` above: 0 for no words, and from twice `longest` on;
* language: the share of the critique's letters that are of the wanted script; 0 where it has no letters.

An answer without a verdict, so one that was cut off, too, earns 0 in all terms: it has no end to its critique.

A word is a run without blanks that holds a letter; each character of Chinese and Japanese, which have no blanks, is a
word, too. Tags (``<think>``), fences, rules and other marked lines (``VERDICT: B``) are no words.

Unusual: only the standard library and `prompts.verdicts` are imported, because exported reward files hold a copy.
Errors are ValueError for that reason, too.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from omnireward.prompts.verdicts import critique as critique_of
from omnireward.prompts.verdicts import verdict as verdict_of

SCRIPTS = (
    "arabic",
    "armenian",
    "bengali",
    "cyrillic",
    "devanagari",
    "ethiopic",
    "georgian",
    "greek",
    "gujarati",
    "gurmukhi",
    "han",
    "hangul",
    "hebrew",
    "kana",
    "kannada",
    "khmer",
    "lao",
    "latin",
    "malayalam",
    "mongolian",
    "myanmar",
    "oriya",
    "sinhala",
    "tamil",
    "telugu",
    "thaana",
    "thai",
    "tibetan",
)
"""Scripts that can be wanted. Kana is hiragana and katakana, with which Chinese characters are right, too."""

_SUM_SLACK = 1e-6
_READ = 2000  # characters of a criterion that say which script it is in
_TAG = re.compile(r"</?[A-Za-z][\w-]{0,30}>", re.ASCII)
_UNSPACED = re.compile(
    "[\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af]"
)
_WIDTHS = ("fullwidth", "halfwidth")
_KINDS = {"cjk": "han", "ideographic": "han", "hiragana": "kana", "katakana": "kana", "mathematical": "latin"}


@dataclass(frozen=True, slots=True)
class RewardTerms:
    """What counts for how much.

    Attributes:
        accuracy: weight of the verdict being right.
        format: weight of there being a verdict and a critique.
        length: weight of the critique's length; 0 leaves it out.
        language: weight of the critique's script; 0 leaves it out.
        shortest: words of critique from which on `length` is 1.
        longest: words of critique up to which `length` is 1; 0 for no limit.
        script: the wanted one, such as latin, han, kana or cyrillic; empty for that of the criterion, and latin where
            the criterion has no letters.

    Raises:
        ValueError: weights that do not sum to 1, bounds that bound nothing, an unknown script.
    """

    accuracy: float = 0.9
    format: float = 0.1
    length: float = 0.0
    language: float = 0.0
    shortest: int = 0
    longest: int = 0
    script: str = ""

    def __post_init__(self) -> None:
        weights = {
            "accuracy": self.accuracy,
            "format": self.format,
            "length": self.length,
            "language": self.language,
        }
        for name, weight in weights.items():
            if not 0 <= weight <= 1:  # NaN too
                raise ValueError(f"the weight of {name} is {weight}; weights are from 0 to 1.")
        if abs(math.fsum(weights.values()) - 1) > _SUM_SLACK:
            listed = ", ".join(f"{name} {weight:g}" for name, weight in weights.items())
            raise ValueError(
                f"the weights ({listed}) sum to {math.fsum(weights.values()):g}; they must sum to 1, so that a reward "
                "is from 0 to 1. Take from one what you give to another."
            )
        if self.shortest < 0 or self.longest < 0 or (self.longest and self.shortest > self.longest):
            raise ValueError(
                f"shortest {self.shortest} and longest {self.longest} enclose nothing; both are numbers of words, and "
                "longest 0 means no limit."
            )
        if self.length and not (self.shortest or self.longest):
            raise ValueError(f"length has weight {self.length:g} and no bounds; set shortest or longest.")
        if self.script and self.script not in SCRIPTS:
            raise ValueError(f"{self.script!r} is no script known here; those are: {', '.join(SCRIPTS)}.")


@dataclass(frozen=True, slots=True)
class Scored:
    """What an answer earned, all from 0 to 1, and the verdict that was read; a and b are as they were shown.

    Terms without weight are worked out all the same.
    """

    reward: float
    accuracy: float
    format: float
    length: float
    language: float
    verdict: Literal["a", "b", "tie"] | None


DEFAULT_TERMS = RewardTerms()


def scored(
    answer: str,
    preference: str,
    *,
    ties: bool,
    critique: bool,
    cut_off: bool = False,
    terms: RewardTerms = DEFAULT_TERMS,
    criterion: str = "",
) -> Scored:
    r"""What one answer earns. Whatever is in it, nothing is raised because of it.

    Args:
        answer: all that the judge wrote.
        preference: "a", "b" or "tie"; a and b as they were shown.
        ties: the question allowed a tie.
        critique: the question asked for a critique.
        cut_off: the answer was stopped before it had finished.
        terms: what counts for how much.
        criterion: its script is wanted where `terms` names none.

    Raises:
        ValueError: no such preference, a tie where none is allowed, or a critique that counts and was not asked for.

    >>> scored("B is sharper.\nVERDICT: B", "b", ties=True, critique=True).reward
    1.0
    >>> scored("VERDICT: B", "b", ties=True, critique=True).reward  # right, without the critique
    0.9
    """
    if preference not in ("a", "b", "tie") or (preference == "tie" and not ties):
        raise ValueError(f"{preference!r} is no preference {'here' if ties else 'where ties are not allowed'}.")
    if (terms.length or terms.language) and not critique:
        raise ValueError("length and language are about a critique, and none is asked for; give them no weight.")
    verdict = None if cut_off else verdict_of(answer, ties)
    if verdict is None:
        return Scored(0.0, 0.0, 0.0, 0.0, 0.0, None)
    written = _TAG.sub(" ", critique_of(answer))
    count = words_of(written)
    accuracy = float(verdict == preference)
    form = float(count > 0 or not critique)
    length = _length(count, terms.shortest, terms.longest)
    language = _share(written, terms.script or script_of(criterion) or "latin")
    reward = math.fsum(
        (
            terms.accuracy * accuracy,
            terms.format * form,
            terms.length * length,
            terms.language * language,
        )
    )
    return Scored(min(reward, 1.0), accuracy, form, length, language, verdict)


def words_of(text: str) -> int:
    """How many words a text has; see the top of this file for what is one.

    >>> words_of("B is sharper, 3 to 1."), words_of("B更清晰。")
    (4, 4)
    """
    rest, count = _UNSPACED.subn(" ", text)
    return count + sum(any(map(str.isalpha, token)) for token in rest.split())


def script_of(text: str) -> str:
    """The script of most letters at a text's beginning; empty where there are none.

    >>> script_of("Which is warmer?"), script_of("どちらの画像が鮮明か"), script_of("7:3")
    ('latin', 'kana', '')
    """
    found = _letters(text[:_READ])
    if not found:
        return ""
    most = found.most_common(1)[0][0]
    return "kana" if most == "han" and found["kana"] else most


def _length(count: int, shortest: int, longest: int) -> float:
    if not count:
        return 0.0
    if count < shortest:
        return count / shortest
    if longest and count > longest:
        return max(0.0, 2 - count / longest)
    return 1.0


def _share(text: str, script: str) -> float:
    found = _letters(text)
    right = found[script] + (found["han"] if script == "kana" else 0)
    return right / found.total() if found else 0.0


def _letters(text: str) -> Counter[str]:
    """How many letters there are of each script."""
    found: Counter[str] = Counter()
    for character, count in Counter(text).items():  # a long text has few different characters
        if character.isalpha():
            found[_script(character)] += count
    return found


@lru_cache(maxsize=4096)
def _script(letter: str) -> str:
    """The first word of a letter's name says it: LATIN SMALL LETTER A."""
    words = unicodedata.name(letter, "unknown").lower().split(" ")
    first = next((word for word in words if word not in _WIDTHS), "")
    return _KINDS.get(base := first.partition("-")[0], base)  # KATAKANA-HIRAGANA PROLONGED SOUND MARK
