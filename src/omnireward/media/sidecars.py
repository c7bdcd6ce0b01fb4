"""The files that a mesh names (materials, textures, buffers), found in the mesh's own folder and nowhere else.

Only those that count in the mesh's digest are read: see `omnireward.mesh_files`.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from omnireward.errors import MediaError, MediaLimitError, UnreadableMediaError
from omnireward.media.image import check_image
from omnireward.media.limits import Limits
from omnireward.mesh_files import MOST_BYTES, MOST_NAMES, named, spellings

_PICTURES = (".png", ".jpg", ".jpeg", ".webp")


class Sidecars:
    """Answers a mesh loader's requests for files by name.

    trimesh logs a file that it cannot get and goes on without it, and a judge would then see a grey object where
    people saw a textured one. So the first refusal is kept: ask `raise_refusal` after loading.

    Args:
        mesh: the mesh's file; None for bytes in memory, which have no folder.
        limits: `bytes` for each file, `texture_pixels` for pictures.
    """

    def __init__(self, mesh: Path | None, limits: Limits) -> None:
        self._mesh = mesh
        self._folder = mesh.parent.resolve() if mesh else None
        self._limits = limits
        self._refusal: MediaError | None = None

    def get(self, name: str) -> bytes:
        """The content of the file of that name.

        Raises:
            UnreadableMediaError, MediaLimitError: see `path_of`; or a picture that cannot be read, or is too large.
        """
        try:
            path = self.path_of(name)
            if path.suffix.lower() in _PICTURES:
                check_image(path, self._limits.texture_pixels)
            return path.read_bytes()
        except MediaError as error:
            self._refusal = self._refusal or error
            raise

    def __getitem__(self, name: str) -> bytes:
        return self.get(name)

    def path_of(self, name: str) -> Path:
        """Where the file of that name is.

        Raises:
            UnreadableMediaError: it lies outside the folder, links included, is not there, or is not in the digest.
            MediaLimitError: it is too large.
        """
        if self._folder is None:
            raise UnreadableMediaError(
                f"a mesh in memory names another file, {name!r}; give the mesh as a path, or as one self-contained GLB."
            )
        if "\0" in name or "://" in name:
            raise UnreadableMediaError(f"a mesh names {name!r}, which is not a file in its folder.")
        for spelling in spellings(name):  # confinement is checked on the name that is opened
            path = (self._folder / spelling).resolve()
            if not path.is_relative_to(self._folder):
                raise UnreadableMediaError(
                    f"a mesh names {name!r}, which is outside its folder {self._folder}; only files beside it are read."
                )
            if path.is_file():
                if path.stat().st_size > self._limits.bytes:
                    raise MediaLimitError(f"{path}: more than {self._limits.bytes:,} bytes (Limits.bytes).")
                if self._named.get(spelling) != path:
                    raise UnreadableMediaError(
                        f"a mesh names {name!r} in a way that is not read, or after {MOST_NAMES:,} other files or "
                        f"{MOST_BYTES:,} bytes of them. Export it as one self-contained GLB."
                    )
                return path
        raise UnreadableMediaError(
            f"a mesh names {name!r}, which is not in {self._folder}; put it there, or remove the name from the mesh."
        )

    @cached_property
    def _named(self) -> dict[str, Path]:
        return named(self._mesh) if self._mesh else {}

    def raise_refusal(self) -> None:
        """Raise what the loader swallowed, if it swallowed something."""
        if self._refusal is not None:
            raise self._refusal
