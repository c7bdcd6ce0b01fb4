"""What is kept in memory, what is dropped first, who makes it, and what lies behind it on disk."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from tests.feature_entries import SPACE, same

from omnireward.backbones import Prepared
from omnireward.errors import PromptError, UnreadableMediaError
from omnireward.feature_cache import FeatureCache, _Turn
from omnireward.feature_shards import Entry
from omnireward.feature_store import FeatureStore

PREPARED = Prepared("vision", (torch.ones(3, 14, 14),), ((1, 1),), (2,), "v")


def _embeddings(value: float) -> torch.Tensor:
    """32 bytes: (2, 4) float32."""
    return torch.full((2, 4), value)


def _keep(cache: FeatureCache, digest: str, entry: Entry) -> Entry:
    return cache.obtain(digest, lambda: entry)


def _filled(limit: int, *digests: str) -> FeatureCache:
    cache = FeatureCache(limit=limit)
    for number, digest in enumerate(digests):
        _keep(cache, digest, Entry(PREPARED, _embeddings(float(number))))
    return cache


def _known(cache: FeatureCache, digests: str) -> str:
    return "".join(digest for digest in digests if cache.get(digest) is not None)


def test_embeddings_come_back_and_inputs_do_not() -> None:
    cache = _filled(1000, "x")
    found = cache.get("x")
    assert found is not None
    assert same(found, Entry(replace(PREPARED, inputs=None), _embeddings(0.0)))
    assert found.prepared.inputs is None
    assert cache.get("y") is None


def test_the_least_recently_used_is_dropped_first() -> None:
    """Three of 32 bytes fit into 96. `a` was used after `b`, so a fourth pushes `b` out."""
    cache = _filled(96, *"abc")
    cache.get("a")
    _keep(cache, "d", Entry(PREPARED, _embeddings(9.0)))
    assert len(cache) == 3
    assert _known(cache, "abcd") == "acd"


def test_room_is_made_by_bytes_not_by_number() -> None:
    """80 bytes hold two of 32; one of 64 then leaves room for none of them."""
    cache = _filled(80, *"ab")
    _keep(cache, "c", Entry(PREPARED, torch.zeros(4, 4)))
    assert _known(cache, "abc") == "c"


def test_what_is_larger_than_the_cache_is_kept_until_the_next_comes() -> None:
    cache = _filled(16, "a")
    assert _known(cache, "a") == "a"
    _keep(cache, "b", Entry(PREPARED, _embeddings(1.0)))
    assert _known(cache, "ab") == "b"


def test_asking_again_changes_and_counts_nothing() -> None:
    cache = _filled(64, *"ab")
    for _ in range(5):
        _keep(cache, "a", Entry(PREPARED, _embeddings(7.0)))
    assert _known(cache, "ab") == "ab"
    found = cache.get("a")
    assert found is not None
    assert torch.equal(found.tensors[0], _embeddings(0.0))


def test_what_is_kept_stands_alone() -> None:
    """A view would keep its whole batch in memory, and a gradient its whole graph."""
    batch = torch.arange(80.0).view(10, 2, 4).requires_grad_()
    cache = FeatureCache()
    _keep(cache, "x", Entry(PREPARED, batch[3] * 1.0))
    _keep(cache, "y", Entry(PREPARED, batch.detach()[3]))
    with torch.no_grad():
        batch.zero_()
    for digest in "xy":
        found = cache.get(digest)
        assert found is not None
        assert not found.tensors[0].requires_grad
        assert found.tensors[0].untyped_storage().nbytes() == 32
        assert found.tensors[0].tolist() == [[24.0, 25.0, 26.0, 27.0], [28.0, 29.0, 30.0, 31.0]]


def test_clearing_forgets_everything_and_makes_room() -> None:
    cache = _filled(64, *"ab")
    cache.clear()
    assert len(cache) == 0
    for digest in "cd":
        _keep(cache, digest, Entry(PREPARED, _embeddings(1.0)))
    assert _known(cache, "abcd") == "cd"


def test_inputs_are_kept_where_there_are_no_embeddings_and_count() -> None:
    """Each 3 x 14 x 14 float32: 2,352 bytes. Two fit into 5,000."""
    cache = FeatureCache(limit=5000)
    for digest in "abc":
        _keep(cache, digest, Entry(PREPARED))
    assert _known(cache, "abc") == "bc"
    view = replace(PREPARED, inputs=(torch.ones(10, 3, 14, 14)[4],))
    kept = _keep(cache, "d", Entry(view))
    assert kept.tensors[0].untyped_storage().nbytes() == 2352


def test_what_many_threads_want_is_made_once() -> None:
    """Eight ask for the same; the first is held up until all others have begun to ask."""
    cache = FeatureCache()
    began, made = threading.Barrier(9), [0]

    def make() -> Entry:
        made[0] += 1
        began.wait(30)
        return Entry(PREPARED, _embeddings(1.0))

    def ask() -> Entry:
        return cache.obtain("x", make)

    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(ask)
        others = [pool.submit(lambda: (began.wait(30), ask())[1]) for _ in range(8)]
        results = [future.result(30) for future in (first, *others)]
    assert made == [1]
    assert all(result is results[0] for result in results)


def test_different_media_are_made_at_the_same_time() -> None:
    """Each waits for the other, which would never come if one held up the other."""
    cache, both = FeatureCache(), threading.Barrier(2)

    def make(value: float) -> Callable[[], Entry]:
        return lambda: (both.wait(30), Entry(PREPARED, _embeddings(value)))[1]

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda n: cache.obtain(str(n), make(n)), (1.0, 2.0)))
    assert [entry.tensors[0][0, 0].item() for entry in found] == [1.0, 2.0]


@pytest.mark.parametrize("fault", [UnreadableMediaError, PromptError, RuntimeError])
def test_who_waits_for_a_medium_that_fails_gets_an_error_of_its_own(fault: type[Exception]) -> None:
    """Two files of the same bytes: each error names its own. Nothing is kept, and one that succeeds is given."""
    cache = FeatureCache()
    asked, waiting = threading.Event(), threading.Event()

    def fail() -> Entry:
        asked.set()
        assert waiting.wait(30)
        raise fault("first.png")

    def fail_too() -> Entry:
        raise fault("second.png")

    def other(make: Callable[[], Entry]) -> Entry:
        assert asked.wait(30)
        threading.Timer(0.05, waiting.set).start()
        return cache.obtain("x", make)

    for make in (fail_too, lambda: Entry(PREPARED, _embeddings(1.0))):
        asked.clear()
        waiting.clear()
        with ThreadPoolExecutor(2) as pool:
            first, second = pool.submit(cache.obtain, "x", fail), pool.submit(other, make)
            with pytest.raises(fault, match="first"):
                first.result(30)
            if make is fail_too:
                with pytest.raises(fault, match="second"):
                    second.result(30)
                assert len(cache) == 0
            else:
                assert torch.equal(second.result(30).tensors[0], _embeddings(1.0))
    cache.clear()
    assert torch.equal(cache.obtain("x", lambda: Entry(PREPARED, _embeddings(2.0))).tensors[0], _embeddings(2.0))


class Queued:
    """A lock that knows how many have asked for it."""

    def __init__(self) -> None:
        self.asked, self._lock, self._counting = 0, threading.Lock(), threading.Lock()

    def __enter__(self) -> None:
        with self._counting:
            self.asked += 1
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _together(cache: FeatureCache, fault: BaseException, names: Sequence[str | None], make: Callable[[], Entry]) -> Any:
    """The first fails once all others wait for it; what came of each, in order, and who called `make`."""
    queue = Queued()
    turn = cache._turns["x"] = _Turn(cast(threading.Lock, queue))
    began = threading.Event()
    made: list[int] = []

    def fail() -> Entry:
        began.set()
        give_up = time.monotonic() + 30
        while queue.asked < len(names) and time.monotonic() < give_up:
            time.sleep(0.001)
        raise fault

    def other(number: int) -> Entry:
        assert began.wait(30)

        def counted() -> Entry:
            made.append(number)
            return make()

        return cache.obtain("x", counted, name=names[number])

    with ThreadPoolExecutor(len(names)) as pool:
        futures = [pool.submit(cache.obtain, "x", fail, None, names[0])]
        futures += [pool.submit(other, number) for number in range(1, len(names))]
        found = [future.exception(60) or future.result() for future in futures]
    assert turn.failed
    assert "x" not in cache._turns  # who comes later does not hear of it
    return found, sorted(made)


def test_who_waits_for_a_medium_of_the_same_name_fails_with_it() -> None:
    """It may have taken minutes to fail. Each has an error of its own; who comes later, tries anew."""
    cache = FeatureCache()
    fault = UnreadableMediaError("red.png: broken.")
    found, made = _together(cache, fault, ["red.png"] * 8, lambda: pytest.fail("made again"))
    assert made == []
    assert [(type(one), str(one)) for one in found] == [(UnreadableMediaError, "red.png: broken.")] * 8
    assert len({id(one) for one in found}) == 8
    assert torch.equal(cache.obtain("x", lambda: Entry(PREPARED, _embeddings(2.0))).tensors[0], _embeddings(2.0))


@pytest.mark.parametrize("names", [["red.png", *"abcdefg"], [None] * 8])
@pytest.mark.parametrize("fault", [UnreadableMediaError("red.png"), RuntimeError()])
def test_those_of_other_names_try_at_the_same_time(names: list[str | None], fault: Exception) -> None:
    """Each waits for all others, which would never come if one held them up."""
    cache, all_others = FeatureCache(), threading.Barrier(7)

    def make() -> Entry:
        all_others.wait(30)
        raise UnreadableMediaError("its own")

    found, made = _together(cache, fault, names, make)
    assert made == list(range(1, 8))
    assert [str(one) for one in found] == [str(fault)] + ["its own"] * 7


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), RuntimeError("no memory")])
def test_an_interrupt_or_another_fault_is_not_that_of_those_who_wait(fault: BaseException) -> None:
    cache = FeatureCache()
    found, made = _together(cache, fault, ["red.png"] * 3, lambda: Entry(PREPARED, _embeddings(1.0)))
    assert made in ([1], [2], [1, 2])  # one may be there when the other looks
    assert found[0] is fault
    assert all(torch.equal(one.tensors[0], _embeddings(1.0)) for one in found[1:])
    assert _known(cache, "x") == "x"


def test_what_was_begun_before_a_change_is_given_but_not_kept(tmp_path: Path) -> None:
    """Neither in memory nor in the new space; the old space gets it, where it is right."""
    store = FeatureStore(tmp_path, 10**9)
    cache = FeatureCache()
    cache.fit("old", lambda: store.space(SPACE))

    def make() -> Entry:
        cache.fit("new", lambda: store.space("b" * 64))
        return Entry(PREPARED, _embeddings(1.0))

    assert torch.equal(cache.obtain("x", make).tensors[0], _embeddings(1.0))
    assert cache.get("x") is None
    assert store.space("b" * 64).get("x") is None
    assert store.space(SPACE).get("x") is not None


def test_what_was_made_while_the_way_changed_is_given_but_not_kept(tmp_path: Path) -> None:
    """Nobody has told the cache yet. It may have been made in the old way, in the new one, or in some of both."""
    store, way = FeatureStore(tmp_path, 10**9), ["old"]
    cache = FeatureCache()
    cache.fit("old", lambda: store.space(SPACE))

    def make() -> Entry:
        way[0] = "new"
        return Entry(PREPARED, _embeddings(1.0))

    assert torch.equal(cache.obtain("x", make, lambda: way[0]).tensors[0], _embeddings(1.0))
    assert cache.get("x") is None
    assert store.space(SPACE).get("x") is None
    way[0] = "old"
    cache.obtain("x", lambda: Entry(PREPARED, _embeddings(2.0)), lambda: way[0])
    assert cache.get("x") is not None
    assert store.space(SPACE).get("x") is not None


def test_fitting_the_same_again_forgets_nothing_and_asks_for_no_space() -> None:
    cache = FeatureCache()
    cache.fit("as now", lambda: None)
    _keep(cache, "x", Entry(PREPARED, _embeddings(1.0)))
    cache.fit("as now", lambda: pytest.fail("asked"))
    assert len(cache) == 1
    cache.fit("otherwise", lambda: None)
    assert len(cache) == 0


def test_what_memory_drops_is_found_on_disk(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, 10**9)
    cache = FeatureCache(limit=32)
    cache.fit("now", lambda: store.space(SPACE))
    for number, digest in enumerate("abc"):
        _keep(cache, digest, Entry(PREPARED, _embeddings(float(number))))
    store.flush()
    assert len(cache) == 1
    for number, digest in enumerate("abc"):
        found = cache.obtain(digest, lambda: pytest.fail("made again"))
        assert torch.equal(found.tensors[0], _embeddings(float(number)))


def test_a_copy_starts_with_nothing() -> None:
    cache = _filled(64, "a")
    other = copy.deepcopy(cache)
    assert (other.limit, len(other), len(cache)) == (64, 0, 1)
    _keep(other, "b", Entry(PREPARED, _embeddings(1.0)))
    assert _known(cache, "ab") == "a"


def test_after_a_fork_nobody_waits_for_threads_that_are_not_there() -> None:
    cache = FeatureCache()
    turn = cache._turns.setdefault("x", _Turn())
    with cache._lock, turn.lock:
        cache._after_fork()
        _keep(cache, "x", Entry(PREPARED, _embeddings(1.0)))
    assert _known(cache, "x") == "x"
