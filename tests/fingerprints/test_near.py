"""The index of near things against brute force."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest

from omnireward.errors import SourceError
from omnireward.fingerprints import NEAR, NearIndex, Pair, distance, near_rows, text_signature


def flipped(bits: int, count: int, rng: random.Random) -> int:
    for place in rng.sample(range(64), count):
        bits ^= 1 << place
    return bits


def families(count: int, seed: int = 0) -> dict[str, int]:
    """Hashes, of each four more at 1 to 12 bits from it."""
    rng = random.Random(seed)
    found = {}
    for number in range(count):
        first = rng.getrandbits(64)
        found[f"{number:03}"] = first
        for child in range(4):
            found[f"{number:03}.{child}"] = flipped(first, rng.randint(1, 12), rng)
    return found


def _roots(names: Iterable[str], pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """What hangs together, each by one of it."""
    group = {name: name for name in names}

    def root(name: str) -> str:
        while group[name] != name:
            name = group[name]
        return name

    for a, b in pairs:
        group[root(a)] = root(b)
    return {name: root(name) for name in group}


@pytest.mark.parametrize("limit", [0, 1, 6, 10])
def test_finds_what_brute_force_finds(tmp_path: Path, limit: int) -> None:
    hashes = families(60)
    names = sorted(hashes)
    expected = [
        Pair(a, b, "image", d)
        for i, a in enumerate(names)
        for b in names[i + 1 :]
        if (d := distance(hashes[a], hashes[b])) <= limit
    ]
    with NearIndex(tmp_path / "near") as index:
        for name in random.Random(1).sample(names, len(names)):
            index.add(name, "image", (hashes[name],))
        assert list(index.pairs(limit)) == expected
    assert bool(expected) == (limit > 0)


def test_equal_hashes_are_tied_to_the_first(tmp_path: Path) -> None:
    with NearIndex(tmp_path / "near") as index:
        for name in ("c", "a", "b", "a"):
            index.add(name, "image", (5,))
        index.add("near", "image", (4,))
        index.add("a", "video", (5,))  # another kind is another thing
        index.add("nothing", "image", ())
        assert list(index.pairs()) == [
            Pair("a", "b", "image", 0),
            Pair("a", "c", "image", 0),
            Pair("a", "near", "image", 1),
        ]
        index.add("d", "image", (5,))  # more may come after a search
        assert Pair("a", "d", "image", 0) in list(index.pairs())


def test_across_origins_every_name_with_its_nearest(tmp_path: Path) -> None:
    with NearIndex(tmp_path / "near") as index:
        for name, bits in (("x", 0), ("y", 0), ("z", 0b111), ("far", 2**40 - 1)):
            index.add(name, "image", (bits,), "data")
        for name, bits in (("one", 0b1), ("same", 0b111)):
            index.add(name, "image", (bits,), "bench")
        assert list(index.across("data", "bench")) == [
            Pair("x", "one", "image", 1),
            Pair("y", "one", "image", 1),
            Pair("z", "same", "image", 0),
        ]
        assert [pair.a for pair in index.across("bench", "data")] == ["one", "same"]
        assert list(index.pairs(origin="data")) == [Pair("x", "y", "image", 0), Pair("x", "z", "image", 3)]
        assert list(index.pairs(0, origin="bench")) == []
        assert list(index.across("data", "elsewhere")) == []


def test_several_hashes_are_near_when_half_of_them_are(tmp_path: Path) -> None:
    """Frames: a shared first one makes no copy; two of four do, and so does an excerpt."""
    rng = random.Random(0)
    frames = [rng.getrandbits(64) for _ in range(4)]
    other = [rng.getrandbits(64) for _ in range(4)]
    with NearIndex(tmp_path / "near") as index:
        index.add("whole", "video", frames)
        index.add("coded", "video", [flipped(bits, 3, rng) for bits in frames])
        index.add("excerpt", "video", frames[2:3])
        index.add("first only", "video", [frames[0], *other[1:]])
        index.add("still", "video", [other[0]] * 4)
        found = {(pair.a, pair.b): pair.distance for pair in index.pairs()}
    assert found == {("coded", "whole"): 3, ("coded", "excerpt"): 3, ("excerpt", "whole"): 0}


def test_texts(tmp_path: Path) -> None:
    text = "a small red house by the sea with a boat in front of it and two gulls above, as an oil painting"
    with NearIndex(tmp_path / "near") as index:
        index.add("text", "text", text_signature(text))
        index.add("shouted", "text", text_signature(text.upper() + "!"))
        index.add("edited", "text", text_signature(text.replace("two", "three")))
        index.add("other", "text", text_signature("a poem on the boats of a small harbour, in four lines"))
        found = list(index.pairs())
    assert [(pair.a, pair.b, pair.distance == 0) for pair in found] == [
        ("edited", "shouted", False),
        ("shouted", "text", True),
    ]
    assert all(pair.distance <= NEAR["text"] for pair in found)


def test_any_name_and_any_hash(tmp_path: Path) -> None:
    names = ["", "\ud800", "a\x00b", "é" * 1000]
    with NearIndex(tmp_path / "near") as index:
        for name in names:
            index.add(name, "audio", (2**64 - 1, 0, 2**63))
        assert {pair.b for pair in index.pairs()} == set(names) - {""}


def test_stays_on_the_disk(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with NearIndex(tmp_path / "near") as index:
            index.add(name, "mesh", (1,))
    with NearIndex(tmp_path / "near") as index:
        assert list(index.pairs()) == [Pair("a", "b", "mesh", 0)]


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("not a database, but long enough to be looked at " * 100)
    with pytest.raises(SourceError, match="cannot be used as an index"):
        NearIndex(tmp_path / "notes")
    with pytest.raises(SourceError, match="cannot be used as an index"):
        NearIndex(tmp_path / "nowhere" / "near")


def test_much_that_is_alike_is_tied_together_with_few_pairs(tmp_path: Path) -> None:
    """3,000 hashes of which all are near: 4.5 million pairs."""
    with NearIndex(tmp_path / "near") as index:
        numbers = range(3_000)
        for number in numbers:  # 2 of 12 low bits set or not: 78 different; the rest are copies
            low, high = number % 12, number // 12 % 12
            index.add(f"{number}", "image", ((1 << low) | (1 << high),))
        pairs = list(index.pairs())
    assert len(set(_roots(map(str, numbers), ((pair.a, pair.b) for pair in pairs)).values())) == 1
    assert len(pairs) < 3_000 + 78 * 77 / 2 + 1


def test_a_row_keeps_few_pairs_and_is_compared_with_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two origins in turn, all alike: a row keeps the two before it of each origin, and none older than ten."""
    for name, value in (("KEPT", 2), ("HELD", 10), ("_BLOCK", 4)):
        monkeypatch.setattr(near_rows, name, value)
    one = np.zeros(1, np.uint64).tobytes()
    found = list(near_rows.near_rows([(0, thing, "ab"[thing % 2], one) for thing in range(300)], "image", 6))
    assert max(b - a for a, b, _ in found) < 10
    for thing in range(10, 300):
        others = [a for a, b, _ in found if b == thing]
        assert sum((thing - other) % 2 for other in others) == 2
        assert len(others) == 4


def test_memory_does_not_grow_with_the_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What Python and numpy take, with bounds that so few reach; SQLite's own is bounded by its cache."""
    monkeypatch.setattr("omnireward.fingerprints.near._PENDING", 100)
    monkeypatch.setattr(near_rows, "HELD", 4)
    monkeypatch.setattr(near_rows, "_BLOCK", 4)
    peaks = []
    for count in (300, 1_500):
        rng = random.Random(0)
        with NearIndex(tmp_path / f"near{count}") as index:
            tracemalloc.start()
            for number in range(count):
                index.add(f"{number}", "image", (rng.getrandbits(64),))
            sum(1 for _ in index.pairs())
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.5


@pytest.mark.parametrize("seed", range(2))
def test_in_a_crowd_few_pairs_are_kept_and_what_hangs_together_still_does(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """400 hashes with 9 or fewer low bits set, near where 2 bits differ or fewer, against all pairs of an origin."""
    monkeypatch.setattr(near_rows, "KEPT", 1)
    rng = random.Random(seed)
    bits = {thing: rng.getrandbits(9) for thing in range(400)}
    origins = {thing: rng.choice("ab") for thing in bits}
    rows = sorted((bits[t], t, origins[t], np.uint64(bits[t]).tobytes()) for t in bits)
    found = [(str(a), str(b)) for a, b, _ in near_rows.near_rows(rows, "image", 2)]
    near = [(x, y) for x in bits for y in bits if x < y and distance(bits[x], bits[y]) <= 2]
    for origin in "ab":
        own = [str(thing) for thing in bits if origins[thing] == origin]
        all_of = _roots(own, [(str(x), str(y)) for x, y in near if origins[x] == origins[y] == origin])
        kept = _roots(own, [(a, b) for a, b in found if a in own and b in own])
        assert {(a, b) for a in own for b in own if all_of[a] == all_of[b]} == {
            (a, b) for a in own for b in own if kept[a] == kept[b]
        }
    across = {str(t) for x, y in near if origins[x] != origins[y] for t in (x, y)}
    assert {t for a, b in found if origins[int(a)] != origins[int(b)] for t in (a, b)} == across
    assert len(found) < 4 * len(bits) < len(near)


def test_whatever_comes_near_one_thing_of_a_benchmark_is_found(tmp_path: Path) -> None:
    """300 at one bit from it or two, many more than a row keeps, in front of it in the order of hashes and behind."""
    with NearIndex(tmp_path / "near") as index:
        index.add("theirs", "image", (1 << 32,), "bench")
        ours = {f"{a} {b}": 1 << 32 ^ 1 << a ^ 1 << b for a in range(0, 64, 3) for b in range(a, 64, 3)}
        for name, bits in ours.items():
            index.add(name, "image", (bits,), "data")
        assert {pair.a for pair in index.across("data", "bench")} == ours.keys()


def test_prompts_that_begin_alike_cost_few_pairs(tmp_path: Path) -> None:
    """All pairs of these 200 would be 19,900."""
    rng = random.Random(0)
    begin = " ".join("".join(rng.choices("abcdefghij", k=6)) for _ in range(60))
    with NearIndex(tmp_path / "near") as index:
        for number in range(200):
            index.add(f"{number:03}", "text", text_signature(f"{begin} {rng.getrandbits(40)}"))
        pairs = [(pair.a, pair.b) for pair in index.pairs()]
    assert len(set(_roots((f"{number:03}" for number in range(200)), pairs).values())) == 1
    assert len(pairs) < 200 * 40
