"""The files that a mesh names (materials, textures, buffers). They are seen with it, so they count in its digest.

Names are looked for in the plainest way. `media.sidecars` opens no file that is not found here: one that is read but
does not count would let two different meshes pass for one, and what is kept of the first for the second.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

MOST_NAMES = 1000
MOST_BYTES = 2**30  # of all files together: they are read for each digest
_LONGEST_LINE = 65_536  # also of the head of a PLY
_LARGEST_JSON = 32 * 2**20
_URI = re.compile(rb'"uri"\s*:\s*"([^"]{1,4096})"')


def named(mesh: Path) -> dict[str, Path]:
    """The files below the mesh's folder that it names, by each spelling. Raises OSError where it cannot be read."""
    folder = mesh.parent.resolve()
    with mesh.open("rb") as file:
        head = file.read(20)
        if head.startswith(b"glTF"):
            return _found(folder, _uris(file.read(min(_LARGEST_JSON, int.from_bytes(head[12:16], "little")))))
        file.seek(0)
        if head.startswith(b"ply"):
            return _found(folder, _after("texturefile", io.BytesIO(file.read(_LONGEST_LINE))))
        if mesh.suffix.lower() != ".obj":
            return {}
        materials = _found(folder, _after("mtllib", file))
    textures: list[str] = []
    for path in sorted(set(materials.values())):
        with path.open("rb") as file:
            textures += _after("map_kd", file)
    return _found(folder, [*materials, *textures])


def spellings(name: str) -> tuple[str, ...]:
    """What to look for: OBJ writes names as they are, glTF percent-encoded."""
    return tuple(dict.fromkeys((name.strip(), unquote(name.strip()))))


def _found(folder: Path, names: Iterable[str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    seen: set[str] = set()
    left = MOST_BYTES
    for name in names:
        seen.add(name)
        if len(seen) > MOST_NAMES:
            break
        for spelling in spellings(name):
            with suppress(OSError, ValueError, RuntimeError):  # too long, NUL, links in a circle
                path = (folder / spelling).resolve()
                if spelling not in found and path.is_relative_to(folder) and path.is_file():
                    left -= path.stat().st_size
                    if left >= 0:
                        found[spelling] = path
    return found


def _uris(raw: bytes) -> Iterator[str]:
    for written in _URI.findall(raw):
        with suppress(ValueError):
            yield str(json.loads(b'"' + written + b'"'))


def _after(word: str, file: BinaryIO) -> Iterator[str]:
    """What follows a word in its line."""
    sought = word.encode()
    for raw in iter(partial(file.readline, _LONGEST_LINE), b""):
        if sought in raw.lower():
            for line in _text(raw).splitlines():
                start = line.lower().find(word)
                if start >= 0:
                    yield line[start + len(word) :]


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
