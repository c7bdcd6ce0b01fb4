"""ChatML: how a conversation becomes token ids in Qwen's families and in MiniCPM-o.

Two traps. Text between special tokens is tokenised as a whole ("user", the newline and the question together), but an
assistant's words are tokenised apart from the header before them, as in training. And text never becomes a special
token (see `_chat_tokenizer`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

from omnireward.backbones import Prepared
from omnireward.backbones._chat_tokenizer import ChatTokenizer
from omnireward.errors import PromptError
from omnireward.types import Media, Text, Turn

TURN, END_OF_TURN = "<|im_start|>", "<|im_end|>"


class Writer(ABC):
    """Collects ids, holding text back until a special token or a boundary ends it. A family says how media are written.

    Attributes:
        ids: token ids so far.
        spans: half-open ranges of `ids` that embeddings fill, in order.
    """

    def __init__(self, tokenizer: ChatTokenizer) -> None:
        self.ids: list[int] = []
        self.spans: list[tuple[int, int]] = []
        self._tokenizer = tokenizer
        self._held: list[str] = []

    @abstractmethod
    def medium(self, part: Media) -> None:
        """Write the next medium."""

    def turns(self, turns: Iterable[Turn]) -> None:
        """Write whole turns."""
        for turn in turns:
            self.special(TURN)
            self.text(f"{turn.role}\n")
            if turn.role == "assistant":
                self.flush()  # training tokenises prompt and response apart
            for part in turn.content:
                if isinstance(part, Text):
                    self.text(part.text)
                else:
                    self.medium(part)
            self.special(END_OF_TURN)
            self.text("\n")
            self.flush()

    def text(self, text: str) -> None:
        """Write text, joined with what stands before it."""
        self._held.append(text)

    def span(self, start: str, placeholder: str, count: int, end: str) -> None:
        """Write placeholders between two special tokens, and remember where they are."""
        self.special(start)
        self.spans.append((len(self.ids), len(self.ids) + count))
        self.ids += [self._tokenizer.special(placeholder)] * count
        self.special(end)

    def special(self, token: str) -> None:
        """Write a special token."""
        self.flush()
        self.ids.append(self._tokenizer.special(token))

    def flush(self) -> None:
        """Tokenise the text that is held back."""
        if self._held:
            self.ids += self._tokenizer.text("".join(self._held))
            self._held.clear()


def in_order(conversation: Sequence[Turn], prepared: Sequence[Prepared], default_system: str) -> list[Turn]:
    """The turns, with a system turn in front where the format has one by default.

    Args:
        conversation: an optional system turn, then others; the last is the assistant's.
        prepared: the conversation's media in reading order.
        default_system: what the system says where nothing else is said; empty: no turn.

    Raises:
        PromptError: a misplaced system turn, a last turn that is not the assistant's, or media that don't fit.
    """
    turns = list(conversation)
    if default_system and (not turns or turns[0].role != "system"):
        turns.insert(0, Turn("system", (Text(default_system),)))
    if not turns or turns[-1].role != "assistant" or any(turn.role == "system" for turn in turns[1:]):
        roles = [turn.role for turn in conversation]
        raise PromptError(f"a conversation is [system,] user, ..., assistant; this one's roles are {roles}.")
    expected = [part.kind for turn in turns for part in turn.content if isinstance(part, Media)]
    towers = ["audio" if kind == "audio" else "vision" for kind in expected]
    if towers != [medium.tower for medium in prepared]:
        given = [medium.tower for medium in prepared]
        raise PromptError(f"the conversation holds {expected}, but media prepared for {given} were given.")
    return turns
