"""The chat format of MiniCPM-o-2.6: ChatML, with placeholders where views, crops and seconds of sound stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from omnireward.backbones import Prepared, Row
from omnireward.backbones._chat_tokenizer import ChatTokenizer
from omnireward.backbones._chatml import END_OF_TURN, TURN, Writer, in_order
from omnireward.types import Media, Turn

DEFAULT_SYSTEM = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."
NUMBER, END_OF_NUMBER = "<image_id>", "</image_id>"
VIEW, END_OF_VIEW = "<image>", "</image>"
CROP, END_OF_CROP = "<slice>", "</slice>"
SOUND, END_OF_SOUND = "<|audio_start|>", "<|audio_end|>"
PLACEHOLDER = "<unk>"  # an ordinary id that the published model took over for this
SPECIAL_TOKENS = (
    TURN,
    END_OF_TURN,
    NUMBER,
    END_OF_NUMBER,
    VIEW,
    END_OF_VIEW,
    CROP,
    END_OF_CROP,
    SOUND,
    END_OF_SOUND,
    PLACEHOLDER,
)
# Marks of `Prepared.pattern`, one for each thing that a picture puts into the text.
NUMBER_MARK, VIEW_MARK, CROP_MARK, ROW_MARK = "#", "v", "c", "\n"


def picture_pattern(grid: tuple[int, int], *, numbered: bool) -> str:
    r"""How a picture with a grid of crops stands in the text.

    >>> picture_pattern((2, 2), numbered=True), picture_pattern((0, 0), numbered=False)
    ('#vcc\ncc', 'v')
    """
    columns, rows = grid
    return (NUMBER_MARK if numbered else "") + VIEW_MARK + ROW_MARK.join([CROP_MARK * columns] * rows)


def row_of(
    tokenizer: ChatTokenizer, conversation: Sequence[Turn], prepared: Sequence[Prepared], tokens_per_chunk: int
) -> Row:
    """Token ids of a conversation and the ranges that its media fill.

    Args:
        tokenizer: of the checkpoint.
        conversation: an optional system turn, then others; the last is the assistant's.
        prepared: the conversation's media in reading order.
        tokens_per_chunk: embeddings between a start and an end token of a sound.

    Raises:
        PromptError: a misplaced system turn, a last turn that is not the assistant's, or media that don't fit.
    """
    turns = in_order(conversation, prepared, DEFAULT_SYSTEM)
    writer = _Writer(tokenizer, iter(prepared), tokens_per_chunk)
    writer.turns(turns)
    return Row(torch.tensor(writer.ids, dtype=torch.long), tuple(writer.spans))


class _Writer(Writer):
    """Writes pictures as views and crops, and sounds second by second."""

    def __init__(self, tokenizer: ChatTokenizer, media: Iterator[Prepared], tokens_per_chunk: int) -> None:
        super().__init__(tokenizer)
        self._media, self._tokens_per_chunk = media, tokens_per_chunk
        self._pictures = 0

    def medium(self, part: Media) -> None:
        """Write the next medium."""
        if part.kind == "audio":
            self._sound(sum(next(self._media).tokens))
        else:
            self._picture(next(self._media))

    def _picture(self, medium: Prepared) -> None:
        tokens = iter(medium.tokens)
        for mark in medium.pattern:
            if mark == NUMBER_MARK:
                self.special(NUMBER)
                self.text(str(self._pictures))
                self.special(END_OF_NUMBER)
                self._pictures += 1
            elif mark == VIEW_MARK:
                self.span(VIEW, PLACEHOLDER, next(tokens), END_OF_VIEW)
            elif mark == CROP_MARK:
                self.span(CROP, PLACEHOLDER, next(tokens), END_OF_CROP)
            else:
                self.text(mark)

    def _sound(self, tokens: int) -> None:
        for start in range(0, tokens, self._tokens_per_chunk):
            self.span(SOUND, PLACEHOLDER, min(self._tokens_per_chunk, tokens - start), END_OF_SOUND)
