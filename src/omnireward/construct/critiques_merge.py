"""The parts' answers become one folder of critiques; what can be known of the whole only is decided here.

Of answers that are the same word for word, only so many are kept, the first by id. Where the two verdicts are to be in
balance, the surplus of the more frequent one is left out, drawn by a hash, task by task. Lines are sorted on the disk,
so memory holds of each kept answer a number at most.
"""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from omnireward import atomic
from omnireward.construct.critique_drafts import COPY, UNBALANCED, WRONG
from omnireward.construct.drafts import SHOWN_OF_REFUSED
from omnireward.construct.sorting import sort_lines
from omnireward.critiques import FILE as CRITIQUES
from omnireward.critiques import line
from omnireward.sample_rows import FILE as SAMPLES

ANSWERS, REJECTED = "answers.jsonl", "rejected.jsonl"
_CHUNK = 10_000  # lines sorted in memory at once; each holds an answer
_Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Merging:
    """What is decided when everything is there.

    Attributes:
        same: answers that may be the same; 0 for any number.
        balance: whether verdicts A and B are to be equally many in each task.
        seed: draws which are left out for it.
        wrong: whether wrong answers are written down as critiques, too, marked.
        writer: what critiques say who wrote them.
    """

    same: int
    balance: bool
    seed: int
    wrong: bool
    writer: str


def merge_critiques(folders: Sequence[Path], out: Path, merging: Merging) -> None:
    """Write ``critiques.jsonl``, ``samples.jsonl``, ``rejected.jsonl`` and ``answers.jsonl``, each sorted by id.

    Args:
        folders: of parts; each has answers and samples.
        out: where to write.
        merging: what to decide, and how.
    """
    with TemporaryDirectory(dir=out, prefix=".merging-") as temporary:
        by_answer, marked, by_id, samples = (Path(temporary) / name for name in ("answers", "marked", "ids", "samples"))
        sort_lines([folder / ANSWERS for folder in folders], by_answer, key="answer", chunk=_CHUNK)
        draws = _Draws(merging.seed)
        with marked.open("w", encoding="utf-8") as file:
            for record in _without_copies(_read(by_answer), merging.same):
                draws.see(record)
                file.write(json.dumps(record) + "\n")
        sort_lines([marked], by_id, chunk=_CHUNK)
        surplus = draws.surplus() if merging.balance else frozenset[int]()
        with ExitStack() as stack:
            told, kept, refused = (
                stack.enter_context(atomic.whole(out / name)) for name in (ANSWERS, CRITIQUES, REJECTED)
            )
            for record in _read(by_id):
                if not record["reason"] and draws.draw(record) in surplus:
                    record["reason"] = UNBALANCED
                answer, reason = record.pop("answer"), record["reason"]
                told.write(json.dumps(record) + "\n")
                if not reason or (merging.wrong and reason == WRONG):
                    kept.write(_critique(record, answer, merging.writer))
                else:
                    refused.write(json.dumps(_refusal(record, answer)) + "\n")
        sort_lines([folder / SAMPLES for folder in folders], samples)
        with atomic.whole(out / SAMPLES) as file:
            file.writelines(_answered(samples, out / CRITIQUES))


class _Draws:
    """A number for each kept answer, by task and verdict."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._found: dict[tuple[str, str], list[int]] = {}

    def draw(self, record: _Record) -> int:
        name = f"{self._seed}:balance:{record['swapped']}:{record['attempt']}:{record['id']}"
        return int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()[:8])

    def see(self, record: _Record) -> None:
        if not record["reason"]:
            self._found.setdefault((record["task"], record["verdict"]), []).append(self.draw(record))

    def surplus(self) -> frozenset[int]:
        """Those to leave out."""
        found: set[int] = set()
        for task in {task for task, _ in self._found}:
            a, b = (self._found.get((task, verdict), []) for verdict in ("a", "b"))
            found.update(heapq.nsmallest(abs(len(a) - len(b)), a if len(a) > len(b) else b))
        return frozenset(found)


def _without_copies(records: Iterable[_Record], most: int) -> Iterator[_Record]:
    """The same records, which come by answer; of those kept, so many with the same answer."""
    for _, group in groupby(records, lambda record: record["answer"]):
        times = 0
        for record in group:  # lines begin with the id, so these come by id
            times += not record["reason"]
            yield record | {"reason": COPY} if most and times > most and not record["reason"] else record


def _critique(record: _Record, answer: str, writer: str) -> str:
    told = {
        "writer": writer,
        "verdict": record["verdict"],
        "tries": record["attempt"] + 1,
        "right": not record["reason"],
    }
    return line(record["id"], record["swapped"], answer, told)


def _refusal(record: _Record, answer: str) -> _Record:
    shown = {name: record[name] for name in ("id", "swapped", "attempt", "verdict", "reason")}
    return shown | {"answer": answer[:SHOWN_OF_REFUSED]}


def _answered(samples: Path, critiques: Path) -> Iterator[str]:
    """The lines of samples that have a critique; both files are sorted by id."""
    wanted = (record["id"] for record in _read(critiques))
    name = next(wanted, None)
    with samples.open(encoding="utf-8") as file:
        for text in file:
            found = json.loads(text)["id"]
            while name is not None and name < found:
                name = next(wanted, None)
            if name == found:
                yield text


def _read(path: Path) -> Iterator[_Record]:
    with path.open(encoding="utf-8") as file:
        yield from map(json.loads, file)
