"""One file of the feature store: a safetensors file that is written once and never changed.

The header is the index: beside the tensors it names the media by digest, with what a `Prepared` says. Each entry has a
checksum of its own over everything that it consists of, because a run reads a few entries of many files, and reading a
whole file to trust one entry would cost more than it saves. SHA-256, as for media: it runs at over a gigabyte a second,
tens of times faster than what it guards was made. It guards against accidents; whoever can write here is the user.

Unusual: files are read with `pread`, not mapped. The pages are the same, shared between processes by the system; but a
mapped file that is cut short, or removed by another machine on a network disk, kills the process that touches it, and
with `pread` it is an error that becomes a miss.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save
from torch import Tensor

from omnireward.backbones import Prepared

FORMAT = "omnireward features 1"
SUFFIX, UNFINISHED = ".safetensors", ".unfinished"
MOST_HEADER_BYTES = 64 * 2**20
MOST_ENTRY_BYTES = 2**30
MOST_SHARD_BYTES = 2**31
MOST_DIMENSIONS = 8
_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


class DamagedShardError(ValueError):
    """A file that does not hold what its header says. It never leaves the store: the file is removed."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept of one medium: its embeddings, (tokens, hidden), or, where they are None, the inputs of its tower.

    Attributes:
        prepared: without inputs where the embeddings are there.
        embeddings: on the CPU, nobody's but this entry's.
    """

    prepared: Prepared
    embeddings: Tensor | None = None

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """What is stored beside the numbers of `prepared`."""
        return (self.prepared.inputs or ()) if self.embeddings is None else (self.embeddings,)

    @property
    def nbytes(self) -> int:
        """Bytes of its tensors."""
        return sum(tensor.nbytes for tensor in self.tensors)

    @property
    def storable(self) -> bool:
        """Whether a shard can hold its tensors, bit for bit."""
        known = all(tensor.dtype in _NAMES and tensor.ndim <= MOST_DIMENSIONS for tensor in self.tensors)
        return known and bool(self.tensors) and self.nbytes <= MOST_ENTRY_BYTES


@dataclass(frozen=True, slots=True)
class Place:
    """Where an entry lies in a shard, and what it must look like."""

    said: Mapping[str, Any]
    tensors: tuple[tuple[str, tuple[int, ...], int], ...]  # dtype, shape, first byte in the file

    def read(self, path: Path, space: str, digest: str) -> Entry:
        """The entry. Raises DamagedShardError, and OSError where the file is gone."""
        made: list[Tensor] = []
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            for name, shape, start in self.tensors:
                tensor = torch.empty(shape, dtype=_DTYPES[name])
                if tensor.nbytes and os.preadv(descriptor, [_bytes(tensor)], start) != tensor.nbytes:
                    raise DamagedShardError(f"{path} ends within an entry.")
                made.append(tensor)
        finally:
            os.close(descriptor)
        if _checksum(space, digest, self.said, made) != self.said["sha256"]:
            raise DamagedShardError(f"{path}: the checksum of {digest} is wrong.")
        sizes = tuple((int(first), int(second)) for first, second in self.said["sizes"])
        prepared = Prepared(self.said["tower"], None, sizes, tuple(self.said["tokens"]), self.said["pattern"])
        if self.said["holds"] == "embeddings":
            return Entry(prepared, made[0])
        return Entry(replace(prepared, inputs=tuple(made)))


def places(path: Path, space: str) -> dict[str, Place]:
    """The entries of a shard by digest; reads its header only, and nothing that the file is too short for.

    Raises:
        DamagedShardError: the header is cut, garbled, of another space, or promises tensors that are not there.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size = os.fstat(descriptor).st_size
        length = int.from_bytes(os.pread(descriptor, 8, 0), "little")
        if size > MOST_SHARD_BYTES or not 0 < length <= min(MOST_HEADER_BYTES, size - 8):
            raise DamagedShardError(f"{path} has {size} bytes, and a header of {length}.")
        raw = os.pread(descriptor, length, 8)
    finally:
        os.close(descriptor)
    try:
        header = json.loads(raw)
        told = header.pop("__metadata__")
        if (told.pop("format"), told.pop("space")) != (FORMAT, space):
            raise DamagedShardError(f"{path} is of another format or space.")
        return {digest: _place(json.loads(said), digest, header, 8 + length, size) for digest, said in told.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedShardError(f"{path} has a header that is none: {error!r}") from error


def write(folder: Path, space: str, entries: Mapping[str, Entry]) -> Path:
    """Write a shard under a temporary name, make it durable, then give it its name. Raises OSError.

    A process that dies leaves a temporary file without its lock, which `sweep` tells from one that is being written.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    told = {"format": FORMAT, "space": space}
    told |= {digest: _told(space, digest, entry) for digest, entry in entries.items()}
    # Copied, because the library refuses tensors that share memory.
    tensors = {
        f"{digest}.{i}": tensor.clone(memory_format=torch.contiguous_format)
        for digest, entry in entries.items()
        for i, tensor in enumerate(entry.tensors)
    }
    data = memoryview(save(tensors, told))
    with _unfinished(folder) as (path, descriptor):
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
        final = folder / f"{time.time_ns():016x}-{secrets.token_hex(6)}{SUFFIX}"
        path.rename(final)
    return final


def files(folder: Path) -> dict[str, os.stat_result]:
    """The complete shards in a folder, by name. Raises OSError where it cannot be read."""
    found: dict[str, os.stat_result] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIX) and entry.is_file(follow_symlinks=False):
                with suppress(FileNotFoundError):  # removed meanwhile
                    found[entry.name] = entry.stat(follow_symlinks=False)
    return found


def sweep(folder: Path) -> None:
    """Remove temporary files that dead processes left. Raises OSError where the folder cannot be read."""
    for path in folder.glob(f"*{UNFINISHED}"):
        with suppress(OSError):  # being written: the lock is held; or finished, or swept by another
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(descriptor)


@contextmanager
def _unfinished(folder: Path) -> Iterator[tuple[Path, int]]:
    """A new locked file; removed if it still has its temporary name when the block ends."""
    while True:
        path = folder / f"{secrets.token_hex(8)}{UNFINISHED}"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:  # else another process swept it before it was locked
                yield path, descriptor
                return
        finally:
            os.close(descriptor)
            path.unlink(missing_ok=True)


def _told(space: str, digest: str, entry: Entry) -> str:
    """What the header says of an entry beside its tensors."""
    prepared = entry.prepared
    said = {
        "holds": "inputs" if entry.embeddings is None else "embeddings",
        "tower": prepared.tower,
        "sizes": prepared.sizes,
        "tokens": prepared.tokens,
        "pattern": prepared.pattern,
        "count": len(entry.tensors),
    }
    return json.dumps(said | {"sha256": _checksum(space, digest, said, entry.tensors)})


def _place(said: Mapping[str, Any], digest: str, header: Mapping[str, Any], data: int, size: int) -> Place:
    tensors = []
    for i in range(said["count"]):
        tensor = header[f"{digest}.{i}"]
        (start, stop), shape = tensor["data_offsets"], tuple(tensor["shape"])
        if len(shape) > MOST_DIMENSIONS or not all(type(n) is int and n >= 0 for n in (start, stop, *shape)):
            raise DamagedShardError(f"{digest} has sizes or offsets that are none.")
        if data + stop > size or math.prod(shape) * _DTYPES[tensor["dtype"]].itemsize != stop - start:
            raise DamagedShardError(f"{digest} does not fit into its file or its shape.")
        tensors.append((tensor["dtype"], shape, data + start))
    if not isinstance(said["sha256"], str) or said["holds"] not in ("inputs", "embeddings") or not tensors:
        raise DamagedShardError(f"{digest} is not described.")
    return Place(said, tuple(tensors))


def _checksum(space: str, digest: str, said: Mapping[str, Any], tensors: tuple[Tensor, ...] | list[Tensor]) -> str:
    """Over all that an entry consists of: a garbled header must not give other numbers than were written."""
    rest = {key: value for key, value in said.items() if key != "sha256"}
    text = json.dumps([FORMAT, space, digest, rest, [_described(tensor) for tensor in tensors]], sort_keys=True)
    sha = hashlib.sha256(text.encode())
    for tensor in tensors:
        sha.update(_bytes(tensor))
    return sha.hexdigest()


def _described(tensor: Tensor) -> dict[str, Any]:
    return {"dtype": _NAMES[tensor.dtype], "shape": list(tensor.shape)}


def _bytes(tensor: Tensor) -> memoryview:
    """The memory of a contiguous tensor on the CPU."""
    return memoryview(cast("Any", tensor.contiguous().reshape(-1).view(torch.uint8).numpy()))
