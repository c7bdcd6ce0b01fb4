"""`omnireward serve` as a program: it says where it is, and when it is told to end it finishes what it accepted."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from tests.serve.running import scoring_held, serving, until, values, words

from omnireward.cli import main
from omnireward.judges import reward
from omnireward.judges.reward import RewardJudge
from omnireward.serve.config import KEYS, ServeConfig
from omnireward.serve.run import bound

_UP = 120.0  # seconds that starting and ending may take


def test_sigterm_under_load_says_not_ready_answers_all_that_was_accepted_and_exits_0(tmp_path: Path) -> None:
    assert reward.JUDGE.example is not None
    folder = tmp_path / "tiny"
    folder.mkdir()
    reward.JUDGE.example(folder)
    code = "import sys, torch; torch.set_num_threads(1); from omnireward.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "serve", "--judge", f"reward:{folder}", "--port", "0", "--notice", "1.5"]
    environ = os.environ | {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    log = tmp_path / "log"
    with log.open("wb") as err:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=err, env=environ, text=True)
    try:
        assert server.stdout is not None
        said = server.stdout.readline()
        assert said.startswith("tiny is served at http://127.0.0.1:"), log.read_text()
        url = said.rpartition(" ")[2].strip()
        with httpx.Client(base_url=url, timeout=_UP) as client, ThreadPoolExecutor(8) as pool:
            _up(client)
            bodies = [words(*(f"tea {i} {n} " * 40 for n in range(60))) for i in range(8)]
            accepted = [pool.submit(client.post, "/v1/rewards", json=body) for body in bodies]
            until(lambda: _under_way(client) >= 4 or all(future.done() for future in accepted))
            assert not all(future.done() for future in accepted), "too quick to show anything"
            server.send_signal(signal.SIGTERM)
            until(lambda: client.get("/readyz").status_code == 503)
            assert client.get("/livez").status_code == 200
            assert all(len(values(future.result())) == 60 for future in accepted)
        assert server.wait(_UP) == 0, log.read_text()
        assert server.stdout.read() == "ended.\n"
        assert "Traceback" not in log.read_text()
    finally:
        server.kill()
        server.wait()
        if server.stdout is not None:
            server.stdout.close()


def _up(client: httpx.Client) -> None:
    end = time.monotonic() + _UP
    while time.monotonic() < end:
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.ConnectError:
            time.sleep(0.1)
    raise TimeoutError("the server did not answer")


def _under_way(client: httpx.Client) -> int:
    lines = client.get("/metrics").text.splitlines()
    return next(int(float(line.split()[1])) for line in lines if line.startswith("omnireward_requests_under_way "))


def test_what_takes_longer_than_the_drain_is_broken_off(judge: RewardJudge) -> None:
    """The client sees a connection that breaks, or a reply without numbers: never a number."""
    with scoring_held(judge) as held, ThreadPoolExecutor(1) as pool, serving(judge, drain=1.0) as one:
        future = pool.submit(one.client.post, "/v1/rewards", json=words("tea"))
        until(held.busy.is_set)
        one.server.end()
        with suppress(httpx.TransportError):
            assert "value" not in future.result(30).text
        held.go.set()


def test_a_port_that_is_taken_is_said_before_a_model_is_loaded(
    judge: RewardJudge, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEYS, raising=False)
    with serving(judge) as one:
        assert main(["serve", "--judge", "reward:/nowhere", "--port", str(one.port)]) == 2
    assert f"cannot listen on 127.0.0.1, port {one.port}" in capsys.readouterr().err


def test_other_machines_without_keys_are_refused_at_the_start(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEYS, raising=False)
    assert main(["serve", "--judge", "longer", "--host", "0.0.0.0"]) == 2
    assert KEYS in capsys.readouterr().err


def test_what_is_small_is_sent_at_once() -> None:
    """The event loop asks for that by itself, but only of sockets that say that they are TCP."""
    with bound(ServeConfig(judge="longer", port=0)) as taken:
        assert taken.proto == socket.IPPROTO_TCP
