"""A server of the app, which ends well when it is told to; and a thread that makes media playable ahead of people."""

from __future__ import annotations

import logging
import socket
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from types import FrameType

import uvicorn
from fastapi import FastAPI

from omnireward.annotate import showing
from omnireward.annotate.playable import Playable
from omnireward.annotate.store import Store
from omnireward.errors import MediaError, MissingExtraError

_MOST_AT_ONCE = 200  # requests and idle connections; a browser keeps six
logger = logging.getLogger("omnireward.annotate")


class Server(uvicorn.Server):
    """uvicorn that says when it listens, and does not raise the signal again that it ended for."""

    def __init__(self, app: FastAPI, up: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http="h11",
                loop="asyncio",
                ws="none",
                lifespan="off",
                limit_concurrency=_MOST_AT_ONCE,
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=5,
            )
        )
        self._up = up

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self._up()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """SIGTERM or Ctrl-C; a second one does not wait."""
        self.force_exit = self.should_exit
        self.should_exit = True


class Ahead:
    """Makes the media of all samples playable, in order, in the background. Use it as a context manager."""

    def __init__(self, store: Store, playable: Playable) -> None:
        self._store, self._playable = store, playable
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="media-ahead", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_about: object) -> None:
        self._ended.set()
        self._playable.close()  # what is being decoded is given up
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._ended.is_set() and (following := self._store.do(_after, number)) is not None:
            number = following
            row = self._store.do(showing.row_of, number)
            try:
                self._playable.make(number, showing.all_parts(row)).result()
            except CancelledError:
                return  # the server ends
            except (MediaError, MissingExtraError, OSError) as error:
                if not self._ended.is_set():
                    self._store.do(showing.set_aside, self._store.folder, number, str(error))
                    logger.warning("sample %d is set aside: %s", number, error)


def _after(db: sqlite3.Connection, number: int) -> int | None:
    row = db.execute("SELECT MIN(number) FROM sample WHERE number > ? AND broken = ''", (number,)).fetchone()
    return None if row[0] is None else int(row[0])
