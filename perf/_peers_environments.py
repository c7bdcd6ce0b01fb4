"""A virtual environment for each peer, below `.cache/peers`, made with pip once and used again.

torch is the very release that runs here, with its local version: the +cpu of a CPU build names its wheel, so no CUDA
wheels are downloaded for a machine that cannot use them.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache" / "peers"
MOST_SECONDS = 1_800  # of one run, or of one installation


class PeerError(Exception):
    """A peer does not install, or does not run; the message is why."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another project's trainer.

    Attributes:
        name: of its folder, and on the command line.
        package: what pip installs.
        module: what runs its training.
        ways: what `module` can be told, and how the table names it.
        lengths: which of the setting's lengths it is measured with.
        removed: packages taken out again: their wheels are built for CUDA, and transformers fails to load beside them.
            Text needs neither.
    """

    name: str
    package: str
    module: str
    ways: tuple[tuple[str, str], ...]
    lengths: tuple[str, ...]
    removed: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """As the JSON names it."""
        return self.name.replace("-", "_")


@dataclass(frozen=True, slots=True)
class Run:
    """CPU seconds of a training loop, and the loss of each of its steps."""

    cpu: float
    losses: tuple[float, ...]


PEERS = (
    Peer(
        "trl",
        "trl==1.16.*",
        "perf._peers_trl",
        (("default", "TRL, default"), ("no_checkpointing", "TRL, no checkpointing")),
        ("picture", "chat"),
    ),
    Peer(
        "llamafactory",
        "llamafactory==0.9.5",
        "perf._peers_llamafactory",
        (("default", "LLaMA-Factory"),),
        ("picture",),
        removed=("torchvision", "torchaudio"),
    ),
    Peer("ms-swift", "ms-swift==4.6.0", "perf._peers_ms_swift", (("default", "ms-swift"),), ("picture",)),
)


def installed(peer: Peer) -> Path:
    """The interpreter of a peer's environment. Raises PeerError."""
    folder = CACHE / peer.name
    python, stamp = folder / "bin" / "python", folder / "installed.json"
    torch = f"torch=={importlib.metadata.version('torch')}"
    wanted = json.dumps({"package": peer.package, "torch": torch, "removed": peer.removed})
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "constraints.txt").write_text(torch + "\n")
    pip = [str(python), "-m", "pip"]
    run([sys.executable, "-m", "venv", str(folder)])
    run([*pip, "install", "-q", "-c", str(folder / "constraints.txt"), torch, peer.package])
    if peer.removed:
        run([*pip, "uninstall", "-q", "-y", *peer.removed])
    stamp.write_text(wanted)
    return python


def version(peer: Peer) -> str:
    """The version that is installed."""
    name = peer.package.partition("=")[0]
    asked = f"import importlib.metadata as m; print(m.version({name!r}))"
    return run([str(installed(peer)), "-c", asked]).strip()


def trained(python: Path, module: str, *given: str) -> Run:
    """Run a trainer's module, which prints what its clock took down as its last line. Raises PeerError."""
    last = run([str(python), "-m", module, *given]).splitlines()[-1]
    found = json.loads(last)
    return Run(found["cpu"], tuple(found["losses"]))


def run(command: list[str], variables: Mapping[str, str] | None = None) -> str:
    """What a command prints. One thread, no GPU, no network. Raises PeerError."""
    quiet = {
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=os.environ | quiet | dict(variables or {}),
            timeout=MOST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PeerError(f"not done after {MOST_SECONDS} s") from error
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or [f"exit status {done.returncode}"]
        told = [line for line in said if line.startswith("ERROR:")]  # pip ends with hints
        raise PeerError((told or said)[-1].strip())
    return done.stdout
