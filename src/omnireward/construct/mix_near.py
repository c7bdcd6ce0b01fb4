"""What is nearly the same: pictures, clips, sounds and meshes by perceptual hashes, prompts of words alone by MinHash.

Words under a prompt's media are not compared: ``Describe the image.`` is near to thousands. Its picture is compared.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from omnireward.construct.mix_keys import all_media, prompt_media, words
from omnireward.fingerprints.media import media_hashes
from omnireward.fingerprints.near import Kind, NearIndex
from omnireward.fingerprints.texts import text_signature
from omnireward.media import Decoder
from omnireward.types import Media, Sample

DATA = "data"
KNOWN = 10_000  # media whose hashes are kept in memory, a few hundred bytes each


class Hashed(NamedTuple):
    """The hashes of one medium, or of a prompt's words."""

    kind: Kind
    hashes: Sequence[int]


class Hasher:
    """Hashes samples. Use it in a ``with`` block: media are decoded in child processes."""

    def __init__(self) -> None:
        self._decoder = Decoder(at_once=1)
        self._known: OrderedDict[str, tuple[int, ...]] = OrderedDict()

    def __call__(self, sample: Sample) -> list[Hashed]:
        """The hashes of all media, and of the prompt's words where it has no media.

        Raises:
            MediaError: a medium cannot be decoded.
            MissingExtraError: needs the extra ``construct``, and meshes ``mesh``.
            OSError: a file cannot be read.
        """
        comparison = sample.comparison
        found = [Hashed(media.kind, self._hashes(media)) for media in all_media(comparison)]
        if not prompt_media(comparison):
            found.append(Hashed("text", text_signature(words(comparison))))
        return found

    def _hashes(self, media: Media) -> tuple[int, ...]:
        """Decoding takes long, and samples that share a medium often come one after the other."""
        digest = media.digest()
        if digest not in self._known:
            self._known[digest] = media_hashes(media, self._decoder)
        self._known.move_to_end(digest)
        while len(self._known) > KNOWN:
            self._known.popitem(last=False)
        return self._known[digest]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._decoder.close()


class Neighbours:
    """Near samples, and samples near to benchmarks. Close it, or use it in a ``with`` block."""

    def __init__(self, path: Path) -> None:
        self._index = NearIndex(path)

    def add(self, sample: int, hashed: Hashed, benchmark: int | None) -> None:
        """Add one medium or text of a sample, which is one of a benchmark if it has a number."""
        origin = DATA if benchmark is None else f"benchmark {benchmark}"
        self._index.add(str(sample), hashed.kind, hashed.hashes, origin)

    def in_benchmarks(self, benchmarks: int) -> Iterator[tuple[int, int]]:
        """Samples and the benchmark that they are nearly in."""
        for benchmark in range(benchmarks):
            for pair in self._index.across(DATA, f"benchmark {benchmark}"):
                yield int(pair.a), benchmark

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Pairs of samples that are near; what hangs together through several does so through these."""
        for pair in self._index.pairs(origin=DATA):
            yield int(pair.a), int(pair.b)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._index.close()
