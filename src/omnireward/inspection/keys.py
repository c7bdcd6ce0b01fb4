"""What is the same as what: digests of prompts, responses and comparisons, by normalised text and media content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from omnireward.fingerprints import normalised
from omnireward.types import Media, Part, Preference, Sample, Text

TELLING = 20  # characters of normalised text: "yes" in two places says nothing
_SHOWN = 160  # characters


@dataclass(frozen=True, slots=True)
class Content:
    """A prompt or a response: its key; its text alone, and whether it has media; whether sharing it says something."""

    key: bytes
    text: str
    has_media: bool
    telling: bool

    @property
    def shown(self) -> str:
        """Its beginning, for a report."""
        text = " ".join(self.text[: 2 * _SHOWN].split())
        return (text[:_SHOWN] + "…" if len(text) > _SHOWN else text) or "(media only)"


@dataclass(frozen=True, slots=True)
class Keys:
    """The contents of a sample, and the keys of the comparison without its criterion, with it, and of what was said.

    Order is left out of both keys: `verdict` is 0 for a tie, 1 where the response with the smaller key is preferred, 2
    where the other one is. Both have `one_response` key where responses are the same.
    """

    prompt: Content
    responses: tuple[Content, Content]
    comparison: bytes
    whole: bytes
    verdict: int
    one_response: bool


def sample_keys(sample: Sample, media: Mapping[Media, bytes]) -> Keys:
    """The keys of a sample.

    Args:
        sample: what to tell from others.
        media: what stands for each of its media.
    """
    comparison = sample.comparison
    prompt = _content(
        [part for turn in comparison.prompt for part in turn.content], media, turns=len(comparison.prompt)
    )
    a, b = (_content(parts, media) for parts in (comparison.response_a, comparison.response_b))
    key = _digest([prompt.key, *sorted((a.key, b.key))])
    return Keys(
        prompt=prompt,
        responses=(a, b),
        comparison=key,
        whole=_digest([key, normalised(comparison.criterion).encode("utf-8", "surrogatepass")]),
        verdict=_verdict(sample.preference, a.key, b.key),
        one_response=a.key == b.key,
    )


def short_digest(data: bytes) -> bytes:
    """16 bytes: among 10^12 different things, two share theirs with a probability of 10^-15."""
    return hashlib.sha256(data).digest()[:16]


def _verdict(preference: Preference, a: bytes, b: bytes) -> int:
    if preference == "tie":
        return 0
    preferred, other = (a, b) if preference == "a" else (b, a)
    return 1 if preferred <= other else 2


def _content(parts: Sequence[Part], media: Mapping[Media, bytes], turns: int = 1) -> Content:
    text = "\n".join(part.text for part in parts if isinstance(part, Text))
    plain = normalised(text)
    own = [media[part] for part in parts if isinstance(part, Media)]
    return Content(
        key=_digest([str(turns).encode(), plain.encode("utf-8", "surrogatepass"), *own]),
        text=text,
        has_media=bool(own),
        telling=bool(own) or len(plain) >= TELLING,
    )


def _digest(pieces: Iterable[bytes]) -> bytes:
    sha = hashlib.sha256()
    for piece in pieces:
        sha.update(len(piece).to_bytes(8, "big"))
        sha.update(piece)
    return sha.digest()[:16]
