r"""Critiques of samples: what a judge that writes answers is taught with before it learns by trying (the warm start).

A folder of critiques is a folder of samples (see `sample_rows`) with one more file, ``critiques.jsonl``, that holds one
answer a line::

    {"id": "…", "swapped": false, "answer": "Response A is sharper. …\nVERDICT: A", "writer": "api:…", "tries": 2}

``id`` names a sample of the folder, and ``answer`` is what a judge should have written about it, critique and verdict.
Unusual: the answer speaks of A and B as they were shown. Where ``swapped`` is true, its response A is the sample's
``response_b``; so the same sample can be answered in both orders. ``swapped`` may be left out, which means false. A
line with ``"right": false`` is an answer that is known to be wrong, and is passed over: nobody is taught with it.
Other fields are provenance: they stay in the file, and nobody needs them. A sample may have several critiques or none.

`omnireward construct critiques` writes such a folder; by hand, or from a script of one's own, it is as good. Any other
dataset in a folder can be given as well when ``critiques.jsonl`` lies in that folder and names its ids.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from omnireward import atomic
from omnireward.errors import BadRowError, SourceError
from omnireward.rows import Row, rows
from omnireward.sample_rows import SampleWriter
from omnireward.sources import BadRows, SampleSource, local_root, open_place
from omnireward.types import Comparison, Preference, Sample, flipped

FILE = "critiques.jsonl"
MOST_CHARACTERS = 65_536  # of an answer; four times what any judge here is let to write
Provenance = Mapping[str, str | int | bool]
_WORLD_PROMPTS = 125  # of each task, where a place of the made-up world says nothing: as for training


@dataclass(frozen=True, slots=True)
class Critique:
    """What a judge should have written about a sample.

    Attributes:
        sample: with its own a and b.
        swapped: whether the responses were shown in the other order.
        answer: critique and verdict; its A and B are those that were shown.
    """

    sample: Sample
    swapped: bool
    answer: str

    @property
    def shown(self) -> Comparison:
        """What the judge saw."""
        comparison = self.sample.comparison
        return comparison.swap() if self.swapped else comparison

    @property
    def preference(self) -> Preference:
        """What people said, of the responses as shown."""
        return flipped(self.sample.preference) if self.swapped else self.sample.preference


class CritiqueWriter:
    """Writes a folder of critiques: each sample once, when its first critique comes, and each answer.

    Use it as a context manager; ``critiques.jsonl`` and ``samples.jsonl`` appear, whole, when it ends well.

    Args:
        folder: where; made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self.written = 0
        self._samples = SampleWriter(folder)
        self._ids: set[str] = set()
        self._stack = ExitStack()
        self._file: TextIO

    def __enter__(self) -> Self:
        self._file = self._stack.enter_context(atomic.whole(self.path))
        self._stack.enter_context(self._samples)
        return self

    def add(self, critique: Critique, provenance: Provenance | None = None) -> None:
        """Write one critique, with fields that say where it comes from. Raises OSError."""
        sample = critique.sample
        if sample.id not in self._ids:
            self._ids.add(sample.id)
            self._samples.add(sample)
        self._file.write(line(sample.id, critique.swapped, critique.answer, provenance or {}))
        self.written += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)


def line(sample: str, swapped: bool, answer: str, provenance: Provenance) -> str:
    """A critique of the sample of this id, as a line of JSON."""
    said = {"id": sample, "swapped": swapped, "answer": answer}
    return json.dumps({**said, **provenance, **said}, ensure_ascii=False, separators=(",", ":")) + "\n"


def write_critiques(critiques: Iterable[Critique], folder: Path) -> int:
    """Write a folder of critiques, lazily; returns how many there were."""
    with CritiqueWriter(folder) as writer:
        for critique in critiques:
            writer.add(critique)
    return writer.written


def read_critiques(place: str, bad_rows: BadRows) -> Iterator[Critique]:
    """The critiques at a place, in the order of its samples and, of one sample, of their lines.

    All answers are held in memory; samples are read one after the other.

    Args:
        place: a folder of critiques, which ``?split=NAME`` may follow; or the made-up world, whose critiques are
            made: ``miniature`` or ``miniature:prompts=9,seed=3``.
        bad_rows: told of each line and row that cannot be used: no such sample, no text, empty, longer than
            MOST_CHARACTERS, or said before. That a line names no sample is known when all samples have been read.

    Raises:
        UnknownNameError, SourceError: there is no such place, or it holds no critiques.
        BadRowError: a line or a row cannot be used, and `bad_rows` says to stop; while iterating.
    """
    name, source, location = open_place("datasets", place)
    if name == "miniature":
        return _made_up(location)
    return _beside(source, location, _file(source, location), bad_rows)


def _made_up(settings: str) -> Iterator[Critique]:
    from omnireward.miniature.critiques import critiques  # it draws pictures; a folder needs none of that
    from omnireward.miniature.world import World

    world = World.parse(settings, World(prompts=_WORLD_PROMPTS))
    return (Critique(sample, swapped, answer) for sample, swapped, answer in critiques(world))


def _file(source: SampleSource, location: str) -> Path:
    where = location or source.home
    if "?" in where and not Path(where).expanduser().exists():  # a folder may have a question mark in its name
        where = where.rpartition("?")[0]
    root = local_root(where, "")
    path = (root.parent if root.is_file() else root) / FILE
    if not path.is_file():
        raise SourceError(
            f"{root} holds samples but no {FILE}. Have critiques written: omnireward construct critiques --samples "
            f'{root} --writer api:MODEL --out DIR; or write them, one a line: {{"id": …, "swapped": false, '
            '"answer": "…\\nVERDICT: A"}.'
        )
    return path


def _beside(source: SampleSource, location: str, path: Path, bad_rows: BadRows) -> Iterator[Critique]:
    """The critiques of a file, each with its sample."""
    name = path.name
    found: dict[str, dict[tuple[bool, str], int]] = {}
    for row in rows(path, path.parent, bad_rows):
        try:
            said = _truth(row, "swapped", False), _answer(row)
            right = _truth(row, "right", True)
            known = found.setdefault(row.text("id"), {})
            if said in known:
                raise row.bad("answer", f"is what row {known[said]} says of the same sample, in the same order.")
        except BadRowError as error:
            bad_rows.add(error)
        else:
            if right:
                known[said] = row.number
    for sample in source.read(location, bad_rows):
        for swapped, answer in found.pop(sample.id, ()):  # ids are not ours: where one comes twice, the first has them
            yield Critique(sample, swapped, answer)
    for given, lines in found.items():
        for number in lines.values():
            bad_rows.add(BadRowError(name, number, "id", f"{reprlib.repr(given)} names no sample of this folder."))


def _truth(row: Row, field: str, default: bool) -> bool:
    value = row.fields.get(field, default)
    if not isinstance(value, bool):
        raise row.bad(field, f"is {reprlib.repr(value)}, neither true nor false.")
    return value


def _answer(row: Row) -> str:
    answer = row.text("answer")
    if not answer.strip():
        raise row.bad("answer", "is empty.")
    if len(answer) > MOST_CHARACTERS:
        raise row.bad("answer", f"has {len(answer):,} characters; at most {MOST_CHARACTERS:,} are read.")
    return answer
