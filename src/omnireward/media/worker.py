"""The child process that decodes: `python -m omnireward.media.worker '{"options": {...}, "limits": {...}}'`.

It reads requests from standard input and answers on standard output (see wire.py) until its input ends. Only the two
media errors go back as answers. Anything else, bugs included, ends the process: its parent reports that and starts
another, so nothing here needs to guess what a decoding library may raise.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from omnireward.errors import MediaLimitError, UnreadableMediaError
from omnireward.media.answers import LONGEST_MESSAGE
from omnireward.media.dispatch import decode
from omnireward.media.length import stated, stated_seconds
from omnireward.media.limits import DecodeOptions, Limits
from omnireward.media.wire import receive_header, receive_into, send
from omnireward.types import Media

_LARGEST_WRITTEN_FILE = 2**20  # bytes; the only file it writes is its standard error


def main(settings: str) -> None:
    """Answer requests until standard input ends."""
    given = json.loads(settings)
    options, limits = DecodeOptions(**given["options"]), Limits(**given["limits"])
    requests, answers = os.dup(0), os.dup(1)
    os.dup2(2, 1)  # whatever a library prints must not land among the answers
    _limit_for_life(limits)
    send(answers, {"ready": True}, [], None)
    while True:
        try:
            header = receive_header(requests, None)
        except EOFError:
            return
        media = _receive_media(requests, header)
        _limit_processor_time(limits)
        try:
            if header["want"] == "seconds":
                send(answers, {"seconds": stated_seconds(media)}, [], None)
                continue
            if header["want"] == "stated":
                send(answers, {"stated": asdict(stated(media, limits))}, [], None)
                continue
            array = np.ascontiguousarray(decode(media, options, limits))
        except (MediaLimitError, UnreadableMediaError) as error:
            send(answers, {"error": type(error).__name__, "message": str(error)[:LONGEST_MESSAGE]}, [], None)
        else:
            send(answers, {"shape": array.shape, "dtype": array.dtype.name}, [array.data.cast("B")], None)


def _receive_media(requests: int, header: dict[str, Any]) -> Media:
    pieces: list[Path | bytes] = []
    for piece in header["pieces"]:
        if "path" in piece:
            pieces.append(Path(piece["path"]))
        else:
            data = bytearray(piece["bytes"])
            receive_into(requests, memoryview(data), None)
            pieces.append(bytes(data))
    return Media(header["kind"], tuple(pieces) if header["sequence"] else pieces[0])


def _limit_for_life(limits: Limits) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LARGEST_WRITTEN_FILE, _LARGEST_WRITTEN_FILE))
    if sys.platform == "linux":  # macOS has the constant but refuses to set it
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))


def _limit_processor_time(limits: Limits) -> None:
    """Allow this request its seconds. The kernel counts from the process's start, so the limit moves with its use."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    used = int(time.process_time()) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (used + limits.cpu_seconds, hard))


if __name__ == "__main__":
    main(sys.argv[1])
