"""Where in a conversation an answer begins and ends, whatever chat format it is written in.

Formats say it nowhere: it is told from what they write around an answer that says nothing. Two traps. Some write more
after the token that ends an answer, even special ones (Phi-3 ends a text there). And some write a blank before it, with
which the first word grows together (SentencePiece), so that what a model is to go on from ends before that blank.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from omnireward.backbones._decoder import DecoderBackbone
from omnireward.errors import CheckpointError, PromptError
from omnireward.packing import in_common
from omnireward.types import Text, Turn

_ANSWERS = ("A", "b", "1", "<", "\u00e9")  # what answers may begin with


@dataclass(frozen=True, slots=True)
class Closing:
    """What a chat format writes around an answer that says nothing, which is told from answers that say something.

    Attributes:
        end: the token that ends an answer.
        before: tokens that stand before it only where the answer is empty, such as a blank that words swallow.
        after: tokens behind it.
    """

    end: int
    before: int
    after: int

    @classmethod
    def of(cls, backbone: DecoderBackbone) -> Closing:
        """That of a chat format. Raises CheckpointError where no special token ends an answer."""
        empty, *others = (
            backbone.tokenize((Turn("user", (Text("?"),)), said(text)), ()).ids.numpy() for text in ("", *_ANSWERS)
        )
        begin = min(in_common(empty, other) for other in others)
        control = set(backbone.tokenizer.control.values())
        end = next((place for place in range(begin, len(empty)) if int(empty[place]) in control), None)
        if end is None:
            raise CheckpointError(
                "the chat format ends an answer with no special token, so nobody could tell where one ends. Is it a "
                "chat model?"
            )
        return cls(int(empty[end]), end - begin, len(empty) - end - 1)

    def begin(self, ids: Tensor) -> int:
        """Where in a conversation's ids, (n,), an answer begins that is empty."""
        return len(self.without(ids)) - 1 - self.before

    def without(self, ids: Tensor) -> Tensor:
        """A conversation's ids, (n,), up to and with the end of its answer. Raises PromptError."""
        whole = ids[: len(ids) - self.after]
        if len(whole) <= self.before or int(whole[-1]) != self.end:
            raise PromptError("the chat format wrote a conversation without the token that ends an answer.")
        return whole


def said(answer: str) -> Turn:
    """The turn of an answer."""
    return Turn("assistant", (Text(answer),))
