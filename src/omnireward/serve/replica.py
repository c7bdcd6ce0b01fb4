"""The program that one replica is: it reads its orders from stdin, serves, and ends when it is told to or stdin ends.

Orders come by stdin because API keys are among them, and a command line can be read by everybody. That stdin ends when
whoever gave the orders dies, however it dies, so no replica is left behind.

    stdin ── Orders ──▶ replica ── Up, once it listens ──▶ stdout

Nothing else is written to that stdout: whatever a judge prints goes to stderr.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
import time
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from omnireward.errors import OmniRewardError, RecipeError
from omnireward.judges import open_judge
from omnireward.sample_text import printable
from omnireward.serve.app import create_app
from omnireward.serve.config import ServeConfig
from omnireward.serve.run import Server, bound, server
from omnireward.serve.service import Service
from omnireward.serve.uploads import Uploads

GRACE = 15.0  # seconds beyond notice and drain for a process to end


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What a replica is told, beside the environment.

    Attributes:
        config: of the whole server; `port` is this replica's own, 0 for a free one.
        number: which of the replicas it is, from 0.
        keys: API keys.
        shared: file descriptor of the socket that all listen on.
        uploads: the folder that all share.
        revision: digest of the model that the others serve; None when it is not known yet.
    """

    config: ServeConfig
    number: int
    keys: tuple[str, ...]
    shared: int
    uploads: Path
    revision: str | None

    def line(self) -> bytes:
        """As one line of JSON."""
        said = asdict(replace(self, config=replace(self.config, api_keys_file=None)))  # its keys are here
        return json.dumps(said | {"uploads": str(self.uploads)}).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Orders:
        """What `line` wrote."""
        said = json.loads(line)
        config: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in said["config"].items()
        }
        return cls(
            config=ServeConfig(**config),
            number=said["number"],
            keys=tuple(said["keys"]),
            shared=said["shared"],
            uploads=Path(said["uploads"]),
            revision=said["revision"],
        )


@dataclass(frozen=True, slots=True)
class Up:
    """What a replica says once it listens: its port, and the digest of its model."""

    port: int
    revision: str

    @classmethod
    def read(cls, line: bytes) -> Up:
        """What a replica wrote. Raises ValueError, TypeError, KeyError."""
        said = json.loads(line)
        return cls(int(said["port"]), str(said["revision"]))


def main() -> int:
    """Serve until told to end; the exit code is that of the command line."""
    orders = Orders.read(sys.stdin.buffer.readline())
    said = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nobody reads what else is printed, and a full pipe would stop this process
    name = f"%(asctime)s %(name)s replica {orders.number} %(message)s"
    logging.basicConfig(level=logging.INFO, format=name, stream=sys.stderr)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    life = _Life(orders.config)
    threading.Thread(target=life.watch_stdin, daemon=True).start()
    try:
        with bound(orders.config) as own, socket.socket(fileno=orders.shared) as shared:
            judge = open_judge(orders.config.judge, orders.config.options)
            if orders.revision not in (None, judge.fingerprint):
                raise RecipeError(
                    f"{orders.config.judge} is another model than the other replicas serve (revision "
                    f"{judge.fingerprint[:12]}, not {(orders.revision or '')[:12]}): rewards of two models would be "
                    "mixed. Start the whole server anew to serve this one."
                )
            uploads = Uploads.of(orders.config, orders.uploads, orders.number)
            app = create_app(orders.config, judge, orders.keys, uploads)
            up = Up(own.getsockname()[1], judge.fingerprint)
            life.server = server(app, partial(print, json.dumps(asdict(up)), file=said, flush=True))
            threading.Thread(target=life.watch_service, args=(app.state.service,), daemon=True).start()
            life.server.run([own, shared])
    except OmniRewardError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 2
    return 0


class _Life:
    """Ends this process where nobody would: left by whoever started it, or with a server that answers nobody."""

    def __init__(self, config: ServeConfig) -> None:
        self.server: Server | None = None
        self._patience = config.notice + config.drain + GRACE

    def watch_stdin(self) -> None:
        """Until it ends: then end in peace, or, if something hangs, all the same."""
        while os.read(0, 4096):  # not sys.stdin, whose lock the interpreter wants when it ends
            pass
        if self.server is not None:
            self.server.end()
            time.sleep(self._patience)
        os._exit(1)

    def watch_service(self, service: Service) -> None:
        """Whoever can't compute any more is of no use, and would go on taking a share of the requests."""
        while service.alive:
            time.sleep(1.0)
        if not service.draining:
            logging.getLogger("omnireward.serve").error("nothing is computed any more; this process ends.")
            os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
