"""One pass over a source: samples are counted, and what is compared later goes into the store."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from omnireward.fingerprints import NearIndex, text_signature
from omnireward.inspection.histogram import Histogram
from omnireward.inspection.keys import Content, Keys, sample_keys, short_digest
from omnireward.inspection.media_facts import MediumFacts, examine, missing
from omnireward.inspection.store import Store
from omnireward.media import Decoder
from omnireward.types import Comparison, Media, Part, Sample, Text

GROUPS = 200  # names of groups that are counted apart: they come from rows
_WORD = re.compile(r"\S+")


@dataclass(frozen=True, slots=True)
class Tools:
    """Where a pass puts things, and how closely it looks. No `nears`: nothing is looked for that is nearly the same."""

    store: Store
    decoder: Decoder
    nears: dict[str, NearIndex] = field(default_factory=dict)
    decode: bool = False


@dataclass(slots=True)
class Tally:
    """What is counted in memory."""

    last_row: tuple[str, str] | None = None
    row_count: int = 0
    groups: Counter[str] = field(default_factory=Counter)
    with_criterion: int = 0
    words: dict[str, Histogram] = field(
        default_factory=lambda: {name: Histogram() for name in ("prompt", "response", "criterion")}
    )
    seconds: dict[str, Histogram] = field(default_factory=dict)
    pixels: dict[tuple[str, str], Histogram] = field(default_factory=dict)
    bytes: dict[str, Histogram] = field(default_factory=dict)
    not_done: str = ""


class Reader:
    """Reads the samples of one origin."""

    def __init__(self, tools: Tools, origin: int, first_number: int) -> None:
        self.tools, self.origin, self.number = tools, origin, first_number
        self.tally = Tally()

    def read(self, sample: Sample) -> None:
        """Count a sample."""
        keys = sample_keys(sample, self._media(sample))
        store, number = self.tools.store, self.number
        self.number += 1
        store.add(
            "sample",
            number,
            self.origin,
            sample.id.encode("utf-8", "surrogatepass"),
            sample.task.short,
            short_digest(sample.cluster.encode("utf-8", "surrogatepass")),
            sample.preference,
            _preferred_is_longer(sample),
            keys.whole,
            keys.verdict,
            keys.one_response,
        )
        self._contents(keys, number)
        self._count(sample)

    def _contents(self, keys: Keys, number: int) -> None:
        add = self.tools.store.add
        for kind, content in (("prompt", keys.prompt), *(("response", response) for response in keys.responses)):
            add("occurrence", self.origin, kind, content.key, number, content.telling)
            if self.tools.store.is_new(self.origin, kind, content.key, content.shown):
                self._add_near(kind, content)
        telling = keys.prompt.telling or any(response.telling for response in keys.responses)
        add("occurrence", self.origin, "comparison", keys.comparison, number, telling)

    def _add_near(self, kind: str, content: Content) -> None:
        """Words of prompts and responses; not those under media, where one question may be asked of thousands."""
        if kind in self.tools.nears and content.telling and not content.has_media:
            self.tools.nears[kind].add(content.key.hex(), "text", text_signature(content.text), str(self.origin))

    def _media(self, sample: Sample) -> dict[Media, bytes]:
        comparison = sample.comparison
        parts: Iterable[Part] = (
            *(part for turn in comparison.prompt for part in turn.content),
            *comparison.response_a,
            *comparison.response_b,
        )
        found = {}
        for part in parts:
            if isinstance(part, Media):
                found[part] = digest = self._medium(part)
                self.tools.store.add("occurrence", self.origin, "media", digest, self.number, True)
        return found

    def _medium(self, media: Media) -> bytes:
        """Its digest; what is known of it is found out the first time."""
        place = _place(media)
        digest = self.tools.store.digest_of(place) if place else None
        if digest is None:
            digest = _content_digest(media)
            if place:
                self.tools.store.note_file(place, digest)
        if self.tools.store.is_new(self.origin, "media", digest, ""):
            facts = examine(media, self.tools.decoder, self.tools.decode)
            self.tools.store.add_medium(self.origin, digest, facts)
            self._measure(facts)
            if facts.hashes and "media" in self.tools.nears:
                self.tools.nears["media"].add(digest.hex(), facts.kind, facts.hashes, str(self.origin))
        return digest

    def _measure(self, facts: MediumFacts) -> None:
        if facts.state != "found":
            return
        self.tally.not_done = facts.problem or self.tally.not_done
        self.tally.bytes.setdefault(facts.kind, Histogram()).add(facts.size)
        if facts.seconds is not None:
            self.tally.seconds.setdefault(facts.kind, Histogram(0.1)).add(facts.seconds)
        for side, pixels in (("width", facts.width), ("height", facts.height)):
            if pixels is not None:
                self.tally.pixels.setdefault((facts.kind, side), Histogram()).add(pixels)

    def _count(self, sample: Sample) -> None:
        tally, comparison = self.tally, sample.comparison
        row = (sample.provenance.get("file", ""), sample.provenance.get("row", ""))
        if row != tally.last_row and row[1]:
            tally.row_count += 1
            tally.last_row = row
        for group in sample.groups:
            name = group[:GROUPS]
            tally.groups[name if name in tally.groups or len(tally.groups) < GROUPS else "(other groups)"] += 1
        if comparison.criterion.strip():
            tally.with_criterion += 1
            tally.words["criterion"].add(_words([Text(comparison.criterion)]))
        tally.words["prompt"].add(_words([part for turn in comparison.prompt for part in turn.content]))
        for response in (comparison.response_a, comparison.response_b):
            if any(isinstance(part, Text) for part in response):
                tally.words["response"].add(_words(response))


def _words(parts: Sequence[Part]) -> int:
    return sum(sum(1 for _ in _WORD.finditer(part.text)) for part in parts if isinstance(part, Text))


def _preferred_is_longer(sample: Sample) -> bool | None:
    """Whether the preferred response has more characters; None for ties, for equal lengths, and for media."""
    comparison: Comparison = sample.comparison
    if sample.preference == "tie" or any(
        isinstance(part, Media) for part in (*comparison.response_a, *comparison.response_b)
    ):
        return None
    other = comparison.response("b" if sample.preference == "a" else "a")
    preferred, less = (
        sum(len(part.text) for part in parts if isinstance(part, Text))
        for parts in (comparison.response(sample.preference), other)
    )
    return None if preferred == less else preferred > less


def _place(media: Media) -> bytes:
    """Names the files of a medium as they are now; empty for bytes and for what is not there."""
    told = [media.kind.encode(), b"sequence" if isinstance(media.source, tuple) else b"single"]
    for piece in media.pieces():
        if isinstance(piece, bytes):
            return b""
        try:
            status = piece.stat()
        except (OSError, ValueError):
            return b""
        told += [os.fsencode(piece), f"{status.st_size} {status.st_mtime_ns}".encode()]
    return short_digest(b"\0".join(told))


def _content_digest(media: Media) -> bytes:
    """16 bytes; of what cannot be read, its name's."""
    if not missing(media) and all(isinstance(piece, bytes) or piece.is_file() for piece in media.pieces()):
        try:
            return bytes.fromhex(media.digest())[:16]
        except OSError:
            pass
    return short_digest(b"unread:" + b"\0".join(os.fsencode(p) for p in media.pieces() if isinstance(p, Path)))
