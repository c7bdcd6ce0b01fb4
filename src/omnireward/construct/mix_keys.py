"""By what samples are told apart, grouped and compared with benchmarks: digests of what they show.

A sample's keys are that of its prompt and one for each of its media. The prompt's key is that of its words together
with its media, so that ``Describe the image.`` under two pictures is two prompts; words count without case, spacing and
punctuation, and without system turns, which one source writes and another leaves out. Two samples that share a key must
not end up in two splits, and one that shares a key with a benchmark is left out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from omnireward.fingerprints.texts import normalised
from omnireward.rows import MAX_ROW_CHARACTERS
from omnireward.sample_rows import to_row
from omnireward.types import Comparison, Media, Part, Sample, Text, Turn

Says = Literal[-1, 0, 1]
BYTES = 16  # of a digest: two of 2^40 samples share 128 bits with a probability of 2^-49
_ADDED = 2**16  # what a mixture adds to a row: where it comes from
_SURE = 8  # JSON spells no character with more than six, and the rest of a row is small beside long texts


@dataclass(frozen=True, slots=True)
class Keys:
    """What a mixture knows of a sample's content; hex digests.

    Attributes:
        same: of everything that a judge sees, whichever response comes first. Equal for duplicates.
        says: the preference in the order of the responses' digests: 1 the first, -1 the second, 0 a tie.
        equal: the two responses are the same.
        prompt: of the prompt's words and media.
        media: of each medium, in the prompt and in the responses.
    """

    same: str
    says: Says
    equal: bool
    prompt: str
    media: tuple[str, ...]


def keys_of(sample: Sample) -> Keys:
    """Digest a sample. Reads its media files, each once.

    Raises:
        OSError: a medium cannot be read.
        UnicodeEncodeError: a text is not valid Unicode.
    """
    comparison = sample.comparison
    digests = {media: media.digest() for media in _media(comparison)}

    def exact(parts: Iterable[Part]) -> list[str]:
        # Marked, or a text could spell a medium's digest.
        return [f"text:{part.text}" if isinstance(part, Text) else f"media:{digests[part]}" for part in parts]

    turns = [piece for turn in comparison.prompt for piece in (turn.role, str(len(turn.content)), *exact(turn.content))]
    a, b = (_hex("response", exact(comparison.response(side))) for side in ("a", "b"))
    forward: Says = 1 if sample.preference == "a" else -1
    return Keys(
        same=_hex("same", [comparison.criterion, *sorted((a, b)), *turns]),
        says=0 if sample.preference == "tie" else forward if a <= b else _back(forward),
        equal=a == b,
        prompt=_hex("prompt", [words(comparison), *(digests[part] for part in _parts(_asked(comparison.prompt)))]),
        media=tuple(_hex("media", [digest]) for digest in dict.fromkeys(digests.values())),
    )


def words(comparison: Comparison) -> str:
    """The prompt's words, without case, spacing and punctuation."""
    texts = (part.text for turn in _asked(comparison.prompt) for part in turn.content if isinstance(part, Text))
    return normalised("\n".join(texts))


def prompt_media(comparison: Comparison) -> tuple[Media, ...]:
    """The prompt's media."""
    return tuple(_parts(comparison.prompt))


def all_media(comparison: Comparison) -> tuple[Media, ...]:
    """The media of prompt and responses, each once."""
    return tuple(dict.fromkeys(_media(comparison)))


def name_digest(name: str) -> str:
    """Of an id, which may be long."""
    return _hex("id", [name])


def too_long(sample: Sample) -> bool:
    """Whether a sample's line would be longer than lines that are read."""
    if sum(map(len, _texts(sample))) < MAX_ROW_CHARACTERS // _SURE:
        return False
    return len(json.dumps(to_row(sample, lambda _: ["x" * 80]), ensure_ascii=False)) > MAX_ROW_CHARACTERS - _ADDED


def check_text(sample: Sample) -> None:
    """Raise UnicodeEncodeError where something is not valid Unicode."""
    for text in _texts(sample):
        text.encode()


def _texts(sample: Sample) -> Iterator[str]:
    yield from (sample.id, sample.cluster, *sample.groups, *sample.provenance, *sample.provenance.values())
    comparison = sample.comparison
    yield comparison.criterion
    asked = (part for turn in comparison.prompt for part in turn.content)
    for part in (*asked, *comparison.response_a, *comparison.response_b):
        if isinstance(part, Text):
            yield part.text


def _asked(prompt: Sequence[Turn]) -> Sequence[Turn]:
    """The turns without those of the system, if there are others."""
    return [turn for turn in prompt if turn.role != "system"] or prompt


def _parts(turns: Iterable[Turn]) -> Iterator[Media]:
    return (part for turn in turns for part in turn.content if isinstance(part, Media))


def _media(comparison: Comparison) -> Iterator[Media]:
    yield from _parts(comparison.prompt)
    for side in (comparison.response_a, comparison.response_b):
        yield from (part for part in side if isinstance(part, Media))


def _back(says: Says) -> Says:
    return -1 if says == 1 else 1


def _hex(kind: str, pieces: Sequence[str]) -> str:
    """Of pieces in order; each with its length, or "ab", "c" would equal "a", "bc"."""
    data = [piece.encode() for piece in pieces]
    sha = hashlib.sha256(f"{kind}:{','.join(str(len(piece)) for piece in data)};".encode())
    for piece in data:
        sha.update(piece)
    return sha.hexdigest()[: 2 * BYTES]
