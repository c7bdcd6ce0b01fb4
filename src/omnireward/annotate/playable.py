"""A stored medium becomes what a browser shows: made once, kept, and known by the name that it is served under.

    part of a stored row ──▶ image: itself        ──▶ {"kind": …, "url": "/media/NAME"}
                             video, audio: itself, or converted in a child
                             mesh: a GLB, and views of it

Media from strangers are decoded in child processes only (`media.Decoder`, `conversion`). The names that are served are
those in the table `file`, which is filled here; nothing that a browser sends is ever made into a path.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from omnireward.annotate.conversions import Conversions
from omnireward.annotate.store import Store
from omnireward.errors import DecoderCrashError, MediaError, MissingExtraError, UnreadableMediaError
from omnireward.media import DecodeOptions, Decoder, Limits
from omnireward.media.encode import png
from omnireward.media.pieces import check_pieces
from omnireward.types import Media, MediaKind

Shown = dict[str, Any]
SHOWN = "shown"  # the folder of what was made
LIMITS = Limits(cpu_seconds=600, wall_seconds=900.0)  # a conversion decodes and encodes everything
_AT_ONCE = 4  # samples whose media are made, each perhaps by a process of gigabytes
_VIEWS = DecodeOptions(views=6, view_size=384)
_SUFFIXES = {"video/mp4": ".mp4", "video/webm": ".webm", "audio/wav": ".wav", "model/gltf-binary": ".glb"}
_IMAGES = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (8, b"WEBP", "image/webp"),
    (0, b"GIF8", "image/gif"),
)


class Playable:
    """Makes parts of stored rows showable. Threads may share one. Close it, or use it in a ``with`` block."""

    def __init__(self, store: Store, limits: Limits = LIMITS) -> None:
        self._store, self._folder, self._limits = store, store.folder, limits
        (self._folder / SHOWN).mkdir(parents=True, exist_ok=True)
        for half in (self._folder / SHOWN).glob(".*.new"):  # of a server that was killed
            half.unlink(missing_ok=True)
        self._decoder = Decoder(_VIEWS, at_once=2)
        self._children = Conversions()
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._making: dict[int, Future[None]] = {}
        self._makers = ThreadPoolExecutor(_AT_ONCE, "media")
        self._closed = False

    def part(self, part: Mapping[str, Any]) -> Shown:
        """A stored part as the page takes it.

        Raises:
            MediaError: it cannot be shown.
            MissingExtraError: a mesh that is no GLB, without the extra `mesh`.
            OSError: a file cannot be read or written.
        """
        if part["kind"] == "text":
            return {"kind": "text", "text": part["text"]}
        key = _key(part)
        with self._lock:
            lock = self._locks.setdefault(key, threading.Lock())
        with lock:
            known = self._store.do(_known, key)
            if known is None:
                known, files = self._made(key, part["kind"], bool(part.get("frames")), part["media"])
                self._store.do(_keep, key, known, files)
            return known

    def make(self, sample: int, parts: Sequence[Mapping[str, Any]]) -> Future[None]:
        """Make the parts of a sample showable, some samples at once. Asked for again meanwhile, it is the same future.

        Where all is `made`, there is no need for it. What it gives raises as `part`, or CancelledError by `close`.

        Raises:
            DecoderCrashError: this is closed.
        """
        with self._lock:
            self._check_open()
            if sample not in self._making:
                self._making[sample] = self._makers.submit(self._make, sample, parts)
            return self._making[sample]

    def _make(self, sample: int, parts: Sequence[Mapping[str, Any]]) -> None:
        try:
            for part in parts:
                self._check_open()
                self.part(part)
        finally:
            with self._lock:
                del self._making[sample]

    def _made(self, key: str, kind: MediaKind, frames: bool, names: Sequence[str]) -> tuple[Shown, list[_File]]:
        paths = [self._folder / name for name in names]
        if frames or kind == "image":
            files = [self._image(path) for path in paths]
            urls = [f"/media/{name}" for name, _, _ in files]
            shown: dict[str, Shown] = {"image": {"url": urls[0]}, "mesh": {"url": "", "views": urls}}
            return {"kind": kind, **shown.get(kind, {"urls": urls})}, files
        stem = hashlib.sha256(key.encode()).hexdigest()[:32]
        if kind == "mesh":
            return self._mesh(paths[0], stem)
        file, note = self._converted(kind, paths[0], stem)
        return {"kind": kind, "url": f"/media/{file[0]}", **note}, [file]

    def _image(self, path: Path) -> _File:
        self._decoder(Media("image", path))  # it may be broken
        with path.open("rb") as file:
            head = file.read(16)
        for offset, magic, mime in _IMAGES:
            if head[offset : offset + len(magic)] == magic:
                return path.name, _below(self._folder, path), mime
        raise UnreadableMediaError(f"{path.name}: browsers show PNG, JPEG, WebP and GIF.")

    def _mesh(self, path: Path, stem: str) -> tuple[Shown, list[_File]]:
        files: list[_File] = []
        views: list[str] = []
        problem: MediaError | MissingExtraError | None = None
        url = ""
        note: dict[str, str] = {}
        try:
            glb, note = self._converted("mesh", path, stem)
            files.append(glb)
            url = f"/media/{glb[0]}"
        except (MediaError, MissingExtraError) as error:
            problem = error
        with suppress(MediaError, MissingExtraError):
            for number, picture in enumerate(self._decoder(Media("mesh", path))):
                files.append(self._write(f"{stem}-{number}.png", png(picture), "image/png"))
                views.append(f"/media/{files[-1][0]}")
        if problem is not None and not views:
            raise problem
        return {"kind": "mesh", "url": url, "views": views, **note}, files

    def _converted(self, kind: MediaKind, path: Path, stem: str) -> tuple[_File, dict[str, str]]:
        """The file to serve, and a note where it is not the original."""
        check_pieces(Media(kind, path), self._limits)
        # A name of its own: the child of a server that was killed may still write to the last one.
        fresh = self._folder / SHOWN / f".{stem}-{secrets.token_hex(8)}.new"
        try:
            said = self._children.convert(kind, path, fresh, self._limits)
            mime = str(said["type"])
            if not said["converted"]:
                # Not the file's own name: the same file may be a video here and a sound there.
                return (f"{stem}{path.suffix}", _below(self._folder, path), mime), {}
            name = f"{stem}{_SUFFIXES[mime]}"
            fresh.replace(self._folder / SHOWN / name)
        finally:
            fresh.unlink(missing_ok=True)
        return (name, f"{SHOWN}/{name}", mime), {"note": "converted"}

    def _write(self, name: str, data: bytes, mime: str) -> _File:
        path = self._folder / SHOWN / name
        fresh = path.with_name(f".{name}.new")
        fresh.write_bytes(data)
        fresh.replace(path)
        return name, f"{SHOWN}/{name}", mime

    def close(self) -> None:
        """End the decoding and converting processes. Twice is harmless."""
        with self._lock:
            self._closed = True
        self._children.close()
        self._decoder.close()
        self._makers.shutdown(cancel_futures=True)
        self._decoder.close()  # which can be used again, and may have been

    def _check_open(self) -> None:
        if self._closed:
            raise DecoderCrashError("no medium is made showable any more: the server ends.")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


_File = tuple[str, str, str]
"""The name it is served under, its path below the folder, its type."""


def served(db: sqlite3.Connection, folder: Path, name: str) -> tuple[Path, str] | None:
    """The file that a name stands for, and its type; None for every other name, and where the file is a link."""
    row = db.execute("SELECT path, type FROM file WHERE name = ?", (name,)).fetchone()
    if row is None:
        return None
    path = folder / row["path"]
    real = Path(os.path.realpath(path))
    if real != Path(os.path.realpath(folder)) / row["path"] or not real.is_file():
        return None
    return path, str(row["type"])


def to_play(parts: Sequence[Mapping[str, Any]]) -> list[str]:
    """The media among shown parts that take their time, once each: their urls."""
    return list(dict.fromkeys(part["url"] for part in parts if part["kind"] in ("video", "audio") and part.get("url")))


def made(db: sqlite3.Connection, parts: Sequence[Mapping[str, Any]]) -> bool:
    """Whether `Playable.part` has each of these ready."""
    return all(part["kind"] == "text" or _known(db, _key(part)) is not None for part in parts)


def _key(part: Mapping[str, Any]) -> str:
    return json.dumps([part["kind"], bool(part.get("frames")), part["media"]])


def _below(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def _known(db: sqlite3.Connection, key: str) -> Shown | None:
    row = db.execute("SELECT part FROM medium WHERE key = ?", (key,)).fetchone()
    return json.loads(row["part"]) if row else None


def _keep(db: sqlite3.Connection, key: str, part: Shown, files: Sequence[_File]) -> None:
    db.executemany("INSERT OR REPLACE INTO file VALUES (?, ?, ?)", files)
    db.execute("INSERT OR REPLACE INTO medium VALUES (?, ?)", (key, json.dumps(part)))
