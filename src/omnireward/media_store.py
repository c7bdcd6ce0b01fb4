"""Media that steps of construction keep: in a folder, each named by its content.

Unusual: a medium that is a file already is linked, not copied, where the file system can; a mesh takes the files that
it names along (see `mesh_files`), in a folder of their own.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from omnireward.mesh_files import named
from omnireward.types import Media, MediaKind

MEDIA = "media"
_SUFFIX = re.compile(r"\.[a-z0-9]{1,5}")
_MAGIC = (
    (0, b"\x89PNG", ".png"),
    (0, b"\xff\xd8\xff", ".jpg"),
    (8, b"WEBP", ".webp"),
    (0, b"GIF8", ".gif"),
    (4, b"ftyp", ".mp4"),
    (0, b"\x1aE\xdf\xa3", ".webm"),
    (8, b"WAVE", ".wav"),
    (0, b"fLaC", ".flac"),
    (0, b"OggS", ".ogg"),
    (0, b"ID3", ".mp3"),
    (0, b"glTF", ".glb"),
    (0, b"ply", ".ply"),
)


class MediaStore:
    """Media below a folder, each named by its content. Several processes may keep into one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, media: Media) -> list[str]:
        """The names below the folder of a medium's pieces, which are there when this returns. Raises OSError."""
        return [self._piece(piece, media.kind) for piece in media.pieces()]

    def _piece(self, piece: Path | bytes, kind: MediaKind) -> str:
        if isinstance(piece, bytes):
            digest = hashlib.sha256(piece).hexdigest()
            # OBJ has no magic, and a file without that suffix would not be read as one.
            suffix = _suffix(piece[:16]) or (".obj" if kind == "mesh" else "")
            return self._put(f"{MEDIA}/{digest[:2]}/{digest}{suffix}", piece)
        if kind == "mesh" and (beside := named(piece)):
            return self._mesh(piece, beside)
        with piece.open("rb") as file:
            head = file.read(16)
            file.seek(0)
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        suffix = piece.suffix.lower()
        # A mesh without magic is known by its suffix; elsewhere content says more than a name.
        suffix = _suffix(head) or (suffix if _SUFFIX.fullmatch(suffix) else "")
        return self._put(f"{MEDIA}/{digest[:2]}/{digest}{suffix}", piece)

    def _mesh(self, mesh: Path, beside: Mapping[str, Path]) -> str:
        digest = Media("mesh", mesh).digest()
        home = f"{MEDIA}/{digest[:2]}/{digest}"
        for path in sorted(set(beside.values())):
            self._put(f"{home}/{path.relative_to(mesh.parent.resolve()).as_posix()}", path)
        return self._put(f"{home}/{mesh.name}", mesh)  # last: what names files comes when they are there

    def _put(self, name: str, piece: Path | bytes) -> str:
        path = self._folder / name
        if path.exists():
            return name
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{os.getpid()}-{path.name}")
        fresh.unlink(missing_ok=True)
        if isinstance(piece, bytes):
            fresh.write_bytes(piece)
        else:
            real = piece.resolve()  # a link to a link would break when its folder goes
            linked = False
            with suppress(OSError):
                os.link(real, fresh)
                linked = True
            if not linked:
                shutil.copyfile(real, fresh)
        fresh.replace(path)
        fresh.unlink(missing_ok=True)  # renaming a hard link onto another of the same file leaves both
        return name


def _suffix(head: bytes) -> str:
    return next((suffix for at, magic, suffix in _MAGIC if head[at : at + len(magic)] == magic), "")
