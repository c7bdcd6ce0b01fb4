"""Texts of strangers, short enough for a log and plain enough for a page."""

from __future__ import annotations

import re

_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")


def cut(text: str, most: int) -> str:
    r"""A text of at most `most` characters and a mark; its end stays, for there a judge's verdict stands.

    >>> cut("a critique that goes on and on. VERDICT: A", 24)
    'a critique that go\n[… 18 characters left out …]\nICT: A'
    """
    if len(text) <= most:
        return text
    tail = most // 4
    left_out = len(text) - most
    return f"{text[: most - tail]}\n[… {left_out:,} characters left out …]\n{text[-tail:] if tail else ''}"


def visible(text: str) -> str:
    r"""A text whose control characters are seen, but for tabs and line breaks; half surrogate pairs too.

    >>> visible("a\0b\ud800")
    'a�b�'
    """
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))
