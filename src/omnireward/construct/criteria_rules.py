"""Which criteria are refused without asking anybody, each with the name of the rule that refuses it.

The paper's annotators threw out 23 % of criteria as vague or over-specific (app. D). The rules here are what can be
decided by looking at words: they refuse the plain cases, and the optional checker the others. A rule that is in doubt
refuses; the writer is asked again.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from omnireward.construct.leaking import leaks
from omnireward.prompts import inert
from omnireward.types import Comparison, Part, Text

REASONS = (
    "control",  # holds something that means something to a chat model, or characters that cannot be seen
    "length",  # fewer than 3 words, or more than 60 words or 400 characters
    "sentences",  # more than two
    "question",
    "leaking",  # mentions a response, its place, order or maker
    "vague",  # nothing is left without general praise and words that every criterion has
    "over-specific",  # repeats a run of words, a quotation, a number or an address of a response
    "duplicate",  # says what another of the same sample says, in either direction
)
FEWEST_WORDS, MOST_WORDS, MOST_CHARACTERS, MOST_SENTENCES = 3, 60, 400, 2
RUN_WORDS, RUN_SIGNS = 6, 12  # words, or Chinese and Japanese characters, that a criterion may not copy in a row
QUOTED_WORDS = 3
SAME = 0.8  # of the words in either that are in both
_CJK = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_CJK}]|[^\W_{_CJK}]+(?:['’][^\W_{_CJK}]+)*")
# The full stop of an abbreviation stands behind one letter or digit: e.g., i.e., z. B., 3.
_SENTENCE = re.compile(r"(?<!(?<![^\W_])[^\W_])[.!?]+(?=\s|$)|[。！？]")
_QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|«([^»]+)»|「([^」]+)」|(?<!\w)['‘]([^'’]+)['’](?!\w)")
_ADDRESS = re.compile(r"https?://|www\.|\b[\w-]+\.(?:com|org|net|edu|gov|io|ai|cn|de|uk)\b", re.IGNORECASE)
_NUMBER = re.compile(r"(?<![\w.])\d[\d.,:/]*\d(?![\w])")  # two digits or more; one digit is in too many texts


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_EMPTY = _set(
    "a an the it its this that these those which what who is are was be been being as of in on at to for from by "
    "with and or but so than then there their they them i you he she we one ones both each all any some more most "
    "less very really quite rather much many should must shall ought needs need has have had do does can could "
    "may might will would response responses answer answers reply output result content text image images picture "
    "pictures photo video videos clip audio sound recording object model user users prompt request question task "
    "criterion overall general generally possible way make makes made give gives given provide provides"
)
_PRAISE = _set(
    "good better best great nice fine well excellent outstanding superior high higher highest quality qualities "
    "effective useful helpful satisfying satisfactory satisfy satisfies appealing pleasing suitable appropriate "
    "proper perfect amazing impressive acceptable adequate decent strong stronger bad worse worst poor preferable "
    "preferred overall generally impression standard level"
)
_NEGATIONS = _set("not no never without avoid avoids free lack lacks less fewer nicht kein keine keinen ohne 不 没 无")
# What criteria in other languages have in common as well; these alone make none vague.
_FILLING = _set(
    "der die das den dem des ein eine einen einem einer eines im am an zu von mit und oder ist sein sollte soll muss "
    "antwort bild ton 的 了 是 在 有 和 与 或 应 该 要 必 须 需 能 可 以 会 一 个 只 张 条 段 "
    "回 答 复 案 图 片 像 视 频 音"
)


@dataclass(frozen=True)
class Ground:
    """What criteria on one sample are held against: its texts, and who made the responses."""

    comparison: Comparison
    provenance: Mapping[str, str]

    @cached_property
    def makers(self) -> frozenset[str]:
        """Values of provenance that name a model."""
        named = {value.casefold() for key, value in self.provenance.items() if "model" in key.casefold()}
        return frozenset(name for name in named if 3 <= len(name) <= 80)

    @cached_property
    def prompt(self) -> str:
        """The prompt's words, each with a space before and after."""
        return _spaced(part for turn in self.comparison.prompt for part in turn.content)

    @cached_property
    def responses(self) -> tuple[str, str]:
        """The words of each response."""
        return _spaced(self.comparison.response_a), _spaced(self.comparison.response_b)

    def copied(self, words: list[str]) -> bool:
        """Whether words in a row stand in a response, and not in the prompt."""
        run = f" {' '.join(words)} "
        return any(run in response for response in self.responses) and run not in self.prompt


def problem(criterion: str, ground: Ground, others: Iterable[str]) -> str | None:
    """The first rule that refuses a criterion; None where none does.

    Args:
        criterion: as written.
        ground: of its sample.
        others: criteria that the sample has already.

    >>> from omnireward.types import Turn
    >>> asked = Comparison((Turn("user", (Text("Greet me."),)),), (Text("Hi."),), (Text("Good day to you."),))
    >>> problem("The response should be of high quality.", Ground(asked, {}), [])
    'vague'
    >>> problem("It should be formal.", Ground(asked, {}), ["The answer must be formal."])
    'duplicate'
    """
    if inert(criterion) != criterion or not all(map(_is_seen, criterion)):
        return "control"
    words = words_of(criterion)
    if not FEWEST_WORDS <= len(words) <= MOST_WORDS or len(criterion) > MOST_CHARACTERS:
        return "length"
    if len(_SENTENCE.findall(criterion.strip())) > MOST_SENTENCES:
        return "sentences"
    if "?" in criterion or "？" in criterion:
        return "question"
    if leaks(criterion, ground.makers):
        return "leaking"
    if not set(words) - _EMPTY - _PRAISE:
        return "vague"
    if _over_specific(criterion, words, ground):
        return "over-specific"
    return "duplicate" if any(same(criterion, other) for other in others) else None


def words_of(text: str) -> list[str]:
    """Words in small letters; each Chinese or Japanese character is one."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def same(one: str, other: str) -> bool:
    """Whether two criteria say nearly the same: most words that mean something are in both, and as many negations.

    >>> same("It should rhyme well.", "The answer must rhyme."), same("It must rhyme.", "It must not rhyme.")
    (True, False)
    """
    first, second = words_of(one), words_of(other)
    if first == second:
        return True
    if sum(word in _NEGATIONS for word in first) % 2 != sum(word in _NEGATIONS for word in second) % 2:
        return False
    a, b = (set(words) - _EMPTY - _PRAISE - _NEGATIONS - _FILLING for words in (first, second))
    return len(a & b) >= SAME * len(a | b) > 0


def _over_specific(criterion: str, words: list[str], ground: Ground) -> bool:
    if _ADDRESS.search(criterion):
        return True
    length = RUN_SIGNS if re.search(f"[{_CJK}]", criterion) else RUN_WORDS
    if any(ground.copied(words[start : start + length]) for start in range(len(words) - length + 1)):
        return True
    for match in _QUOTED.finditer(criterion):
        quoted = words_of(next(filter(None, match.groups())))
        if len(quoted) >= QUOTED_WORDS and ground.copied(quoted):
            return True
    return any(ground.copied(words_of(number)) for number in _NUMBER.findall(criterion))


def _spaced(parts: Iterable[Part]) -> str:
    return " ".join(["", *(word for part in parts if isinstance(part, Text) for word in words_of(part.text)), ""])


def _is_seen(sign: str) -> bool:
    return sign.isprintable() or sign == " "
