"""The made-up world's truth, for planted writers and verifiers: which response a criterion really wants.

Also a judge for `omnireward construct verify`: ``perf._construct_truth:NUMBER`` says the truth of eight samples in ten,
and one of the two other things of the rest. Different numbers err independently; both orders are told the same.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from functools import cache

from omnireward.judges import JudgeKind, JudgeOptions
from omnireward.miniature.families import FAMILIES, Family
from omnireward.miniature.world import TOLERANCE, World, scenes
from omnireward.types import Comparison, Judgement, Part, Preference, Task, Turn

RIGHT = 0.8
WORLD = World(prompts=80)
_MARGINS: dict[Preference, float] = {"a": 1.0, "tie": 0.0, "b": -1.0}
_SAYS: tuple[Preference, ...] = ("a", "tie", "b")


@cache
def truths() -> dict[str, dict[str, float]]:
    """Of each response of the training split, by what it answers and what it is."""
    return {
        _name((Turn("user", scene.prompt),), (item.part,)): dict(item.truth)
        for _, _, scene, _ in scenes(WORLD, "train")
        for item in scene.responses
    }


@cache
def meanings() -> dict[str, tuple[Family, int]]:
    """What each criterion wants: its family, and more (1) or less (-1) of it; without words that mean two things."""
    found: dict[str, tuple[Family, int]] = {}
    ambiguous: set[str] = set()
    for task, families in FAMILIES.items():
        for family in families:
            for direction in (1, -1):
                for words in family.wordings(direction, task, "seen"):
                    if found.setdefault(words, (family, direction)) != (family, direction):
                        ambiguous.add(words)
    return {words: meant for words, meant in found.items() if words not in ambiguous}


def families(task: Task) -> list[Family]:
    """Those that criteria may be about."""
    return [family for family in FAMILIES[task] if not family.held_out]


def truth(comparison: Comparison, family: Family, direction: int) -> Preference:
    """What the truth prefers."""
    first, second = (truths()[_name(comparison.prompt, comparison.response(side))] for side in ("a", "b"))
    gap = direction * (first[family.truth] - second[family.truth])
    return "tie" if abs(gap) <= TOLERANCE else "a" if gap > 0 else "b"


def true_preference(comparison: Comparison) -> Preference:
    """What the truth prefers under the comparison's own criterion."""
    return truth(comparison, *meanings()[comparison.criterion])


def _name(prompt: tuple[Turn, ...], response: tuple[Part, ...]) -> str:
    return Comparison(prompt, response, response).digest()


class _Mostly:
    """Says the truth of eight samples in ten."""

    def __init__(self, number: str) -> None:
        self._number = number

    @property
    def fingerprint(self) -> str:
        return f"mostly:{self._number}"

    def __call__(self, comparisons: Sequence[Comparison]) -> list[Judgement]:
        return [self._judge(comparison) for comparison in comparisons]

    def _judge(self, comparison: Comparison) -> Judgement:
        first, second = comparison.digest(), comparison.swap().digest()
        if first > second:  # told the same in both orders
            return self._judge(comparison.swap()).swap()
        draw = random.Random(hashlib.sha256(f"{self._number}:{first}".encode()).digest())
        right = true_preference(comparison)
        said = right if draw.random() < RIGHT else draw.choice([say for say in _SAYS if say != right])
        return Judgement(_MARGINS[said], verdict=said)


def _open(argument: str, _: JudgeOptions) -> _Mostly:
    return _Mostly(argument)


JUDGE = JudgeKind(summary="planted: right about eight samples in ten", open=_open, example=lambda _: "1")
