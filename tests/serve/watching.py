"""What a server's process and its children open, connect to and hold, told by Python and by the kernel."""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_OPENED = 0x20  # IN_OPEN: inotify(7)
_NONBLOCK = os.O_NONBLOCK


def resident() -> int:
    """Bytes of memory that this process has; 0 where the system does not say."""
    status = Path("/proc/self/status")
    if not status.exists():
        return 0
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


@dataclass
class Seen:
    """Paths that were opened, addresses that were connected to, names that were looked up: by this process."""

    opened: set[str] = field(default_factory=set)
    connected: set[tuple[Any, ...]] = field(default_factory=set)
    looked_up: set[str] = field(default_factory=set)


_seen: list[Seen] = []  # a hook cannot be taken away again: it looks here for who wants to know
_hooked: list[bool] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if not _seen:
        return
    if event == "open" and isinstance(args[0], str | bytes):
        _seen[-1].opened.add(os.fsdecode(args[0]))
    elif event == "socket.connect":
        _seen[-1].connected.add(tuple(args[1]) if isinstance(args[1], tuple) else (args[1],))
    elif event == "socket.getaddrinfo":
        _seen[-1].looked_up.add(str(args[0]))


@contextmanager
def seen() -> Iterator[Seen]:
    """What this process does until the end of the block, clients in it included."""
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked.append(True)
    found = Seen()
    _seen.append(found)
    try:
        yield found
    finally:
        _seen.remove(found)


class Opened:
    """Which files of a folder any process has opened, from now on. Linux only."""

    def __init__(self, folder: Path) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._file: int = libc.inotify_init1(_NONBLOCK)
        if self._file < 0 or libc.inotify_add_watch(self._file, os.fsencode(folder), _OPENED) < 0:
            raise OSError(ctypes.get_errno(), "inotify")

    def names(self) -> list[str]:
        """Those opened since the last time that this was asked."""
        found = []
        try:
            data = os.read(self._file, 65_536)
        except BlockingIOError:
            return []
        while data:
            _, _, _, length = struct.unpack_from("iIII", data)
            found.append(data[16 : 16 + length].rstrip(b"\0").decode())
            data = data[16 + length :]
        return [name for name in found if name]

    def close(self) -> None:
        os.close(self._file)
