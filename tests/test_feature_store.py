"""A folder of features: found by others, bounded, and right whatever happens to its files or its writers."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.feature_entries import SPACE, digest, entry, same

from omnireward import feature_shards, feature_store, feature_writer
from omnireward.errors import RecipeError
from omnireward.feature_shards import UNFINISHED, Entry
from omnireward.feature_store import FeatureStore, Space, default_store

ROOMY = 10**9
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True)
def _no_store_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_writer, "_unwritable", set())


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spaces look for new files at every miss, not at most every two seconds."""
    monkeypatch.setattr(feature_store, "LOOK_AGAIN", 0.0)


def _space(folder: Path, limit: int = ROOMY) -> tuple[FeatureStore, Space]:
    store = FeatureStore(folder, limit)
    return store, store.space(SPACE)


def _fill(folder: Path, numbers: range | list[int], limit: int = ROOMY) -> None:
    """One file with these entries."""
    store, space = _space(folder, limit)
    for number in numbers:
        space.put(digest(number), entry(number))
    store.flush()


def _found(folder: Path, numbers: range, limit: int = ROOMY) -> list[int]:
    """Which are there; all that are there are right."""
    _, space = _space(folder, limit)
    found = {number: space.get(digest(number)) for number in numbers}
    assert all(same(each, entry(number)) for number, each in found.items() if each is not None)
    return [number for number, each in found.items() if each is not None]


def _shards(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.safetensors"))


def test_what_is_put_is_found_at_once_and_by_others_once_it_is_written(tmp_path: Path) -> None:
    store, space = _space(tmp_path)
    space.put(digest(1), entry(1))
    assert same(space.get(digest(1)), entry(1))
    assert space.get(digest(2)) is None
    assert _found(tmp_path, range(3)) == []
    store.flush()
    assert same(space.get(digest(1)), entry(1))
    assert _found(tmp_path, range(3)) == [1]


@pytest.mark.usefixtures("looking")
def test_files_that_appear_later_are_found(tmp_path: Path) -> None:
    _, space = _space(tmp_path)
    assert space.get(digest(1)) is None
    _fill(tmp_path, [1])
    assert same(space.get(digest(1)), entry(1))


def test_looking_for_new_files_is_seldom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two seconds pass between two looks, however many misses there are: the clock here is the test's."""
    now = [100.0]
    looks: list[float] = []
    files = feature_shards.files

    def counting(folder: Path) -> dict[str, os.stat_result]:
        looks.append(now[0])
        return files(folder)

    monkeypatch.setattr("omnireward.feature_store.time.monotonic", lambda: now[0])
    monkeypatch.setattr(feature_shards, "files", counting)
    _, space = _space(tmp_path)
    for step in range(41):
        now[0] = 100.0 + step / 8
        space.get(digest(step))
    assert looks == [100.0, 102.0, 104.0]


def test_spaces_do_not_meet(tmp_path: Path) -> None:
    _fill(tmp_path, [1])
    assert FeatureStore(tmp_path, ROOMY).space("b" * 64).get(digest(1)) is None
    _shards(tmp_path)[0].rename(tmp_path / "moved.safetensors")
    other = tmp_path / ("b" * 64)
    other.mkdir()
    (tmp_path / "moved.safetensors").rename(other / "moved.safetensors")
    assert FeatureStore(tmp_path, ROOMY).space("b" * 64).get(digest(1)) is None


def test_nobody_else_may_look(tmp_path: Path) -> None:
    _fill(tmp_path / "features", [1])
    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "features").rglob("*")}
    assert modes == {0}


@pytest.mark.parametrize("damage", ["flipped", "cut", "garbage", "empty"])
def test_a_damaged_file_is_a_miss_and_is_removed(tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    _fill(tmp_path, range(2))
    _fill(tmp_path, range(2, 4))
    broken = _shards(tmp_path)[0]
    raw = broken.read_bytes()
    changed = {
        "flipped": raw[:-5] + bytes([raw[-5] ^ 1]) + raw[-4:],
        "cut": raw[:-100],
        "garbage": b"?" * 1000,
        "empty": b"",
    }
    broken.write_bytes(changed[damage])
    found = _found(tmp_path, range(4))
    assert set(found) >= {2, 3}
    assert 1 not in found
    assert not broken.exists()
    assert "damaged" in caplog.text
    _fill(tmp_path, range(2))
    assert _found(tmp_path, range(4)) == [0, 1, 2, 3]


def test_a_file_that_another_process_removed_is_a_miss(tmp_path: Path) -> None:
    _fill(tmp_path, range(2))
    store, space = _space(tmp_path)
    assert same(space.get(digest(0)), entry(0))
    _shards(tmp_path)[0].unlink()
    assert space.get(digest(1)) is None
    space.put(digest(1), entry(1))
    store.flush()
    assert _found(tmp_path, range(2)) == [1]


def test_the_size_is_bounded_and_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    """Files of 4,096 bytes of numbers and under 1,024 of header; the limit holds ten with what is reckoned for headers.

    Ten are written. The first is then used by a reader, so the eleventh pushes out the second.
    """
    limit = 10 * (4096 + feature_writer.HEADER_BYTES)
    for number in range(10):
        _fill(tmp_path, [number], limit)
        os.utime(_shards(tmp_path)[-1], (1000 + number, 1000 + number))
    assert _found_names(tmp_path) == list(range(10))
    _, space = _space(tmp_path, limit)
    assert space.get(digest(0)) is not None
    for number in range(10, 14):
        _fill(tmp_path, [number], limit)
        assert sum(path.stat().st_size for path in _shards(tmp_path)) <= limit
    kept = _found_names(tmp_path)
    assert 0 in kept
    assert 1 not in kept
    assert kept[-4:] == [10, 11, 12, 13]


def _found_names(folder: Path) -> list[int]:
    """The entries that are there, told without using them."""
    names = {name for path in _shards(folder) for name in feature_shards.places(path, SPACE)}
    return [number for number in range(20) if digest(number) in names]


def test_all_spaces_share_the_limit(tmp_path: Path) -> None:
    store = FeatureStore(tmp_path, 60_000)
    for number in range(12):
        space = store.space(f"{number:064x}")
        space.put(digest(number), entry(number))
        store.flush()
        for path in _shards(tmp_path):
            os.utime(path, (1000 + number, 1000 + number))
    assert sum(path.stat().st_size for path in _shards(tmp_path)) <= 60_000
    left = {path.parent.name for path in _shards(tmp_path)}
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == left  # folders go with their last file
    assert f"{11:064x}" in left


def test_what_is_larger_than_half_the_limit_is_not_written(tmp_path: Path) -> None:
    _fill(tmp_path, [1], limit=8000)  # 4,096 bytes
    assert _shards(tmp_path) == []


def test_more_than_may_wait_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of 4,096 bytes may wait; nobody waits for the disk."""
    monkeypatch.setattr(feature_writer, "WAITING_BYTES", 9000)
    store, space = _space(tmp_path)
    for number in range(5):
        space.put(digest(number), entry(number))
    store.flush()
    assert _found(tmp_path, range(5)) == [0, 1]
    space.put(digest(2), entry(2))  # there is room again
    store.flush()
    assert _found(tmp_path, range(5)) == [0, 1, 2]


def test_the_thread_writes_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_writer, "SOONEST", 0.01)
    written = threading.Event()
    store, space = _space(tmp_path)
    tell = space.written

    def telling(digests: list[str], path: Path | None) -> None:
        tell(digests, path)
        written.set()

    monkeypatch.setattr(space, "written", telling)
    for number in range(3):  # each in its time: the thread goes on
        written.clear()
        space.put(digest(number), entry(number))
        assert written.wait(30)
        assert _found(tmp_path, range(3)) == list(range(number + 1))
    del store


def test_a_store_that_is_dropped_writes_what_waits(tmp_path: Path) -> None:
    store, space = _space(tmp_path)
    space.put(digest(1), entry(1))
    thread = store._writer._thread
    assert thread is not None
    del store, space
    thread.join(30)
    assert _found(tmp_path, range(3)) == [1]


@pytest.mark.parametrize("where", ["the writer's thread", "the queue", "the space"])
def test_a_store_may_be_dropped_at_any_step_in_any_thread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """As the garbage collector does: while the thread writes, or another puts and holds the lock that the thread needs.

    What waits is written all the same, and the thread ends.
    """
    store, space = _space(tmp_path)
    writer, held = store._writer, [store]
    space.put(digest(0), entry(0))
    thread = writer._thread
    assert thread is not None
    del store
    if where == "the writer's thread":
        write = feature_shards.write

        def dropping(*given: Any) -> Path:
            if held:
                space.put(digest(1), entry(1))
                held.clear()
            return write(*given)

        monkeypatch.setattr(feature_shards, "write", dropping)
        monkeypatch.setattr(feature_writer, "SOONEST", 0.0)
        with writer._turn:
            writer._turn.notify()
    else:

        def drop() -> None:
            with writer._turn if where == "the queue" else space._lock:
                held.clear()

        dropping_it = threading.Thread(target=drop, daemon=True)
        dropping_it.start()
        dropping_it.join(20)
        assert not dropping_it.is_alive()
    thread.join(20)
    assert not thread.is_alive()
    assert _found(tmp_path, range(2)) == ([0, 1] if where == "the writer's thread" else [0])


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), PermissionError(13, "Permission denied")])
def test_a_full_or_forbidden_disk_warns_once_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: OSError
) -> None:
    """What was written before stays readable."""
    _fill(tmp_path, [0])

    def full(descriptor: int, data: bytes) -> int:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr("omnireward.feature_shards.os.write", full)
        store, space = _space(tmp_path)
        for number in range(1, 4):
            space.put(digest(number), entry(number))
            store.flush()
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "no longer written" in caplog.text
    assert same(space.get(digest(0)), entry(0))
    assert space.get(digest(1)) is None
    assert _found(tmp_path, range(4)) == [0]
    assert not list(tmp_path.rglob(f"*{UNFINISHED}"))


def test_a_place_that_cannot_be_a_folder_warns_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    store, space = _space(tmp_path / "file" / "features")
    for number in range(2):
        space.put(digest(number), entry(number))
        store.flush()
    assert len(caplog.records) == 1
    assert space.get(digest(0)) is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_only_be_read_is_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    _fill(tmp_path, [0])
    folders = [tmp_path, tmp_path / SPACE]
    for folder in folders:
        folder.chmod(0o500)
    try:
        store, space = _space(tmp_path)
        space.put(digest(1), entry(1))
        store.flush()
        assert same(space.get(digest(0)), entry(0))
        assert len(caplog.records) <= 1
    finally:
        for folder in folders:
            folder.chmod(0o700)


def test_a_folder_that_is_removed_meanwhile_comes_back(tmp_path: Path) -> None:
    store, space = _space(tmp_path / "features")
    space.put(digest(0), entry(0))
    store.flush()
    for path in _shards(tmp_path):
        path.unlink()
    (tmp_path / "features" / SPACE).rmdir()
    assert space.get(digest(0)) is None
    space.put(digest(0), entry(0))
    store.flush()
    assert _found(tmp_path / "features", range(1)) == [0]


def test_a_process_that_was_stopped_while_it_writes_holds_nobody_up_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_writer, "PATIENCE", 0.05)
    with feature_writer._alone(tmp_path) as alone:
        assert alone
        _fill(tmp_path, [0])
    assert _shards(tmp_path) == []
    _fill(tmp_path, [0])
    assert len(_shards(tmp_path)) == 1


def test_a_queue_waits_once_for_another_process_and_the_next_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not once for each of six files: the end of a run would take a minute."""
    tries: list[bool] = []
    alone = feature_writer._alone

    @contextmanager
    def counting(folder: Path) -> Iterator[bool]:
        with alone(folder) as free:
            tries.append(free)
            yield free

    monkeypatch.setattr(feature_writer, "PATIENCE", 0.05)
    store = FeatureStore(tmp_path, ROOMY)
    spaces = [store.space(f"{number:064x}") for number in range(6)]
    with alone(tmp_path):
        monkeypatch.setattr(feature_writer, "_alone", counting)
        for number, space in enumerate(spaces):
            space.put(digest(number), entry(number))
        store.flush()
    assert tries == [False]
    assert all(space.get(digest(number)) is None for number, space in enumerate(spaces))
    for number, space in enumerate(spaces):
        space.put(digest(number), entry(number))
    store.flush()
    assert tries == [False] + 6 * [True]
    assert len(_shards(tmp_path)) == 6


def test_threads_that_put_and_get_see_right_values_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feature_writer, "SOONEST", 0.0)
    store, space = _space(tmp_path)
    wrong: list[int] = []

    def work(first: int) -> None:
        for number in [*range(first, 40), *range(first)]:
            space.put(digest(number), entry(number))
            if not same(space.get(digest(number)), entry(number)):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(10 * n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.flush()
    assert wrong == []
    assert _found(tmp_path, range(40)) == list(range(40))


_SAME_KEYS = """
import sys
from pathlib import Path
from omnireward import feature_writer
from omnireward.feature_store import FeatureStore
from tests.feature_entries import SPACE, digest, entry
store = FeatureStore(Path(sys.argv[1]), 10**9)
space = store.space(SPACE)
print("ready", flush=True)
sys.stdin.read()  # so that both begin together
for number in range(60):
    space.put(digest(number), entry(number))
    if number % 3 == 0:
        store.flush()
space.put(digest(99 + int(sys.argv[2])), entry(99 + int(sys.argv[2])))  # left to the end of the process
"""

_KILLED = """
import os, random, signal, sys, time
from pathlib import Path
from omnireward.feature_store import FeatureStore
from tests.feature_entries import SPACE, digest, entry
folder, draw = Path(sys.argv[1]), random.Random(0)
entries = {number: entry(number, tokens=200) for number in range(40)}

def write(at_rename):
    if at_rename:
        Path.rename = lambda self, target: os.kill(os.getpid(), signal.SIGKILL)
    store = FeatureStore(folder, 10**9)
    space = store.space(SPACE)
    while True:
        for number in range(40):
            space.put(digest(number), entries[number])
            if number % 5 == 4:
                store.flush()
        for path in folder.glob("*/*.safetensors"):
            path.unlink()
        space = FeatureStore(folder, 10**9).space(SPACE)
        store = FeatureStore(folder, 10**9)
        space = store.space(SPACE)

for trial in range(24):
    child = os.fork()
    if not child:
        write(at_rename=trial % 6 == 5)
    if trial % 6 != 5:
        time.sleep(draw.uniform(0, 0.06))
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    print(len(list(folder.glob("*/*.unfinished"))), flush=True)
    sys.stdin.readline()  # until the files were read
"""

_FORKED = """
import os, sys
from pathlib import Path
from omnireward.feature_store import FeatureStore
from tests.feature_entries import SPACE, digest, entry

def written():
    space = FeatureStore(Path(sys.argv[1]), 10**9).space(SPACE)
    print([number for number in range(2) if space.get(digest(number))], flush=True)

store = FeatureStore(Path(sys.argv[1]), 10**9)
space = store.space(SPACE)
space.put(digest(0), entry(0))
with space._lock, store._writer._turn, store._writer._busy:
    child = os.fork()
    if not child:
        space.put(digest(1), entry(1))
        store.flush()
        written()
        os._exit(0)
    os.waitpid(child, 0)
store.flush()
written()
"""


def _python(code: str, *given: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *given]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


@pytest.mark.usefixtures("looking")
def test_two_processes_may_write_the_same_at_once(tmp_path: Path) -> None:
    _, space = _space(tmp_path)
    assert space.get(digest(0)) is None
    with _python(_SAME_KEYS, str(tmp_path), "0") as one, _python(_SAME_KEYS, str(tmp_path), "1") as other:
        for each in (one, other):
            assert each.stdout is not None
            assert each.stdin is not None
            assert each.stdout.readline() == "ready\n"
        for each in (one, other):
            each.communicate("", timeout=120)
        assert one.returncode == other.returncode == 0
    assert _found(tmp_path, range(102)) == [*range(60), 99, 100]
    assert same(space.get(digest(59)), entry(59))
    assert not list(tmp_path.rglob(f"*{UNFINISHED}"))


def test_a_process_that_is_killed_at_any_moment_leaves_right_values_only(tmp_path: Path) -> None:
    """24 kills: 20 at random moments, 4 between writing a file and giving it its name. Half-written files are swept."""
    unfinished = 0
    with _python(_KILLED, str(tmp_path)) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        for trial in range(24):
            unfinished += int(running.stdout.readline())
            store, space = _space(tmp_path)
            for number in range(40):
                found = space.get(digest(number))
                assert found is None or same(found, entry(number, tokens=200))
            space.put(digest(1000 + trial), entry(1000 + trial))
            store.flush()
            assert not list(tmp_path.rglob(f"*{UNFINISHED}"))
            running.stdin.write("\n")
            running.stdin.flush()
        running.communicate(timeout=60)
    assert running.returncode == 0
    assert unfinished >= 4


@pytest.fixture
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in ("OMNIREWARD_CACHE", "OMNIREWARD_CACHE_GB", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return monkeypatch


def test_where_the_store_is_and_how_large(surroundings: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def told() -> tuple[str, int]:
        store = default_store()
        assert store is not None
        return str(store.folder.relative_to(tmp_path)), store.limit

    assert told() == (".cache/omnireward/features", 20 * 10**9)
    surroundings.setenv("XDG_CACHE_HOME", "relative")  # the specification says to ignore it
    assert told() == (".cache/omnireward/features", 20 * 10**9)
    surroundings.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    surroundings.setenv("OMNIREWARD_CACHE_GB", "0.5")
    assert told() == ("xdg/omnireward/features", 5 * 10**8)
    surroundings.setenv("OMNIREWARD_CACHE", str(tmp_path / "here"))
    assert told() == ("here/features", 5 * 10**8)
    surroundings.setenv("OMNIREWARD_CACHE", "~/there")
    assert told() == ("there/features", 5 * 10**8)
    assert not list(tmp_path.iterdir())  # nothing is made before something is written


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o770, 0o707])
def test_a_folder_where_others_may_write_is_not_used(
    surroundings: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int
) -> None:
    surroundings.setattr(feature_store, "_refused", set())
    surroundings.setenv("OMNIREWARD_CACHE", str(tmp_path))
    (tmp_path / "features").mkdir()
    (tmp_path / "features").chmod(mode)
    stores = [default_store(), default_store()]
    if mode & 0o022:
        assert stores == [None, None]
        assert len(caplog.records) == 1
        assert "others may write there" in caplog.text
    else:
        assert None not in stores
        surroundings.setattr("omnireward.feature_store.os.geteuid", lambda: os.getuid() + 1)
        assert default_store() is None
        assert "another user's" in caplog.text


def test_a_size_of_nothing_is_no_store_and_a_word_is_an_error(surroundings: pytest.MonkeyPatch) -> None:
    surroundings.setenv("OMNIREWARD_CACHE_GB", "0")
    assert default_store() is None
    for word in ("many", "nan", "inf"):
        surroundings.setenv("OMNIREWARD_CACHE_GB", word)
        with pytest.raises(RecipeError, match=f"OMNIREWARD_CACHE_GB is '{word}'"):
            default_store()


def test_a_forked_process_writes_its_own_and_leaves_the_rest_to_its_parent(tmp_path: Path) -> None:
    """The parent's thread, and whatever locks it holds, are not in the child."""
    with _python(_FORKED, str(tmp_path)) as running:
        assert running.communicate(timeout=120)[0].split() == ["[1]", "[0,", "1]"]
    assert running.returncode == 0


def test_entries_of_another_dtype_than_files_know_are_not_kept(tmp_path: Path) -> None:
    store, space = _space(tmp_path)
    space.put(digest(0), Entry(entry(0).prepared, torch.zeros(2, 2, dtype=torch.complex64)))
    store.flush()
    assert _shards(tmp_path) == []
