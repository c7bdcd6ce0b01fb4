"""Texts that say the same: exactly, but for case, white space and punctuation; and nearly, by MinHash.

A signature is 128 MinHashes (datasketch) of the text's 5-character pieces, of each only the lowest 8 bits (b-bit
minwise hashing, Li and Koenig 2010), packed by eights into 16 numbers. So it is two things at once: 32 bands of 4 rows,
halves of the numbers, of which near texts share one; and 128 bytes, of which two texts share as many as their pieces
overlap.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any

import numpy as np

from omnireward.errors import MissingExtraError

HASHES = 128
NEAR_JACCARD = 0.7
"""Texts are near from this share of common pieces on. Of pairs with .7, 99.98 % share a band; with .3, 23 %."""

_PIECE = 5  # characters; words would tear short prompts and languages without spaces
_READ = 20_000  # characters: longer texts are told by their beginnings
_AT_ONCE = 4_096  # pieces hashed together, 128 times each
_BASE = np.uint64(0x9E3779B97F4A7C15)


class _Plain(dict[int, str]):
    """Maps each code point to what is left of it; filled as characters come."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        category = unicodedata.category(character)
        space = " " if category != "Cf" else ""  # invisible: a zero-width space is no space
        left = self[code] = space if category[0] in "PZC" else character
        return left


_PLAIN = _Plain()


def normalised(text: str) -> str:
    """The text without case, punctuation and white space but single spaces, for exact comparison.

    Compatibility forms become the usual ones (NFKC). Symbols such as ``+`` stay. A text of nothing but punctuation
    keeps it, so that ``?`` and ``!`` differ.

    >>> normalised("  Draw a CAT, please!") == normalised("draw a cat please")
    True
    >>> normalised("?!")
    '?!'
    """
    plain = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return " ".join(plain.translate(_PLAIN).split()) or " ".join(text.split())


def text_signature(text: str) -> tuple[int, ...]:
    """16 numbers of 64 bits for `NearIndex`; none for a text of nothing but white space.

    Only the first 20,000 characters of the normalised text are read.

    Raises:
        MissingExtraError: needs the extra ``construct``.
    """
    words = normalised(text[: 2 * _READ])[:_READ]
    if not words:
        return ()
    pieces = _pieces(words)
    found = _empty().copy()
    for start in range(0, len(pieces), _AT_ONCE):
        found.update_batch(pieces[start : start + _AT_ONCE].tolist())
    lowest = (np.asarray(found.hashvalues) & 0xFF).astype(np.uint8)
    return tuple(int(band) for band in lowest.view(">u8"))


def jaccard(a: tuple[int, ...], b: tuple[int, ...]) -> float:
    """The share of common pieces that two signatures tell; its standard deviation is .04 at .7.

    >>> jaccard(text_signature("A cat."), text_signature("a cat"))
    1.0
    """
    left, right = (np.array(signature, np.uint64).view(np.uint8) for signature in (a, b))
    same = float((left == right).mean())
    return max(0.0, (same - 1 / 256) / (1 - 1 / 256))  # of those that differ, 1 in 256 is the same by chance


@cache
def _empty() -> Any:
    """A MinHash of nothing; drawing its permutations takes as long as hashing a prompt."""
    try:
        from datasketch import MinHash
    except ImportError as error:
        raise MissingExtraError("finding near-duplicate texts", "construct") from error
    return MinHash(HASHES, seed=1, hashfunc=int, scheme="affine32")


def _pieces(words: str) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    """32-bit hashes of the different 5-character pieces; a shorter text is one piece."""
    codes = np.frombuffer(words.encode("utf-32-le", "surrogatepass"), "<u4").astype(np.uint64)
    size = min(_PIECE, len(codes))
    hashes = np.zeros(len(codes) - size + 1, np.uint64)
    for offset in range(size):  # wraps around at 2^64, as meant
        hashes = (hashes + codes[offset : len(codes) - size + 1 + offset]) * _BASE
    return np.unique((hashes >> np.uint64(32)).astype(np.uint32))
