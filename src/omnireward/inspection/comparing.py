"""Questions to the store: what comes several times, what contradicts itself, what a benchmark has too."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

from omnireward.fingerprints import NearIndex
from omnireward.inspection.findings import (
    Contradictions,
    Duplicates,
    NearDuplicates,
    NearPair,
    OverlapCount,
    Repeated,
)
from omnireward.inspection.store import Store

EXAMPLES = 5
KINDS = ("prompt", "response", "media", "comparison")


def duplicates(store: Store) -> tuple[Duplicates, ...]:
    """What comes several times in the source, exactly: by kind, and whole samples with what was said of them."""
    found = []
    for kind in KINDS[:3]:
        grouped = "FROM occurrence WHERE origin = 0 AND kind = ? GROUP BY digest"
        counted = store.one(f"SELECT SUM(n), COUNT(*), SUM(n > 1) FROM (SELECT COUNT(*) AS n {grouped})", (kind,))
        query = f"SELECT COUNT(*) AS n, digest, MIN(sample) {grouped} HAVING n > 1 ORDER BY n DESC, 3 LIMIT ?"
        examples = tuple(
            Repeated(_shown(store, 0, kind, digest), count, store.id_of(sample))
            for count, digest, sample in store.ask(query, (kind, EXAMPLES))
        )
        found.append(_duplicates(kind, counted, examples))
    grouped = "FROM sample WHERE origin = 0 GROUP BY whole, verdict"
    counted = store.one(f"SELECT SUM(n), COUNT(*), SUM(n > 1) FROM (SELECT COUNT(*) AS n {grouped})")
    query = f"SELECT COUNT(*) AS n, MIN(number) {grouped} HAVING n > 1 ORDER BY n DESC, 2 LIMIT ?"
    examples = tuple(
        Repeated(f"sample {store.id_of(number)}", count, store.id_of(number))
        for count, number in store.ask(query, (EXAMPLES,))
    )
    return *found, _duplicates("sample", counted, examples)


def contradictions(store: Store) -> Contradictions:
    """Comparisons of the source that were judged in two ways."""
    opposite = "SUM(verdict = 1) > 0 AND SUM(verdict = 2) > 0"
    grouped = "FROM sample WHERE origin = 0 AND NOT one_response GROUP BY whole HAVING"
    (count,) = store.one(f"SELECT COUNT(*) FROM (SELECT 1 {grouped} {opposite})")
    (ties,) = store.one(f"SELECT COUNT(*) FROM (SELECT 1 {grouped} SUM(verdict = 0) > 0 AND SUM(verdict > 0) > 0)")
    same, preferred = store.one("SELECT COUNT(*), SUM(verdict > 0) FROM sample WHERE origin = 0 AND one_response")
    examples = store.ask(
        "SELECT MIN(CASE verdict WHEN 1 THEN number END), MIN(CASE verdict WHEN 2 THEN number END) "
        f"{grouped} {opposite} ORDER BY MIN(number) LIMIT {EXAMPLES}"
    )
    told = tuple((store.id_of(a), store.id_of(b)) for a, b in examples)
    return Contradictions(count, ties, same, preferred or 0, told)


def near_duplicates(store: Store, nears: dict[str, NearIndex]) -> tuple[NearDuplicates, ...]:
    """What is nearly the same within the source: prompts, responses, and each kind of media."""
    found: dict[str, list[int]] = {}
    examples: dict[str, list[NearPair]] = {}
    uses = lru_cache(10_000)(partial(_uses, store))
    for place, index in nears.items():
        for pair in index.pairs(origin="0"):
            name = pair.kind if place == "media" else place
            counts = found.setdefault(name, [0, 0])
            counts[0] += 1
            a, b = bytes.fromhex(pair.a), bytes.fromhex(pair.b)
            in_one = _in_one_sample(store, place, a, b, uses)
            counts[1] += in_one
            shelf = examples.setdefault(name, [])
            if not in_one and len(shelf) < EXAMPLES:
                shelf.append(_pair(store, place, a, 0, b, 0, pair.distance))
    return tuple(NearDuplicates(name, all_of, same, tuple(examples[name])) for name, (all_of, same) in found.items())


def overlap(store: Store, nears: dict[str, NearIndex], origin: int) -> tuple[int, tuple[OverlapCount, ...]]:
    """Samples that share anything with a benchmark, and how many share what."""
    store.run("DELETE FROM hit")
    counts = []
    for kind in KINDS:
        query = """
            FROM occurrence o WHERE o.origin = 0 AND o.kind = ?1 AND o.telling AND EXISTS (
                SELECT 1 FROM occurrence b WHERE b.kind = ?1 AND b.digest = o.digest AND b.origin = ?2)"""
        store.run(f"INSERT OR IGNORE INTO hit SELECT 'exact ' || o.kind, o.sample {query}", (kind, origin))
        examples = [
            _pair(store, kind, digest, 0, digest, origin, 0)
            for (digest,) in store.ask(
                f"SELECT o.digest {query} GROUP BY o.digest ORDER BY MIN(o.sample) LIMIT 3", (kind, origin)
            )
        ]
        if kind in nears:
            examples += _near(store, nears[kind], kind, origin)
        exact, near = (
            store.one("SELECT COUNT(*) FROM hit WHERE kind = ?", (f"{closeness} {kind}",))[0]
            for closeness in ("exact", "near")
        )
        counts.append(OverlapCount(kind, exact, near, tuple(examples[:EXAMPLES])))
    (any_kind,) = store.one("SELECT COUNT(DISTINCT sample) FROM hit")
    return any_kind, tuple(counts)


def _near(store: Store, index: NearIndex, kind: str, origin: int) -> list[NearPair]:
    """Note the samples that have something near to a benchmark's, and nothing exactly; some examples."""
    examples: list[NearPair] = []
    for pair in index.across("0", str(origin)):
        if pair.a == pair.b:
            continue
        a, b = bytes.fromhex(pair.a), bytes.fromhex(pair.b)
        added = store.run(
            "INSERT OR IGNORE INTO hit SELECT DISTINCT 'near ' || kind, sample FROM occurrence o "
            "WHERE origin = 0 AND kind = ?1 AND digest = ?2 AND NOT EXISTS "
            "(SELECT 1 FROM hit WHERE hit.kind = 'exact ' || ?1 AND hit.sample = o.sample)",
            (kind, a),
        )
        if added and len(examples) < EXAMPLES:
            examples.append(_pair(store, kind, a, 0, b, origin, pair.distance))
    return examples


def _in_one_sample(store: Store, kind: str, a: bytes, b: bytes, uses: Callable[[str, bytes], int]) -> bool:
    if kind == "prompt":
        return False
    rarer, other = sorted((a, b), key=lambda digest: uses(kind, digest))  # one may be a refusal that thousands have
    query = """
        SELECT EXISTS (SELECT 1 FROM occurrence x CROSS JOIN occurrence y ON x.sample = y.sample
            WHERE x.kind = ?1 AND x.digest = ?2 AND x.origin = 0 AND y.kind = ?1 AND y.digest = ?3 AND y.origin = 0)"""
    return bool(store.one(query, (kind, rarer, other))[0])


def _uses(store: Store, kind: str, digest: bytes) -> int:
    query = "SELECT COUNT(*) FROM occurrence WHERE kind = ? AND digest = ? AND origin = 0"
    return int(store.one(query, (kind, digest))[0])


def _pair(store: Store, kind: str, a: bytes, a_origin: int, b: bytes, b_origin: int, distance: int) -> NearPair:
    (a_sample, a_shown), (b_sample, b_shown) = (
        (_first_sample(store, kind, digest, origin), _shown(store, origin, kind, digest))
        for origin, digest in ((a_origin, a), (b_origin, b))
    )
    return NearPair(a_sample, b_sample, a_shown, b_shown, distance)


def _first_sample(store: Store, kind: str, digest: bytes, origin: int) -> str:
    query = "SELECT MIN(sample) FROM occurrence WHERE kind = ? AND digest = ? AND origin = ?"
    return store.id_of(store.one(query, (kind, digest, origin))[0])


def _duplicates(kind: str, counted: tuple[Any, ...], examples: tuple[Repeated, ...]) -> Duplicates:
    total, different, repeated = (value or 0 for value in counted)  # sums over nothing are NULL
    return Duplicates(kind, total, different, repeated, examples)


def _shown(store: Store, origin: int, kind: str, digest: bytes) -> str:
    """The beginning of a text, or the name of a file."""
    if kind == "comparison":
        return ""
    column, table = ("name", "medium") if kind == "media" else ("shown", "content")
    where = "origin = ? AND digest = ?" + ("" if kind == "media" else f" AND kind = '{kind}'")
    return str(store.one(f"SELECT {column} FROM {table} WHERE {where}", (origin, digest))[0])
