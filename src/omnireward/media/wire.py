"""What the decoder and its child say to each other: length-prefixed JSON headers and raw bytes, over pipes.

No pickle: whoever takes over the child by a crafted file must gain nothing by what it writes back.
"""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Mapping, Sequence
from typing import Any

_LENGTH_BYTES = 4
_LARGEST_HEADER = 64 * 2**20  # a request that names many files by path; answers are far smaller
LARGEST_ANSWER = 64 * 2**10


def send(file: int, header: Mapping[str, Any], payloads: Sequence[bytes | memoryview], deadline: float | None) -> None:
    """Write a header and then the payloads, whose sizes the header must tell.

    Args:
        file: a pipe; non-blocking where there is a deadline.
        header: must be JSON.
        payloads: raw bytes.
        deadline: `time.monotonic` at which to give up; None waits forever.

    Raises:
        TimeoutError: the deadline passed.
        BrokenPipeError: the other side is gone.
    """
    encoded = json.dumps(header).encode()
    _write(file, memoryview(len(encoded).to_bytes(_LENGTH_BYTES, "big") + encoded), deadline)
    for payload in payloads:
        _write(file, memoryview(payload), deadline)


def receive_header(file: int, deadline: float | None, largest: int = _LARGEST_HEADER) -> Any:
    """Read one header: whatever JSON the other side sent.

    Raises:
        TimeoutError: the deadline passed.
        EOFError: the other side is gone.
        ValueError: not JSON, nested too deeply to be read, or larger than `largest` bytes.
    """
    length = bytearray(_LENGTH_BYTES)
    receive_into(file, memoryview(length), deadline)
    size = int.from_bytes(length, "big")
    if size > largest:
        raise ValueError(f"a header of {size} bytes")
    encoded = bytearray(size)
    receive_into(file, memoryview(encoded), deadline)
    try:
        return json.loads(encoded)
    except RecursionError as error:  # 60,000 opening brackets fit into an answer
        raise ValueError("a header that is nested too deeply") from error


def receive_into(file: int, target: memoryview, deadline: float | None) -> None:
    """Fill a flat byte buffer. Raises as `receive_header` does."""
    while target:
        _wait(file, select.POLLIN, deadline)
        count = os.readv(file, [target])
        if count == 0:
            raise EOFError
        target = target[count:]


def _write(file: int, data: memoryview, deadline: float | None) -> None:
    while data:
        _wait(file, select.POLLOUT, deadline)
        data = data[os.write(file, data) :]


def _wait(file: int, event: int, deadline: float | None) -> None:
    if deadline is None:
        return  # the child's ends are blocking
    poll = select.poll()
    poll.register(file, event)
    left = deadline - time.monotonic()
    if left <= 0 or not poll.poll(left * 1000):
        raise TimeoutError
