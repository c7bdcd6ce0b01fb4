"""A sample in words, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from omnireward.media.pieces import describe_media
from omnireward.types import Part, Sample, Text


def describe(sample: Sample) -> str:
    """Several lines: id, task, preference and groups; criterion; each turn of the prompt; both responses."""
    comparison = sample.comparison
    groups = ", ".join(sample.groups) or "none"
    lines = [
        f"{sample.id}  {sample.task.short}  preferred: {sample.preference}  groups: {groups}",
        f"  criterion: {comparison.criterion or '(none: overall quality)'}",
        *(f"  {turn.role}: {_parts(turn.content)}" for turn in comparison.prompt),
        f"  a: {_parts(comparison.response_a)}",
        f"  b: {_parts(comparison.response_b)}",
    ]
    return printable("\n".join(lines))


def printable(text: str) -> str:
    r"""Text without control characters: data are not ours, and an escape sequence must not reach the terminal.

    >>> printable("clear\x1b[2J the screen")
    'clear�[2J the screen'
    """
    return "".join(c if c.isprintable() or c == "\n" else "\N{REPLACEMENT CHARACTER}" for c in text)


def _parts(parts: Sequence[Part]) -> str:
    return " ".join(part.text if isinstance(part, Text) else f"[{describe_media(part)}]" for part in parts)
