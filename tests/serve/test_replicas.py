"""`omnireward serve --replicas` as a program: one port for all, one for each, and what happens when one dies."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from tests.serve.running import picture, until, values, words

from omnireward.adapters.source import rewarder
from omnireward.client import CallLimits, Client
from omnireward.judges import reward
from omnireward.serve.asking import Ask
from omnireward.serve.config import ServeConfig
from omnireward.serve.replica import Orders, Up, _Life
from omnireward.serve.replicas import Replicas
from omnireward.types import Text, Turn

_UP = 120.0  # seconds that starting and ending may take


@dataclass(frozen=True)
class Program:
    """What runs: the process that watches, where all answer, and where each does."""

    process: subprocess.Popen[str]
    shared: str
    own: tuple[str, ...]
    log: Path

    @property
    def replicas(self) -> list[int]:
        """Process ids, of those that live."""
        found = subprocess.run(["ps", "--ppid", str(self.process.pid), "-o", "pid="], stdout=subprocess.PIPE, text=True)
        return [int(pid) for pid in found.stdout.split()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model") / "tiny"
    folder.mkdir()
    assert reward.JUDGE.example is not None
    reward.JUDGE.example(folder)
    return folder


@contextmanager
def replicas(judge: str, log: Path) -> Iterator[subprocess.Popen[str]]:
    code = "import sys; from omnireward.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "serve", "--judge", judge, "--port", "0", "--replicas", "2"]
    environ = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with log.open("wb") as err:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, env=environ, text=True)
    try:
        yield process
    finally:
        process.kill()  # whoever is left ends with it
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def program(folder: Path, tmp_path: Path) -> Iterator[Program]:
    log = tmp_path / "log"
    with replicas(f"reward:{folder}", log) as process:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("tiny is served at http://127.0.0.1:"), log.read_text()
        shared, own = said.split(" at ")[1].split(" by 2 replicas: ")
        yield Program(process, shared, tuple(own.strip().split(",")), log)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_one_that_is_killed_loses_nothing_and_comes_back_and_all_end_in_peace(program: Program, folder: Path) -> None:
    prompt, answers = (Turn("user", (Text("Which drink?"),)),), [f"Tea {n}." for n in range(4)]
    asks = [Ask(prompt, ((Text(answers[n % 4]),), (Text("Rain."),)), "It should be short.") for n in range(400)]
    expected = rewarder(f"reward:{folder}")(asks[:4])
    first, second = program.replicas
    with Client(program.own, limits=CallLimits(concurrency=8)) as client, ThreadPoolExecutor(1) as pool:
        coming = pool.submit(client.ask, asks)
        until(lambda: '"path": "/v1/rewards"' in program.log.read_text())
        assert not coming.done(), "too quick to show anything"
        os.kill(first, signal.SIGKILL)
        rewards = coming.result(_UP)
    assert len(rewards) == len(asks)
    for number, found in enumerate(rewards):
        assert found == pytest.approx(expected[number % 4], abs=1e-5)

    end = time.monotonic() + _UP  # it loads a model
    while "is up again" not in program.log.read_text():
        assert time.monotonic() < end
        time.sleep(0.1)
    assert " ended (exit code -9)" in program.log.read_text()
    assert second in program.replicas
    assert len(program.replicas) == 2

    # Uploads are shared, and each replica answers at its own address and at the common one.
    (data,) = picture(9).pieces()
    assert isinstance(data, bytes)
    kind = {"Content-Type": "image/png"}
    with httpx.Client(timeout=_UP) as http:
        name = http.post(f"{program.own[0]}/v1/uploads", content=data, headers=kind).json()["id"]
        body = words("tea") | {"responses": [[{"type": "image", "upload": name}]]}
        replies = [values(http.post(f"{url}/v1/rewards", json=body)) for url in (*program.own, program.shared)]
    assert replies[0] == pytest.approx(replies[1], abs=1e-5)
    assert replies[0] == pytest.approx(replies[2], abs=1e-5)

    left = program.replicas
    program.process.send_signal(signal.SIGTERM)
    assert program.process.wait(_UP) == 0, program.log.read_text()
    assert not any(map(_alive, left))
    assert "Traceback" not in program.log.read_text()


@pytest.mark.slow
def test_none_is_left_behind_when_the_process_that_watches_is_killed(program: Program) -> None:
    left = program.replicas
    program.process.kill()
    end = time.monotonic() + _UP
    while any(map(_alive, left)):
        assert time.monotonic() < end
        time.sleep(0.1)


def test_one_that_never_comes_up_ends_all_and_says_why(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with replicas(f"reward:{tmp_path}/nowhere", log) as process:
        assert process.wait(_UP) == 2
    assert "did not come up" in log.read_text()
    assert "nowhere" in log.read_text()


def test_orders_are_read_as_they_were_written() -> None:
    config = ServeConfig(judge="longer", media_hosts=("a.example",), api_keys_file=None, tie_threshold=0.5, replicas=2)
    orders = Orders(config=config, number=1, keys=("k" * 16,), shared=5, uploads=Path("/x"), revision="r")
    assert Orders.read(orders.line()) == orders


def _orders(**changes: object) -> Orders:
    config = ServeConfig(judge="longer", port=0, notice=0.0, drain=1.0)
    orders = Orders(config=config, number=0, keys=(), shared=-1, uploads=Path("/nowhere"), revision=None)
    return replace(orders, **changes)  # type: ignore[arg-type]


@contextmanager
def replica(orders: Orders) -> Iterator[subprocess.Popen[bytes]]:
    """One alone, with a socket to share with nobody."""
    with socket.socket() as shared:
        shared.bind(("127.0.0.1", 0))
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "omnireward.serve.replica"],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[shared.fileno()],
        )
        assert process.stdin is not None
        process.stdin.write(replace(orders, shared=shared.fileno()).line())
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


def test_one_that_has_another_model_than_the_others_does_not_serve(tmp_path: Path) -> None:
    with replica(_orders(uploads=tmp_path, revision="that of others")) as process:
        code = process.wait(_UP)  # not `communicate`, which would end its stdin
        said, complaint = process.communicate()
    assert (code, said) == (2, b""), complaint
    assert b"another model than the other replicas serve" in complaint


def test_what_a_judge_prints_stops_nobody_and_is_not_taken_for_a_port(tmp_path: Path) -> None:
    """More than a pipe holds (64 KiB), before and after it is up; then it ends with its stdin."""
    module = tmp_path / "talkative" / "judge.py"
    module.parent.mkdir()
    module.write_text(
        "from omnireward.judges import JudgeKind, longer\n"
        "def _open(argument, options):\n"
        "    print('x' * 200_000)\n"
        "    return longer.JUDGE.open(argument, options)\n"
        "JUDGE = JudgeKind(summary='talks', open=_open)\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(tmp_path))
        config = ServeConfig(judge="talkative.judge", port=0, notice=0.0, drain=1.0)
        with replica(_orders(config=config, uploads=tmp_path)) as process, (tmp_path / "err").open("wb") as heard:
            assert process.stderr is not None
            reader = threading.Thread(target=shutil.copyfileobj, args=(process.stderr, heard))
            reader.start()
            assert process.stdout is not None
            assert process.stdin is not None
            up = Up.read(process.stdout.readline())
            assert httpx.get(f"http://127.0.0.1:{up.port}/readyz").status_code == 200
            process.stdin.close()
            process.stdin = None
            assert process.wait(_UP) == 0
            reader.join()
            process.stderr.close()
            process.stderr = None
    assert (tmp_path / "err").read_bytes().startswith(b"x" * 200_000)


class Lives(Replicas):
    """One whose replica comes up and ends again and again, as it is told to."""

    def __init__(self, ends: list[str], shared: socket.socket, folder: Path) -> None:
        config = ServeConfig(judge="longer", port=0, notice=0.0, drain=1.0)
        super().__init__(config, (), shared, folder, lambda _: None)
        self.ends, self._up = ends, {0}

    def _one_life(self, number: int) -> str:
        how = self.ends.pop(0)
        if not self.ends:
            os.kill(os.getpid(), signal.SIGTERM)
            assert self._ending.wait(_UP)
        return how


def test_however_a_replica_ends_it_is_started_again_until_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("omnireward.serve.replicas.FIRST_PAUSE", 0.001)
    monkeypatch.setattr("omnireward.serve.replicas.cuda_devices", lambda _environ: [])
    with socket.socket() as shared:
        shared.bind(("127.0.0.1", 0))
        lives = Lives(["exit code -9", "no memory", "ValueError: no port", "the last"], shared, tmp_path)
        lives.run()
    assert lives.ends == []
    assert [word in caplog.text for word in ("-9", "no memory", "no port", "the last")] == [True, True, True, False]


def test_a_process_that_cannot_be_started_is_an_end_as_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_kwargs: object) -> None:
        raise OSError(errno.EAGAIN, "no more processes")

    monkeypatch.setattr("omnireward.serve.replicas.cuda_devices", lambda _environ: [])
    with socket.socket() as shared:
        shared.bind(("127.0.0.1", 0))
        config = ServeConfig(judge="longer", port=0, replicas=2)
        replicas = Replicas(config, (), shared, tmp_path, lambda _: None)
        monkeypatch.setattr("subprocess.Popen", refuse)
        assert "no more processes" in replicas._one_life(0)


class Left:
    """What `_Life` is told of: a server that is ended, and a service that computes nothing any more."""

    def __init__(self, draining: bool = False) -> None:
        self.ended, self.alive, self.draining = 0, False, draining

    def end(self) -> None:
        self.ended += 1


class Exited(BaseException):
    """In place of the end of this process."""


@pytest.fixture
def life(monkeypatch: pytest.MonkeyPatch) -> _Life:
    def leave(code: int) -> None:
        raise Exited(code)

    monkeypatch.setattr("omnireward.serve.replica.GRACE", 0.0)
    monkeypatch.setattr("os._exit", leave)
    return _Life(ServeConfig(judge="longer", notice=0.0, drain=0.0))


def test_one_whose_server_hangs_ends_all_the_same_when_its_stdin_has(
    life: _Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = Left()
    life.server = left  # type: ignore[assignment]
    monkeypatch.setattr("os.read", lambda _descriptor, _size: b"")
    with pytest.raises(Exited, match="1"):
        life.watch_stdin()
    assert left.ended == 1


def test_one_that_computes_nothing_any_more_ends_unless_it_is_ending(life: _Life) -> None:
    with pytest.raises(Exited, match="1"):
        life.watch_service(Left())  # type: ignore[arg-type]
    life.watch_service(Left(draining=True))  # type: ignore[arg-type]
