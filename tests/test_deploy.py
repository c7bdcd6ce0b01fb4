"""The files of `deploy/` do what they say: nginx with two servers behind it, one of which ends."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from tests.serve.conftest import judge  # noqa: F401
from tests.serve.running import KEY, serving

from omnireward.client import CallLimits, Client
from omnireward.judges.reward import RewardJudge

CONF = Path(__file__).parents[1] / "deploy" / "nginx.conf"
NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin:/opt/homebrew/bin")
ONCE = CallLimits(tries=1)
_UP = 10.0  # seconds that starting may take

needs_nginx = pytest.mark.skipif(NGINX is None, reason="nginx is not installed here")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def _conf(folder: Path, listen: int, servers: tuple[int, ...]) -> list[str]:
    """The file as it is shipped, with other ports; the command that reads it."""
    (folder / "tmp").mkdir()
    text = CONF.read_text().replace("listen 8080;", f"listen 127.0.0.1:{listen};")
    for shipped, port in zip((8001, 8002), servers, strict=True):
        assert f"127.0.0.1:{shipped} " in text
        text = text.replace(f"127.0.0.1:{shipped} ", f"127.0.0.1:{port} ")
    # One process, so that a file of this test's own user is all that it needs.
    text = re.sub(r"worker_processes +auto;", "worker_processes 1;", text)
    (folder / "nginx.conf").write_text(text)
    assert NGINX is not None
    early = folder / "tmp" / "error.log"
    return [NGINX, "-p", str(folder), "-c", "nginx.conf", "-e", str(early)]


@contextmanager
def _proxied(folder: Path, servers: tuple[int, ...]) -> Iterator[str]:
    listen = _free_port()
    command = _conf(folder, listen, servers)
    tried = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False)
    assert tried.returncode == 0, tried.stderr
    nginx = subprocess.Popen([*command, "-g", "daemon off;"])
    try:
        until = time.monotonic() + _UP
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", listen)) == 0:
                    break
            assert nginx.poll() is None, (folder / "tmp" / "error.log").read_text()
            assert time.monotonic() < until, "nginx did not start"
            time.sleep(0.02)
        yield f"http://127.0.0.1:{listen}"
    finally:
        nginx.terminate()
        nginx.wait()


@needs_nginx
def test_nginx_asks_the_other_server_when_one_has_ended(tmp_path: Path, judge: RewardJudge) -> None:  # noqa: F811
    """Also for a client that tries once: rewards depend on the request alone, so nginx may ask again."""
    asked = "Which drink?", ["Tea.", "It is a drink."]
    with serving(judge, (KEY,)) as first, ExitStack() as ending:
        second = ending.enter_context(serving(judge, (KEY,)))
        with Client(f"http://127.0.0.1:{first.port}", KEY) as client:
            expected = client.rewards(*asked)
        with _proxied(tmp_path, (first.port, second.port)) as url, Client(url, KEY, limits=ONCE) as client:
            for _ in range(4):
                assert client.rewards(*asked) == pytest.approx(expected, abs=1e-5)
            ending.close()
            for _ in range(8):
                assert client.rewards(*asked) == pytest.approx(expected, abs=1e-5)
    log = (tmp_path / "tmp" / "access.log").read_text()
    assert {f"127.0.0.1:{one.port}" for one in (first, second)} <= set(re.findall(r"127\.0\.0\.1:\d+", log))
    assert KEY not in log
    assert "drink" not in log


@needs_nginx
def test_what_nginx_refuses_has_the_servers_form(tmp_path: Path, judge: RewardJudge) -> None:  # noqa: F811
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    with ExitStack() as ending:
        one = ending.enter_context(serving(judge, (KEY,)))
        with (
            _proxied(tmp_path, (one.port, _free_port())) as url,
            httpx.Client(base_url=url, headers=headers, timeout=30) as client,
        ):
            large = client.post("/v1/rewards", content=b"x" * (65 * 2**20))
            assert (large.status_code, large.json()["error"]["kind"]) == (413, "too large")
            nobody = client.post("/v1/rewards", json={}, headers={"Authorization": ""})
            assert (nobody.status_code, nobody.json()["error"]["kind"]) == (401, "key")
            assert client.get("/metrics").status_code == 404
            assert client.get("/readyz").json()["ready"] is True
            ending.close()
            gone = client.post("/v1/rewards", json={})
    assert (gone.status_code, gone.json()["error"]["kind"]) == (503, "failed")
    assert gone.headers["retry-after"] == "2"
