"""A server that ends well: not ready first, then no new connections, then what was accepted, then the end.

Unusual: uvicorn closes its port the moment it is told to end, and whoever routes requests here learns of it by refused
connections. Here the port stays open for `notice` seconds after `/readyz` has begun to say 503.
"""

from __future__ import annotations

import asyncio
import math
import signal
import socket
from types import FrameType

import uvicorn
from fastapi import FastAPI

from omnireward.errors import RecipeError
from omnireward.serve.config import ServeConfig
from omnireward.serve.service import Service


class Server(uvicorn.Server):
    """uvicorn with a notice. A second signal ends at once."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Until it is told to end."""
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """SIGTERM or Ctrl-C. Not told to uvicorn's own: it would raise the signal again after a clean end."""
        if self._service.draining and sig == signal.SIGINT:
            self.force_exit = self.should_exit = True
            return
        self.end()

    def end(self) -> None:
        """Begin to end; any thread may say so."""
        self._service.draining = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._loop.call_later, self._service.config.notice, self._stop)

    def _stop(self) -> None:
        self.should_exit = True


def server(app: FastAPI) -> Server:
    """A server for an app of `create_app`, not yet running."""
    service: Service = app.state.service
    config = service.config
    return Server(
        uvicorn.Config(
            app,
            ws="none",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=math.ceil(config.drain),
        ),
        service,
    )


def bound(config: ServeConfig) -> socket.socket:
    """The port, taken before a model is loaded, so that one that is in use says so at once.

    Raises:
        RecipeError: it cannot be had.
    """
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    # Only where the protocol is named does asyncio send what is small at once; else a reply waits some 40 ms.
    taken = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        taken.bind((config.host, config.port))
    except OSError as error:
        taken.close()
        raise RecipeError(f"cannot listen on {config.host}, port {config.port}: {error.strerror}.") from error
    return taken
