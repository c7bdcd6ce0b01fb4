"""Samples as Parquet that the Hub reads: nested columns, media as structs of `bytes` and `path`.

Unusual: provenance is a list of names and values, since the Hub's reader has no maps. Media are either in the file, or
lie beside it and are named. Files hold about 500 MB and row groups about 32 MB, so that neither writing nor reading
them takes memory that grows with their number; the bytes are the same each time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from omnireward.construct.mix_form import AS_SAMPLES, Writer
from omnireward.construct.mix_keys import all_media
from omnireward.media_store import MediaStore
from omnireward.mesh_files import named
from omnireward.sample_rows import line
from omnireward.types import Sample

GROUP_BYTES = 32 * 2**20
GROUP_ROWS = 1_000
FILE_BYTES = 500 * 2**20
LARGEST = 2**30  # of a sample's embedded media; a column of a row group holds less than 2 GiB
COMPOSED = "a mesh that names other files cannot be one cell"
LARGE = "media of over 1 GiB cannot be in one row"

_PIECE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_PARTS = pa.list_(
    pa.struct([("kind", pa.string()), ("text", pa.string()), ("media", pa.list_(_PIECE)), ("frames", pa.bool_())])
)
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("task", pa.string()),
        ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", _PARTS)]))),
        ("response_a", _PARTS),
        ("response_b", _PARTS),
        ("criterion", pa.string()),
        ("preference", pa.string()),
        ("cluster", pa.string()),
        ("groups", pa.list_(pa.string())),
        ("provenance", pa.list_(pa.struct([("name", pa.string()), ("value", pa.string())]))),
    ]
)


class ParquetSamples:
    """``data/SPLIT-00000-of-00001.parquet``.

    Args:
        embeds: media go into the files; otherwise they lie below ``media/`` and are named by path.
    """

    chosen_first = False
    read_as = AS_SAMPLES

    def __init__(self, *, embeds: bool) -> None:
        self.embeds = embeds

    def refuses(self, sample: Sample) -> str:
        """A mesh with materials or textures beside it, or a very large file, has no place in one cell."""
        if not self.embeds:
            return ""
        size = 0
        for media in all_media(sample.comparison):
            for piece in media.pieces():
                if media.kind == "mesh" and isinstance(piece, Path) and named(piece):
                    return COMPOSED
                size += len(piece) if isinstance(piece, bytes) else piece.stat().st_size
        return LARGE if size > LARGEST else ""

    def line(self, sample: Sample, store: MediaStore) -> str:
        """As in a folder of samples."""
        return line(sample, store.keep)

    def writer(self, folder: Path, media: Path) -> Writer:
        """Files for each split."""
        return _Shards(folder, media if self.embeds else None)

    def data_files(self, split: str) -> list[tuple[str, str]]:
        """All files of the split."""
        return [("default", f"data/{split}-*.parquet")]


class _Shards:
    """The files of all splits."""

    def __init__(self, folder: Path, media: Path | None) -> None:
        self._folder, self._media = folder / "data", media
        self._folder.mkdir(parents=True)
        self._splits: dict[str, list[_Shard]] = {}

    def add(self, split: str, line: str) -> None:
        shards = self._splits.setdefault(split, [])
        if not shards or shards[-1].full:
            if shards:
                shards[-1].close()
            shards.append(_Shard(self._folder / f"{split}-{len(shards)}"))
        shards[-1].add(*_row(json.loads(line), self._media))

    def close(self) -> list[str]:
        names = []
        for split, shards in sorted(self._splits.items()):
            for number, shard in enumerate(shards):
                shard.close()
                name = f"{split}-{number:05}-of-{len(shards):05}.parquet"
                shard.path.replace(self._folder / name)
                names.append(f"data/{name}")
        return names


class _Shard:
    """One file, written a row group at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer = pq.ParquetWriter(
            path, SCHEMA, compression="zstd", use_dictionary=["task", "criterion", "preference"], write_statistics=False
        )
        self._rows: list[dict[str, Any]] = []
        self._held = self._bytes = 0

    @property
    def full(self) -> bool:
        """Whether the next row belongs into another file."""
        return self._bytes >= FILE_BYTES

    def add(self, row: dict[str, Any], size: int) -> None:
        """Add a row of about so many bytes. A group ends before the row that would make it too large."""
        if self._rows and (self._held + size > GROUP_BYTES or len(self._rows) >= GROUP_ROWS):
            self._flush()
        self._rows.append(row)
        self._held += size
        self._bytes += size

    def close(self) -> None:
        """End the file; twice is harmless."""
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(pa.Table.from_pylist(self._rows, SCHEMA))
            self._rows, self._held = [], 0


def _row(fields: dict[str, Any], media: Path | None) -> tuple[dict[str, Any], int]:
    """A line's values as the schema has them, and about how many bytes they are."""
    size = len(str(fields))
    contents = [fields["response_a"], fields["response_b"], *(turn["content"] for turn in fields["prompt"])]
    for part in (part for content in contents for part in content):
        if "media" in part:
            part["media"] = list(_cells(part["media"], media))
            size += sum(len(cell["bytes"] or b"") for cell in part["media"])
    fields["provenance"] = [{"name": name, "value": value} for name, value in fields["provenance"].items()]
    return fields, size


def _cells(names: Iterable[str], media: Path | None) -> Iterable[dict[str, Any]]:
    for name in names:
        if media is None:
            yield {"bytes": None, "path": name}
        else:
            yield {"bytes": (media / name).read_bytes(), "path": Path(name).name}
