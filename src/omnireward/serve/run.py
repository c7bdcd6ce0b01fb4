"""A server that ends well: not ready first, then no new connections, then what was accepted, then the end.

Unusual: uvicorn closes its port the moment it is told to end, and whoever routes requests here learns of it by refused
connections. Here the port stays open for `notice` seconds after `/readyz` has begun to say 503.
"""

from __future__ import annotations

import asyncio
import math
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI

from omnireward import listening
from omnireward.serve.config import ServeConfig
from omnireward.serve.connections import BACKLOG, Bounds, bounded, make_room
from omnireward.serve.service import Service


class Server(uvicorn.Server):
    """uvicorn with a notice. A second signal ends at once."""

    def __init__(self, config: uvicorn.Config, service: Service, up: Callable[[], None]) -> None:
        super().__init__(config)
        self._service, self._up = service, up
        self._loop: asyncio.AbstractEventLoop | None = None

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Until it is told to end."""
        self._loop = asyncio.get_running_loop()
        if self._service.draining:  # told while it was made
            self._loop.call_later(self._service.config.notice, self._stop)
        await super().serve(sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self._up()

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """As `serve`, in a loop of its own; then close the service, however it ended."""
        try:
            super().run(sockets)
        finally:
            self._service.close()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """SIGTERM or Ctrl-C. Not told to uvicorn's own: it would raise the signal again after a clean end."""
        if self._service.draining and sig == signal.SIGINT:
            self.force_exit = self.should_exit = True
            return
        self.end()

    def end(self) -> None:
        """Begin to end; any thread may say so."""
        self._service.draining = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.call_later, self._service.config.notice, self._stop)

    def _stop(self) -> None:
        self.should_exit = True


def server(app: FastAPI, up: Callable[[], None] = lambda: None) -> Server:
    """A server for an app of `create_app`, not yet running. `up` is told when it listens."""
    service: Service = app.state.service
    config = service.config
    return Server(
        uvicorn.Config(
            app,
            http=bounded(
                Bounds(config.max_connections, config.head_seconds, config.reply_seconds, service.metrics.closed)
            ),
            loop="asyncio",  # also where uvloop is installed: what is tried is what runs
            backlog=BACKLOG,
            ws="none",
            lifespan="off",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=math.ceil(config.drain),
        ),
        service,
        up,
    )


def bound(config: ServeConfig) -> socket.socket:
    """The port, taken before a model is loaded, so that one that is in use says so at once.

    Raises:
        RecipeError: it cannot be had, or this process may not open as many files as there may be connections.
    """
    make_room(config.max_connections, config.max_queue)
    return listening.bound(config.host, config.port)
