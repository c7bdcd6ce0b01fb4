"""What a mixture knows of every sample, in a database on the disk: what is left out, what is taken, and where it goes.

Nothing here depends on the order in which samples come: duplicates are told by source and number, and every choice
among equals is by a hash of what a sample shows and the seed. So adding a source leaves the order of the others as it
was, and machines, processes and the order of flags change nothing. Memory does not grow with the number of samples:
SQLite keeps its tables on the disk, sorts there, and holds at most `CACHE_BYTES`.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from omnireward.construct.mix_choice import Cell, rest, split_quotas
from omnireward.construct.mix_components import join, roots
from omnireward.construct.mix_counts import LeftOut, Portion
from omnireward.construct.mix_keys import BYTES

CACHE_BYTES = 32 * 2**20
DUPLICATE = "the same comparison stands elsewhere"
CONTRADICTED = "the same comparison has another preference elsewhere"
NOTHING = "prefers one of two equal responses"
IN_BENCHMARK = {"prompt": "its prompt is in", "media": "one of its media is in", "near": "is nearly in"}
OVER = "over the weights and caps"
_SCHEMA = """
PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA temp_store=FILE;
CREATE TABLE sample (
    id INTEGER PRIMARY KEY, source INTEGER, number INTEGER, name BLOB, task TEXT, side INTEGER, says INTEGER,
    criterion INTEGER, same BLOB, rank BLOB, why TEXT, split TEXT, swap INTEGER DEFAULT 0, numbered INTEGER DEFAULT 0);
CREATE TABLE key (key BLOB, sample INTEGER);
CREATE TABLE seen (key BLOB, benchmark INTEGER, kind TEXT, PRIMARY KEY (key)) WITHOUT ROWID;
"""
# Scattered: the lowest of many hashes is low, and large components would come first.
_PLACES = "SELECT root, scatter(MIN(rank)) AS place, COUNT(*) AS size FROM component GROUP BY root"


class Entry(NamedTuple):
    """One sample as pass 1 leaves it; digests are hex. `why` says why it cannot be used; empty if it can."""

    benchmark: bool
    source: int
    number: int
    name: str
    task: str
    side: int
    says: int
    criterion: bool
    same: str
    prompt: str
    media: Sequence[str]
    why: str


@dataclass(frozen=True, slots=True)
class Taken:
    """A sample that the mixture takes.

    Attributes:
        number: its position in its source.
        name: the digest of its id.
        numbered: the id occurs more than once in its source.
        swap: whether the responses change sides.
        split: where it goes.
        order: where it stands there; hex.
    """

    number: int
    name: bytes
    numbered: bool
    swap: bool
    split: str
    order: str


class Index:
    """The database at `path`, which must not exist. Close it, or use it in a ``with`` block."""

    def __init__(self, path: Path, seed: int) -> None:
        self._seed = seed
        self._database = sqlite3.connect(path, isolation_level=None)
        self._run = self._database.execute
        self._database.executescript(f"PRAGMA cache_size=-{CACHE_BYTES // 1024};{_SCHEMA}")
        self._database.create_function("scatter", 1, _scatter, deterministic=True)

    def load(self, entries: Iterable[Entry]) -> None:
        """Fill the tables. Samples are numbered from 1 as they come; benchmarks' are not counted."""
        count, coming = 0, iter(entries)
        self._run("BEGIN")
        while batch := list(islice(coming, 5_000)):
            samples, keys, seen = [], [], []
            for entry in batch:
                kinds = [("prompt", entry.prompt), *(("media", digest) for digest in entry.media)]
                if entry.benchmark:
                    seen += [(bytes.fromhex(key), entry.source, kind) for kind, key in kinds if key]
                    continue
                count += 1
                same = bytes.fromhex(entry.same)
                known = (count, entry.source, entry.number, bytes.fromhex(entry.name), entry.task, entry.side)
                samples.append((*known, entry.says, entry.criterion, same, self._rank(same), entry.why or None))
                keys += [(bytes.fromhex(key), count) for _, key in kinds if key]
            many = self._database.executemany
            columns = "id, source, number, name, task, side, says, criterion, same, rank, why"
            many(f"INSERT INTO sample ({columns}) VALUES (?,?,?,?,?,?,?,?,?,?,?)", samples)
            many("INSERT INTO key VALUES (?, ?)", keys)
            many(
                "INSERT INTO seen VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET benchmark = MIN(benchmark, excluded.benchmark)",
                seen,
            )
        self._run("CREATE INDEX by_same ON sample (same, source, number)")
        self._run("CREATE INDEX by_place ON sample (source, number)")
        self._run("COMMIT")

    def clean(self, benchmarks: Sequence[str], near: Iterable[tuple[int, int]] = ()) -> None:
        """Say why samples are left out: benchmarks first, then what contradicts, then what is there twice.

        Args:
            benchmarks: their names, in the order of their numbers.
            near: samples, by their numbers in the index, and the number of the benchmark that they are nearly in.
        """
        for number, name in enumerate(benchmarks):
            for kind in ("prompt", "media"):
                self._run(
                    "UPDATE sample SET why = ? WHERE why IS NULL AND id IN (SELECT sample FROM key JOIN seen "
                    "ON seen.key = key.key WHERE seen.benchmark = ? AND seen.kind = ?)",
                    (f"{IN_BENCHMARK[kind]} {name}", number, kind),
                )
        self._database.executemany(
            "UPDATE sample SET why = ? WHERE why IS NULL AND id = ?",
            ((f"{IN_BENCHMARK['near']} {benchmarks[benchmark]}", sample) for sample, benchmark in near),
        )
        self._run(
            "UPDATE sample SET why = ? WHERE why IS NULL AND same IN "
            "(SELECT same FROM sample WHERE why IS NOT ? GROUP BY same HAVING COUNT(DISTINCT says) > 1)",
            (CONTRADICTED, NOTHING),
        )
        self._run(
            "UPDATE sample SET why = ? WHERE id IN (SELECT id FROM (SELECT id, ROW_NUMBER() OVER "
            "(PARTITION BY same ORDER BY source, number) AS place FROM sample WHERE why IS NULL) WHERE place > 1)",
            (DUPLICATE,),
        )
        self._run("CREATE TEMP TABLE twice AS SELECT source, name FROM sample GROUP BY 1, 2 HAVING COUNT(*) > 1")
        self._run("CREATE INDEX temp.by_name ON twice (source, name)")
        self._run("UPDATE sample SET numbered = 1 WHERE (source, name) IN (SELECT source, name FROM twice)")

    def available(self, sources: Sequence[str]) -> dict[Cell, int]:
        """How many samples each source has of each task, of those that are not left out."""
        found = self._run("SELECT source, task, COUNT(*) FROM sample WHERE why IS NULL GROUP BY 1, 2")
        return {(sources[source], task): count for source, task, count in found}

    def choose(self, sources: Sequence[str], quotas: Mapping[Cell, int]) -> None:
        """Leave out what is over the quotas: of each cell the lowest hashes stay."""
        self._run("CREATE INDEX by_cell ON sample (source, task, rank)")
        self._database.executemany(
            "UPDATE sample SET why = ? WHERE id IN (SELECT id FROM sample "
            "WHERE why IS NULL AND source = ? AND task = ? ORDER BY rank LIMIT -1 OFFSET ?)",
            [(OVER, sources.index(source), task, quota) for (source, task), quota in quotas.items()],
        )

    def split(self, sources: Sequence[str], shares: Mapping[str, float], near: Iterable[tuple[int, int]] = ()) -> None:
        """Give each sample a split; what shares a prompt or a medium, through however many others, stays together.

        Connected samples go, in the order of a hash, to the smallest split that has room for all of them in each source
        and task. A split that is then still short, because much hangs together, takes more of them wherever that brings
        it closer to its share. The others go to the largest split.

        Args:
            sources: as in `available`.
            shares: split -> share, relative to each other.
            near: pairs of samples, by their numbers in the index, that must stay together as well.
        """
        self._run("UPDATE sample SET split = ? WHERE why IS NULL", (rest(shares),))
        if len(shares) == 1:
            return
        join(self._database, near)
        self._run("CREATE TEMP TABLE together (id INTEGER PRIMARY KEY, root INTEGER)")
        self._run("BEGIN")
        self._database.executemany("INSERT INTO together VALUES (?, ?)", roots(self._database))
        self._run("COMMIT")
        self._run("CREATE TEMP TABLE component (id INTEGER PRIMARY KEY, root INTEGER, rank BLOB, source, task)")
        self._run(
            "INSERT INTO component SELECT sample.id, COALESCE(together.root, sample.id), rank, source, task "
            "FROM sample LEFT JOIN together ON together.id = sample.id WHERE why IS NULL ORDER BY 1"
        )
        self._run("CREATE INDEX temp.by_root ON component (root)")
        self._run("CREATE TEMP TABLE target (root INTEGER PRIMARY KEY, split TEXT)")
        self._run("BEGIN")
        room = split_quotas(self.available(sources), shares)
        self._database.executemany("INSERT INTO target VALUES (?, ?)", self._fitting(sources, room))
        short = {split: sum(left.values()) for split, left in room.items()}
        self._database.executemany("INSERT INTO target VALUES (?, ?)", self._closest(short))
        self._run("COMMIT")
        self._run(
            "UPDATE sample SET split = target.split FROM component JOIN target ON target.root = component.root "
            "WHERE component.id = sample.id"
        )

    def _fitting(self, sources: Sequence[str], room: dict[str, dict[Cell, int]]) -> Iterator[tuple[int, str]]:
        """The components for which a split has room in each source and task, and the split. `room` shrinks."""
        found = self._run(
            f"SELECT component.root, source, task, COUNT(*) FROM component JOIN ({_PLACES}) AS ranked "
            "ON ranked.root = component.root GROUP BY place, component.root, source, task ORDER BY place, 1, 2, 3"
        )
        for root, rows in groupby(found, key=itemgetter(0)):
            cells = {(sources[source], task): count for _, source, task, count in rows}
            for split, left in room.items():
                if all(left.get(cell, 0) >= count for cell, count in cells.items()):
                    for cell, count in cells.items():
                        left[cell] -= count
                    yield root, split
                    break

    def _closest(self, short: dict[str, int]) -> Iterator[tuple[int, str]]:
        """Further components, each for a split that it brings closer to what it is short of."""
        # Sorted, so read to its end before the first row comes: `target` may change meanwhile.
        found = self._run(
            f"SELECT ranked.root, size FROM ({_PLACES}) AS ranked LEFT JOIN target ON target.root = ranked.root "
            "WHERE target.root IS NULL ORDER BY place"
        )
        for root, size in found:
            if not any(short.values()):
                break
            for split, left in short.items():
                if size <= 2 * left:
                    short[split] = max(0, left - size)
                    yield root, split
                    break

    def balance(self) -> None:
        """Swap sides so that in each source, task and split, and over all, a and b are as often, to within one."""
        self._swap("(ROW_NUMBER() OVER (ORDER BY source, task, split, scatter(rank)) % 2) * 2 - 1")

    def chosen_first(self) -> None:
        """Swap sides so that a is preferred wherever one is."""
        self._swap("1")

    def _swap(self, side: str) -> None:
        self._run(f"CREATE TEMP TABLE wanted AS SELECT id, {side} AS side FROM sample WHERE why IS NULL AND side != 0")
        self._run("CREATE UNIQUE INDEX temp.by_wanted ON wanted (id, side)")
        self._run("UPDATE sample SET swap = 1 WHERE (id, -side) IN (SELECT id, side FROM wanted)")

    def taken(self, source: int) -> Iterator[Taken]:
        """The samples taken of a source, in its order."""
        found = self._run(
            "SELECT number, name, numbered, swap, split, HEX(scatter(rank)) FROM sample "
            "WHERE source = ? AND why IS NULL ORDER BY number",
            (source,),
        )
        for number, name, numbered, swap, split, order in found:
            yield Taken(number, name, bool(numbered), bool(swap), split, order)

    def portions(self, sources: Sequence[str]) -> Iterator[Portion]:
        """What is taken, by source, task and split."""
        found = self._run(
            "SELECT source, task, split, COUNT(*), SUM(side * (1 - 2 * swap) = 1), SUM(side = 0), SUM(criterion) "
            "FROM sample WHERE why IS NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        )
        for source, task, split, samples, a, ties, criteria in found:
            yield Portion(sources[source], task, split, samples, a, ties, criteria)

    def left_out(self, sources: Sequence[str]) -> Iterator[LeftOut]:
        """What is not, by source, task and reason."""
        found = self._run(
            "SELECT source, task, why, COUNT(*) FROM sample WHERE why NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        )
        for source, task, why, samples in found:
            yield LeftOut(sources[source], task, why, samples)

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rank(self, same: bytes) -> bytes:
        return hashlib.sha256(f"{self._seed}\0".encode() + same).digest()[:BYTES]


def _scatter(rank: bytes) -> bytes:
    return hashlib.sha256(rank).digest()[:BYTES]
