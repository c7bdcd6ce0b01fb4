"""A source of rewards that can be read off: a response's reward is the number that its words or its bytes end with."""

from __future__ import annotations

from collections.abc import Sequence

from omnireward.serve.asking import Ask, Problem, Reward
from omnireward.types import Part, Text


class MadeUp:
    """Gives rewards, or a `Problem` for what ends with no number; keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Ask] = []

    def __call__(self, asks: Sequence[Ask]) -> list[list[Reward]]:
        self.asked += asks
        return [[_reward(response) for response in ask.responses] for ask in asks]

    @property
    def words(self) -> list[tuple[str, str, list[str]]]:
        """Of each ask the prompt's words, the criterion, and the responses' words."""
        return [
            (" ".join(_words(turn.content) for turn in ask.prompt), ask.criterion, [_words(r) for r in ask.responses])
            for ask in self.asked
        ]


def _words(parts: Sequence[Part]) -> str:
    return " ".join(part.text if isinstance(part, Text) else f"({part.kind})" for part in parts)


def _reward(response: Sequence[Part]) -> Reward:
    try:
        return float(_words(response).split()[-1])
    except (ValueError, IndexError):
        return Problem("failed", "made up.")
