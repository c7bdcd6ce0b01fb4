"""The first pass of a mixture: every sample is read once, and what the index needs is written down.

It is the dear pass, because media are hashed (and decoded where near ones are looked for), so it runs in parts: each
part reads all sources and keeps to its own samples.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

from omnireward import atomic
from omnireward.construct.mix_form import FormName
from omnireward.construct.mix_forms import form_of
from omnireward.construct.mix_index import NOTHING, Entry
from omnireward.construct.mix_keys import check_text, keys_of, name_digest, too_long
from omnireward.construct.mix_near import Hashed, Hasher
from omnireward.construct.parts import Part, begin, done, finish, said
from omnireward.errors import BadRowError, JournalError, MediaError, SourceError
from omnireward.sample_rows import line
from omnireward.sources import BadRows, SourceFolder, read_place
from omnireward.types import Media, Sample

KEYS = "keys.jsonl"
UNREADABLE, UNDECODABLE = "a medium cannot be read", "a medium cannot be decoded"
NOT_UNICODE, TOO_LONG = "its text is not valid Unicode", "its text is too long for one row"
_SHOWN = 5  # bad rows that are told in words


@dataclass(frozen=True, slots=True)
class Plan:
    """What the first pass depends on. All parts of one mixture must have the same.

    Attributes:
        sources, benchmarks: places to read.
        named: the same as they are written down, which a move of the folder does not change.
        form: what the mixture is written as; some forms cannot hold every sample.
        near: whether near media and texts are looked for.
        skip_bad_rows: count what cannot be read, instead of stopping.
    """

    sources: tuple[str, ...]
    benchmarks: tuple[str, ...]
    named: tuple[str, ...]
    form: FormName
    near: bool
    skip_bad_rows: bool

    def digest(self) -> str:
        """What tells plans apart."""
        told = [self.named, self.form, self.near, self.skip_bad_rows, len(self.sources)]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()


@dataclass(slots=True)
class CountedBadRows(BadRows):
    """Bad rows of which only the first are kept, or a source of nothing else would fill the memory."""

    count: int = 0

    def add(self, error: BadRowError) -> None:
        """Raise, or count."""
        if not self.skip:
            raise error
        self.count += 1
        if len(self.errors) < _SHOWN:
            self.errors.append(error)


@dataclass(slots=True)
class Read:
    """What was read.

    Attributes:
        samples, bad: of each source, then of each benchmark: samples, and rows that cannot be used.
        first_bad: the first of those, in words.
        lost: samples of benchmarks whose media cannot be read, so that nothing was compared with them.
        digest: of all that was read, media by their names; empty where one part reads everything.
    """

    samples: list[int] = field(default_factory=list)
    bad: list[int] = field(default_factory=list)
    first_bad: list[str] = field(default_factory=list)
    lost: int = 0
    digest: str = ""


def index_part(plan: Plan, work: Path, part: Part) -> None:
    """Read everything and write the keys of the part's own samples into its folder.

    Raises:
        UnknownNameError, SourceError: a place cannot be opened or read on.
        BadRowError: a row cannot be used, and `skip_bad_rows` is off.
    """
    folder = begin(part, work)
    read = Read()
    fresh = folder / f".{KEYS}.new"
    with ExitStack() as stack:
        file = stack.enter_context(fresh.open("w", encoding="utf-8"))
        hasher = stack.enter_context(Hasher()) if plan.near else None
        for entry, hashed in _entries(plan, part, hasher, read):
            file.write(json.dumps([entry, hashed], separators=(",", ":")) + "\n")
    atomic.synced(fresh)
    fresh.replace(folder / KEYS)
    finish(part, work, {"plan": plan.digest(), **asdict(read)})


def read_parts(plan: Plan, work: Path) -> Read:
    """What the parts that are done have read.

    Raises:
        JournalError: they belong to another mixture, or did not read the same.
    """
    told = said(work)
    if any(one.overlaps(other) for one, other in combinations(done(work), 2)):
        raise JournalError(f"{work / 'parts'} holds parts that overlap. Remove {work}, and run all parts again.")
    if any(each["plan"] != plan.digest() for each in told):
        raise JournalError(f"{work / 'parts'} holds parts of another mixture. Remove {work}, and run all parts again.")
    lost = sum(each.pop("lost") for each in told)  # each part sees its own
    if any(each != told[0] for each in told):
        raise JournalError(
            f"the parts in {work / 'parts'} did not read the same samples: a source has changed between them. "
            f"Remove {work}, and run all parts again."
        )
    return Read(told[0]["samples"], told[0]["bad"], told[0]["first_bad"], lost, told[0]["digest"])


def read_entries(work: Path) -> Iterator[tuple[Entry, list[Hashed]]]:
    """What the parts that are done have written down."""
    for part in done(work):
        with (part.folder(work) / KEYS).open(encoding="utf-8") as file:
            for text in file:
                entry, hashed = json.loads(text)
                yield Entry(*entry), [Hashed(*each) for each in hashed]


def _entries(plan: Plan, part: Part, hasher: Hasher | None, read: Read) -> Iterator[tuple[Entry, list[Hashed]]]:
    form, sha = form_of(plan.form), hashlib.sha256()
    places: list[tuple[SourceFolder, int, str]] = [("datasets", i, place) for i, place in enumerate(plan.sources)]
    places += [("benchmarks", i, place) for i, place in enumerate(plan.benchmarks)]
    for folder, source, place in places:
        bad_rows = CountedBadRows(plan.skip_bad_rows)
        count = 0
        for number, sample in enumerate(read_place(folder, place, bad_rows)):
            count += 1
            if part.of > 1:
                sha.update(line(sample, _names).encode("utf-8", "surrogatepass"))
                if not part.holds(sample.id):
                    continue
            known: dict[str, Any] = {"benchmark": folder == "benchmarks", "source": source, "number": number}
            try:
                if problem := _problem(sample):
                    read.lost += known["benchmark"]
                    yield _unusable(sample, known, problem), []
                    continue
                keys = keys_of(sample)
                why = "" if known["benchmark"] else NOTHING if keys.equal and keys.says else form.refuses(sample)
                hashed = hasher(sample) if hasher else []
            except (OSError, MediaError) as error:
                if not plan.skip_bad_rows:
                    raise SourceError(f"{place}, sample {number} ({sample.id[:80]!r}): {error}") from error
                read.lost += known["benchmark"]
                problem = UNDECODABLE if isinstance(error, MediaError) else UNREADABLE
                yield _unusable(sample, known, problem), []
                continue
            yield _entry(sample, known, why, keys.says, keys.same, keys.prompt, keys.media), hashed
        read.samples.append(count)
        read.bad.append(bad_rows.count)
        read.first_bad.extend(str(error) for error in bad_rows.errors)
    read.digest = sha.hexdigest() if part.of > 1 else ""


def _names(media: Media) -> list[Any]:
    """What stands for a medium that nobody has opened; other machines may have its folder elsewhere."""
    return [len(piece) if isinstance(piece, bytes) else piece.name for piece in media.pieces()]


def _problem(sample: Sample) -> str:
    try:
        check_text(sample)
    except UnicodeEncodeError:
        return NOT_UNICODE
    return TOO_LONG if too_long(sample) else ""


def _unusable(sample: Sample, known: dict[str, Any], why: str) -> Entry:
    nobody = name_digest(f"{known['source']}\0{known['number']}")  # is like no other
    return _entry(sample, known, why, 0, nobody, "", ())


def _entry(
    sample: Sample, known: dict[str, Any], why: str, says: int, same: str, prompt: str, media: tuple[str, ...]
) -> Entry:
    return Entry(
        **known,
        name=name_digest(sample.id.encode("utf-8", "replace").decode()),
        task=sample.task.short,
        side={"a": 1, "b": -1, "tie": 0}[sample.preference],
        says=says,
        criterion=bool(sample.comparison.criterion),
        same=same,
        prompt=prompt,
        media=media,
        why=why,
    )
