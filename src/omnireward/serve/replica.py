"""The program that one replica is: it reads its orders from stdin, serves, and ends when it is told to or stdin ends.

Orders come by stdin because API keys are among them, and a command line can be read by everybody. That stdin ends when
whoever gave the orders dies, however it dies, so no replica is left behind.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from omnireward.errors import OmniRewardError
from omnireward.judges import open_judge
from omnireward.sample_text import printable
from omnireward.serve.app import create_app
from omnireward.serve.config import ServeConfig
from omnireward.serve.run import Server, bound, server
from omnireward.serve.uploads import Uploads


@dataclass(frozen=True, kw_only=True)
class Orders:
    """What a replica is told, beside the environment.

    Attributes:
        config: of the whole server; `port` is this replica's own, 0 for a free one.
        number: which of the replicas it is, from 0.
        keys: API keys.
        shared: file descriptor of the socket that all listen on.
        uploads: the folder that all share.
    """

    config: ServeConfig
    number: int
    keys: tuple[str, ...]
    shared: int
    uploads: Path

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
        )


def main() -> int:
    """Serve until told to end; the exit code is that of the command line."""
    orders = Orders.read(sys.stdin.buffer.readline())
    name = f"%(asctime)s %(name)s replica {orders.number} %(message)s"
    logging.basicConfig(level=logging.INFO, format=name, stream=sys.stderr)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    try:
        with bound(orders.config) as own, socket.socket(fileno=orders.shared) as shared:
            uploads = Uploads.of(orders.config, orders.uploads, orders.number)
            app = create_app(orders.config, open_judge(orders.config.judge), orders.keys, uploads)
            port = own.getsockname()[1]
            one = server(app, partial(print, port, flush=True))
            threading.Thread(target=_end_with_stdin, args=(one,), daemon=True).start()
            one.run([own, shared])
    except OmniRewardError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 2
    return 0


def _end_with_stdin(one: Server) -> None:
    while os.read(0, 4096):  # not sys.stdin, whose lock the interpreter wants when it ends
        pass
    one.end()


if __name__ == "__main__":
    sys.exit(main())
