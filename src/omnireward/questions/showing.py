"""Messages become text with a marker for each picture, and the pictures: what both trainers take.

Unusual: a text that spells a marker would be taken for a picture, so a caret is put into it, as `prompts.inert` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from omnireward.media.encode import compressed
from omnireward.presentation import Message, Picture
from omnireward.prompts.markers import CARET
from omnireward.types import Role

MARKER = "<image>"
_MARKERS = re.compile(r"<(?=(?:image|video|audio)>)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Encoded:
    """A picture's bytes; `suffix` is png or jpeg; `size` is width and height in pixels."""

    data: bytes
    suffix: str
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Shown:
    """Turns as text, and the pictures of their markers in the same order."""

    turns: tuple[tuple[Role, str], ...]
    pictures: tuple[Encoded, ...]


def as_text(messages: Iterable[Message]) -> Shown:
    """Messages of words and pictures.

    Raises:
        TypeError: sound, which neither trainer takes.
    """
    turns: list[tuple[Role, str]] = []
    pictures: list[Encoded] = []
    for message in messages:
        text = ""
        for kind, run in groupby(message.items, type):
            if kind is str:  # joined first: a marker could come into being where two meet
                text += _MARKERS.sub(f"<{CARET}", "".join(map(str, run)))
                continue
            for item in run:
                if not isinstance(item, Picture):
                    raise TypeError("sound cannot be shown as pictures")
                text += MARKER
                suffix, data = compressed(item.pixels)
                height, width = item.pixels.shape[:2]
                pictures.append(Encoded(data, suffix, (width, height)))
        turns.append((message.role, text))
    return Shown(tuple(turns), tuple(pictures))
