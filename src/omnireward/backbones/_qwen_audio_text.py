"""How Qwen's omni models write a conversation: ChatML, and a stretch of placeholders for each medium.

Positions never come from transformers' get_rope_index, which counts start tokens in the ids and trusts them; here they
come from the media that were written. The axis of time has a fixed number of positions a second, so a video's depend on
the true time between its frames. A sound counts up as text does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import torch

from omnireward.backbones import Prepared, Row
from omnireward.backbones._chat_tokenizer import ChatTokenizer
from omnireward.backbones._qwen_vl import VisionWriter
from omnireward.types import Media


class OmniWriter(VisionWriter):
    """Writes a picture, a video and a sound each as one stretch, and a mesh as pictures. A model names the tokens.

    Args:
        tokenizer: of the checkpoint.
        media: those of the conversation, in reading order.
        merge: patches on a side of the square that becomes one embedding.
        per_slice: positions on the axis of time from one slice of a video to the next, if frames are a second apart.
    """

    HEARD: ClassVar[str]
    SOUND: ClassVar[str]
    END_OF_HEARD: ClassVar[str]
    FRACTIONS: ClassVar[bool]  # of positions: kept, or rounded down

    def __init__(self, tokenizer: ChatTokenizer, media: Iterator[Prepared], merge: int, per_slice: float) -> None:
        super().__init__(tokenizer, media, merge)
        self._per_slice = per_slice

    def medium(self, part: Media) -> None:
        """Write the next medium."""
        if part.kind == "audio":
            self.span(self.HEARD, self.SOUND, next(self._media).tokens[0], self.END_OF_HEARD)
        else:
            super().medium(part)

    def video(self, medium: Prepared, seconds: float) -> None:
        """Write a video; `seconds` from one frame to the next."""
        # In float32, as transformers computes them: rounding down forgives nothing.
        times = torch.arange(len(medium.sizes)) * torch.tensor(seconds, dtype=torch.float32) * self._per_slice
        self.grid(self.VIDEO, medium.sizes[0], (times if self.FRACTIONS else times.long()).tolist())

    def row(self) -> Row:
        """All that was written."""
        row = super().row()
        if row.positions is None or not self.FRACTIONS:
            return row
        return replace(row, positions=row.positions.float())  # text by itself too: a batch has one kind
