"""The second pass of a mixture: the sources are read again, and what was chosen is written in its order.

Lines are sorted on the disk by the hash that says where a sample stands, so the sources are read from front to back and
the mixture is shuffled all the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from omnireward.construct.mix_form import Form
from omnireward.construct.mix_index import Index, Taken
from omnireward.construct.mix_keys import name_digest
from omnireward.construct.spool import Spool
from omnireward.errors import SourceError
from omnireward.media_store import MediaStore
from omnireward.sources import BadRows, read_place
from omnireward.types import Sample, flipped

ORIGINS = 1_000  # names that are counted; what a sample says of its origin is anybody's text
ORIGIN_LENGTH = 200  # characters of one that are kept
OTHERS = "(others)"
_NUMBERED = re.compile(r"#\d+\Z")


@dataclass(frozen=True, slots=True)
class Source:
    """A source.

    Attributes:
        place: what is read.
        named: how the place is written down.
        prefix: what its samples' ids begin with.
        licence: as it states it; empty: it does not.
        home: what it reads where the place names no location; empty: it does, or needs none.
    """

    place: str
    named: str
    prefix: str
    licence: str = ""
    home: str = ""


@dataclass(slots=True)
class Written:
    """The files, below the folder that was given, and where samples say that they come from."""

    files: list[str] = field(default_factory=list)
    origins: Counter[str] = field(default_factory=Counter)


def write(
    index: Index, sources: Sequence[Source], form: Form, fresh: Path, media: Path, *, skip_bad_rows: bool
) -> Written:
    """Write what was chosen.

    Args:
        index: that has chosen.
        sources: in the order of their numbers.
        form: what to write.
        fresh: an empty folder for the files.
        media: the folder for media.
        skip_bad_rows: as in the first pass.

    Raises:
        SourceError: a source is not what it was in the first pass, or cannot be read on.
    """
    written = Written()
    (fresh / "sorting").mkdir()
    spool, store = Spool(fresh / "sorting"), MediaStore(media)
    for number, source in enumerate(sources):
        samples = enumerate(read_place("datasets", source.place, _Again(skip_bad_rows)))
        for taken in index.taken(number):
            sample = next((sample for at, sample in samples if at == taken.number), None)
            if sample is None or bytes.fromhex(name_digest(sample.id)) != taken.name:
                raise SourceError(
                    f"{source.named} changed while it was being mixed: its sample {taken.number} is another. "
                    "Run the same command again."
                )
            final = _final(sample, source, taken)
            origin = final.provenance["source"][:ORIGIN_LENGTH]
            known = origin in written.origins or len(written.origins) < ORIGINS
            written.origins[origin if known else OTHERS] += 1
            spool.add(f"{taken.split}/{taken.order}", form.line(final, store))
    (fresh / "files").mkdir()
    writer = form.writer(fresh / "files", media)
    for key, line in spool:
        writer.add(key.partition("/")[0], line)
    written.files = writer.close()
    return written


def _final(sample: Sample, source: Source, taken: Taken) -> Sample:
    """The sample as it stands in the mixture: its id is like no other, and it says where it comes from."""
    name = f"{source.prefix}:{sample.id}"
    if taken.numbered or _NUMBERED.search(sample.id):  # the second, or `x#5` could be the fifth `x`
        name += f"#{taken.number}"
    provenance = {**sample.provenance, "place": source.named}
    provenance.setdefault("source", source.named)
    if taken.swap and provenance.pop("swapped", "") != "yes":  # by an earlier mixture: now it is as it was
        provenance["swapped"] = "yes"
    return replace(
        sample,
        id=name,
        cluster=f"{source.prefix}:{sample.cluster}",
        comparison=sample.comparison.swap() if taken.swap else sample.comparison,
        preference=flipped(sample.preference) if taken.swap else sample.preference,
        provenance=provenance,
    )


class _Again(BadRows):
    """Rows that were counted in the first pass."""

    def add(self, error: Exception) -> None:
        if not self.skip:
            raise error
